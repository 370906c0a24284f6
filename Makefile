# kedge's targets; "make help" lists them.

SHELL   := bash
# Where what the tests need is installed: $KEDGE_TEST_TOOLS, or else
# kedge-test-tools in the user's cache folder. See internal/testenv/tools.
INSTALL := go run ./internal/testenv/install

# Everything but the tests under the race detector is compiled in the way of what
# is handed out, so that it is compiled once.
export CGO_ENABLED := 0
export GOFLAGS := $(strip $(GOFLAGS) -trimpath)

VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
COMMIT  := $(shell git rev-parse HEAD 2>/dev/null || echo unknown)
DATE    := $(shell git log -1 --format=%cI 2>/dev/null)

# Tests of the program that are run with a program that has the race detector in
# it: every driver, an interrupt, retries, a registry, an audit.
RACE_TESTS := ^(TestEveryPairOfDrivers|TestInterruptedOnceDrainsAndResumes|TestSwiftInTrouble|TestRegistryServesDuringMigration|TestPurge|TestVerifyIsReadOnlyAndResumes)$$

# Packages whose goroutines share much: their tests run under the race detector.
# Those of one back end each move much and share little, and what they share runs
# in RACE_TESTS.
RACE_PACKAGES := /(checkpoint|pipeline|drivers|cmd/kedge/internal)(/|$$)
PLAIN_DRIVERS := /drivers/(db|localfs|s3|swift)(/|$$)

# Tests that run a migration in their own process and look for goroutines that it
# leaves behind: none may run beside them there. They wait for timeouts.
LEAK_TESTS := ^(TestFaultsOf.*|TestADatabaseThatFallsSilent)$$

.DEFAULT_GOAL := build
.PHONY: help build demo test-deps test test-program test-plain test-race lint fuzz torture bench scale cutover release

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1: /p' $(MAKEFILE_LIST)

build: ## build bin/kedge
	go build -buildvcs=false -ldflags "-X main.version=$(VERSION) -X main.commit=$(COMMIT) -X main.date=$(DATE)" -o bin/kedge ./cmd/kedge

release: ## archives, Debian packages, containers' file systems, component lists and SHA256SUMS in bin/release, the same bytes each time: TARGETS=linux/amd64,darwin/arm64 OUT=folder
	go run ./internal/release -version '$(VERSION)' -commit '$(COMMIT)' -date '$(DATE)' $(if $(TARGETS),-targets '$(TARGETS)') $(if $(OUT),-out '$(OUT)')

demo: build ## migrate a small installation before your eyes
	bin/kedge demo

test-deps: ## install the servers and tools that the tests need
	$(INSTALL)

# Lanes side by side: while one waits for downloads, servers, timeouts and
# interrupts, another uses the processor.
test: ## all that a commit must pass
	$(MAKE) --no-print-directory -j 2 test-deps lint
	$(MAKE) --no-print-directory -j 3 --output-sync=line test-program test-plain test-race

# Without -race: what these run is the program as it is shipped, whose memory and
# kills at an instant would be others. Most of these tests wait most of the time.
test-program:
	go test -parallel 4 -timeout 80m -skip '$(RACE_TESTS)|$(LEAK_TESTS)' ./cmd/kedge

test-plain:
	go test -timeout 40m -run '$(LEAK_TESTS)' ./cmd/kedge
	go test -p 2 -timeout 40m $$(go list ./... | grep -E '$(PLAIN_DRIVERS)'; go list ./... | grep -vE '$(RACE_PACKAGES)|/(internal/torture|cmd/kedge)$$')

test-race:
	CGO_ENABLED=1 go test -race -p 2 -timeout 60m $$(go list ./... | grep -E '$(RACE_PACKAGES)' | grep -vE '$(PLAIN_DRIVERS)')
	KEDGE_TEST_RACE=1 go test -parallel 4 -timeout 30m -run '$(RACE_TESTS)' ./cmd/kedge
	go test -timeout 60m ./internal/torture
	internal/testenv/fuzz

lint: ## gofmt, go vet and staticcheck
	@unformatted=$$(gofmt -l .); if [ -n "$$unformatted" ]; then echo "not formatted with gofmt:" $$unformatted; exit 1; fi
	go vet ./...
	staticcheck=$$($(INSTALL) staticcheck) && "$$staticcheck" ./...

fuzz: ## run every fuzz target for a while; FUZZTIME=10m for longer
	internal/testenv/fuzz $(FUZZTIME)

torture: ## kill migrations, copies and ways back, and compare all with a model: KILLS=1000 or DURATION=1h; COPY=1 (all with copies ahead; of itself a third, COPY=0 none), SEED=…, PAIRS=db,s3. Or SERVICES=10m: no kills, but services at full speed beside a copy, on each source
ifdef SERVICES
	SERVICES=$(SERVICES) PAIRS=$(PAIRS) SEED=$(or $(SEED),$(shell date +%s)) \
		go test -count=1 -timeout 0 -run '^TestCopyBesideServices$$' -v ./internal/torture
else
	KILLS=$(if $(DURATION),$(KILLS),$(or $(KILLS),1000)) DURATION=$(DURATION) COPY=$(COPY) PAIRS=$(PAIRS) SEED=$(or $(SEED),$(shell date +%s)) \
		go test -count=1 -timeout 0 -run '^(TestTorture|TestEveryPointOnEveryPair)$$' -v ./internal/torture
endif

SCALE := 100000,10000000
# kedge does not trust a database without fsync unless it is told to.
TRUST  := $(if $(filter off,$(FSYNC)), --allow-volatile)
scale: $(if $(KEDGE),,build) ## resume migrations at half-way: ROWS=100000,10000000 ROUNDS=1 FSYNC=off KEDGE=bin/kedge
	ROWS='$(or $(ROWS),$(SCALE))' ROUNDS='$(or $(ROUNDS),1)' KEDGE='$(or $(KEDGE),bin/kedge$(TRUST))' CEILING=none FSYNC='$(FSYNC)' \
		go test -tags compare -count=1 -timeout 0 -run '^TestScale$$' -v ./bench/compare

cutover: $(if $(KEDGE),,build) ## measure how long Anchore stands still after a copy, and the way back: ROWS=100000,1000000 FROM=db TO=versitygw FSYNC=off KEDGE=bin/kedge
	ROWS='$(ROWS)' FROM='$(FROM)' TO='$(TO)' KEDGE='$(or $(KEDGE),bin/kedge$(TRUST))' CEILING=none FSYNC='$(FSYNC)' \
		go test -tags compare -count=1 -timeout 0 -run '^TestCutover$$' -v ./bench/compare

bench: $(if $(KEDGE),,build) ## compare with rclone and the servers' own ceiling: COUNT=2000 ROUNDS=3 ONLY=localfs-s3,db KEDGE=bin/old,bin/kedge CLIENTS=8,32 FSYNC=off RCLONE=off OUT=table.md
	go build -buildvcs=false -o bin/ceiling ./bench/ceiling
	rclone=$(or $(RCLONE),$$($(INSTALL) rclone)) && \
		COUNT='$(COUNT)' ROUNDS='$(ROUNDS)' ONLY='$(ONLY)' KEDGE='$(or $(KEDGE),bin/kedge$(TRUST))' RCLONE="$$rclone" CEILING=bin/ceiling \
		CLIENTS='$(CLIENTS)' FSYNC='$(FSYNC)' OUT='$(OUT)' VERSION='$(VERSION)' \
		go test -tags compare -count=1 -timeout 0 -run '^TestCompare$$' -v ./bench/compare
