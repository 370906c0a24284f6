# kedge's targets; "make help" lists them.

SHELL   := bash
# Where what the tests need is installed: $KEDGE_TEST_TOOLS, or else
# kedge-test-tools in the user's cache folder. See internal/testenv/tools.
INSTALL := go run ./internal/testenv/install

VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
COMMIT  := $(shell git rev-parse HEAD 2>/dev/null || echo unknown)
DATE    := $(shell git log -1 --format=%cI 2>/dev/null)

.DEFAULT_GOAL := build
.PHONY: help build demo test-deps test lint fuzz torture bench release

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1: /p' $(MAKEFILE_LIST)

build: ## build bin/kedge
	CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags "-X main.version=$(VERSION) -X main.commit=$(COMMIT) -X main.date=$(DATE)" -o bin/kedge ./cmd/kedge

release: ## archives, Debian packages, component lists and SHA256SUMS in bin/release, the same bytes each time: TARGETS=linux/amd64,darwin/arm64
	go run ./internal/release -version '$(VERSION)' -commit '$(COMMIT)' -date '$(DATE)' $(if $(TARGETS),-targets '$(TARGETS)')

demo: build ## migrate a small installation before your eyes
	bin/kedge demo

test-deps: ## install the servers and tools that the tests need
	$(INSTALL)

test: test-deps lint ## all that a commit must pass
	go test -race -p 2 -timeout 75m $$(go list ./... | grep -v /internal/torture)
	# By itself and without -race: what it runs is the program as it is shipped,
	# and kills at an instant should not all come before the start.
	go test -timeout 30m ./internal/torture
	internal/testenv/fuzz

lint: ## gofmt, go vet and staticcheck
	@unformatted=$$(gofmt -l .); if [ -n "$$unformatted" ]; then echo "not formatted with gofmt:" $$unformatted; exit 1; fi
	go vet ./...
	staticcheck=$$($(INSTALL) staticcheck) && "$$staticcheck" ./...

fuzz: ## run every fuzz target for a while; FUZZTIME=10m for longer
	internal/testenv/fuzz $(FUZZTIME)

torture: ## kill migrations and compare all with a model: KILLS=1000 or DURATION=1h; SEED=…, PAIRS=db,s3
	KILLS=$(if $(DURATION),$(KILLS),$(or $(KILLS),1000)) DURATION=$(DURATION) PAIRS=$(PAIRS) SEED=$(or $(SEED),$(shell date +%s)) \
		go test -count=1 -timeout 0 -run '^(TestTorture|TestEveryPointOnEveryPair)$$' -v ./internal/torture

bench: $(if $(KEDGE),,build) ## compare with rclone and the servers' own ceiling: COUNT=2000 ROUNDS=3 ONLY=localfs-s3,db KEDGE=bin/old,bin/kedge CLIENTS=8,32 FSYNC=off RCLONE=off OUT=table.md
	go build -trimpath -buildvcs=false -o bin/ceiling ./bench/ceiling
	rclone=$(or $(RCLONE),$$($(INSTALL) rclone)) && \
		COUNT='$(COUNT)' ROUNDS='$(ROUNDS)' ONLY='$(ONLY)' KEDGE='$(or $(KEDGE),bin/kedge)' RCLONE="$$rclone" CEILING=bin/ceiling \
		CLIENTS='$(CLIENTS)' FSYNC='$(FSYNC)' OUT='$(OUT)' VERSION='$(VERSION)' \
		go test -tags compare -count=1 -timeout 0 -run '^TestCompare$$' -v ./bench/compare
