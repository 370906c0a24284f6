package torture

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// serving is a round with services at work at its source, a destination without
// importance, and no kedge.
func serving(t *testing.T, rig *rig, site string) (*round, *services) {
	t.Helper()
	to := "localfs"
	if site == to {
		to = "minio"
	}
	r, err := newRound(rig, Pair{site, to}, 1, &Options{Seed: fixedSeed, EveryPoint: true})
	if err == nil {
		err = r.prepare(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	s, err := r.serve(t.Context(), r.from, r.rule, ServiceRate{Workers: 4})
	if err != nil {
		t.Fatal(err)
	}
	return r, s
}

// TestServicesKnowWhatTheyHaveWritten lets services work on every kind of source,
// ends them, once in the middle of what they are at, and compares all with what
// they say.
func TestServicesKnowWhatTheyHaveWritten(t *testing.T) {
	if alone() {
		t.Skip("the harness is checked with all other tests")
	}
	rig := newRigs(t, 1)[0]
	for _, site := range sites {
		for _, cut := range []bool{false, true} {
			name := site.name
			if cut {
				name += ", cut off"
			}
			t.Run(name, func(t *testing.T) {
				r, s := serving(t, rig, site.name)
				awaitOperations(t, s, 400)
				s.stop(cut)
				if err := r.settle(t.Context(), s); err != nil {
					t.Fatal(err)
				}
				findings, err := r.check(t.Context(), false)
				if err != nil {
					t.Fatal(err)
				}
				if r.found(findings...); r.totals.Bad() {
					t.Error(r.tell(1))
				}
				if s.reads.Load() == 0 || s.puts.Load() == 0 || s.overwrites.Load() == 0 || s.deletes.Load() == 0 {
					t.Errorf("the services did not do everything: %v", s)
				}
				t.Log(strings.Join(r.story, "\n"))
			})
		}
	}
}

func awaitOperations(t *testing.T, s *services, count int64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := s.await(ctx, count); err != nil {
		t.Fatalf("%v: %v, %v", err, s, s.failures)
	}
}

// TestCopyBesideServices is what "make torture SERVICES=10m" runs: for so long on
// each kind of source in turn (PAIRS: only on these), services work as fast as they
// can while kedge copies and follows. Then they stop, all is migrated, and every
// document must be as they last wrote it; no read may have failed.
func TestCopyBesideServices(t *testing.T) {
	duration, err := time.ParseDuration(os.Getenv("SERVICES"))
	if err != nil {
		t.Skip("only with SERVICES=DURATION from the environment")
	}
	rig := newRigs(t, 1)[0]
	for _, pair := range sourcesOf(Pairs()) {
		if only := os.Getenv("PAIRS"); only != "" && !slices.Contains(strings.Split(only, ","), pair.From) {
			continue
		}
		t.Run(pair.String(), func(t *testing.T) {
			r, err := newRound(rig, pair, 0, &Options{Program: program, Seed: number(t, "SEED", fixedSeed)})
			if err == nil {
				err = r.playBeside(t.Context(), duration)
			}
			if err != nil {
				t.Fatalf("%s%v", r.tell(0), err)
			}
			fmt.Print(r.tell(0))
			if r.totals.Bad() {
				t.Errorf("lost %d, orphaned %d, wrong %d", r.totals.Lost, r.totals.Orphaned, r.totals.Wrong)
			}
		})
	}
}

// sourcesOf keeps one pair for each source, with another destination each time.
func sourcesOf(pairs []Pair) []Pair {
	kept, sources, destinations := []Pair(nil), make(map[string]bool), make(map[string]int)
	for _, source := range sites {
		best := -1
		for i, p := range pairs {
			if p.From == source.name && p.To != p.From && !sources[p.From] && (best < 0 || destinations[p.To] < destinations[pairs[best].To]) {
				best = i
			}
		}
		if best >= 0 {
			sources[source.name] = true
			destinations[pairs[best].To]++
			kept = append(kept, pairs[best])
		}
	}
	return kept
}

// TestServicesNoticeWhatOthersDo deletes a payload and changes a row behind the
// services' back: their reads, and the comparison at the end, must tell.
func TestServicesNoticeWhatOthersDo(t *testing.T) {
	if alone() {
		t.Skip("the harness is checked with all other tests")
	}
	rig := newRigs(t, 1)[0]
	r, s := serving(t, rig, "db")
	if _, err := rig.conn.Exec(t.Context(), `DELETE FROM archive_document WHERE "archiveId" LIKE 'twin:%'`); err != nil {
		t.Fatal(err)
	}
	if _, err := rig.conn.Exec(t.Context(), `UPDATE archive_metadata SET document_metadata = 'mine' WHERE "archiveId" LIKE 'foreign:%'`); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(time.Minute); !r.totals.found([]string{"there is no payload"}) && time.Now().Before(deadline); {
		awaitOperations(t, s, 100)
		s.mu.Lock()
		for _, f := range s.failures {
			r.totals.findings = append(r.totals.findings, finding{wrong, f})
		}
		s.mu.Unlock()
	}
	s.stop(false)
	if err := r.settle(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"there is no payload", "and not by the services"} {
		if !r.totals.found([]string{want}) {
			t.Errorf("nothing like %q was found: %s", want, r.tell(1))
		}
	}
}
