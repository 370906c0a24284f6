package pipeline_test

import (
	"context"
	"errors"
	"testing"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/pipeline"
	"github.com/kedge/kedge/pipeline/catalog"
	"github.com/kedge/kedge/pipeline/store"
)

var errKilled = errors.New("killed")

// killedAfter commits so many times, and is then as one that was killed when the commit
// was durable, and the record of copies did not know of it.
type killedAfter struct {
	catalog.Catalog
	commits int
}

func (k *killedAfter) Commit(ctx context.Context, c []catalog.Change) ([]bool, error) {
	applied, err := k.Catalog.Commit(ctx, c)
	if k.commits--; err == nil && k.commits == 0 {
		return nil, errKilled
	}
	return applied, err
}

// killed runs and is killed after its first commit.
func (in *installation) killed(o pipeline.Options) {
	in.t.Helper()
	o.Catalog = &killedAfter{Catalog: in.cat, commits: 1}
	if _, err := pipeline.Run(in.t.Context(), nil, o); !errors.Is(err, errKilled) {
		in.t.Fatalf("not killed: %v", err)
	}
}

// keeping is a cutover with --nodelete.
func (in *installation) keeping() pipeline.Options {
	o := in.cutover(in.dst)
	o.KeepSource = true
	return o
}

// are fails the test unless every document is read as it was written last, at a store.
func (in *installation) are(at drivers.Driver) {
	in.t.Helper()
	for key, plain := range in.plain {
		rows, err := in.cat.Rows(in.t.Context(), []drivers.Key{key})
		if err != nil || len(rows) != 1 {
			in.t.Fatalf("%s: %d rows, %v", key, len(rows), err)
		}
		if want, _ := at.URI(key); rows[0].URI != want {
			in.t.Errorf("%s is at %s", key, rows[0].URI)
			continue
		}
		if got, err := store.ReadPlain(in.t.Context(), at, rows[0]); err != nil || string(got) != string(plain) {
			in.t.Errorf("LOST: %s is %.40q, was written as %.40q: %v", key, got, plain, err)
		}
	}
}

// A migration with --nodelete was killed when rows were changed, of which the record does
// not know: they go back all the same, without their payloads.
func TestRowsThatAKilledCutoverHasChangedGoBack(t *testing.T) {
	for name, copied := range map[string]bool{"copied before": true, "moved": false} {
		t.Run(name, func(t *testing.T) {
			in := install(t, 20)
			if copied {
				run(t, in.copyOptions(in.dst))
			}
			in.killed(in.keeping())
			if n := in.rows(`SELECT count(*) FROM archive_metadata WHERE content_url LIKE 'file://%'`); n != 20 {
				t.Fatalf("%d rows were changed", n)
			}
			r := run(t, in.back())
			if r.Failed != 0 || r.Counts.Moved != 20 || r.Counts.CopiedBefore != 20 {
				t.Errorf("%+v", r)
			}
			in.are(in.src)
		})
	}
}

// What Anchore has written since a cutover was killed is not taken for what had been
// copied, in neither direction.
func TestWhatWasWrittenAfterAKilledCutoverIsNotTakenBack(t *testing.T) {
	for name, copied := range map[string]bool{"copied before": true, "moved": false} {
		for how, checkpoint := range map[string]string{"resumed": "", "with another checkpoint": ".other"} {
			t.Run(name+", "+how, func(t *testing.T) {
				in := install(t, 20)
				if copied {
					run(t, in.copyOptions(in.dst))
				}
				in.killed(in.keeping())
				in.write(in.dst, key(3), []byte("written at the new store"))
				o := in.keeping()
				o.Checkpoint += checkpoint
				run(t, o)
				if r := run(t, in.back()); r.Counts.Moved != 20 || r.Counts.CopiedBefore != 19 {
					t.Errorf("%+v", r)
				}
				in.are(in.src)
			})
		}
	}
}

// The same of a way back that was killed.
func TestWhatWasWrittenAfterAKilledWayBackIsNotTakenThere(t *testing.T) {
	in := install(t, 20)
	run(t, in.keeping())
	in.write(in.dst, key(3), []byte("written at the new store"))
	in.killed(in.back())
	in.write(in.src, key(3), []byte("written at the old store"))
	in.write(in.src, key(4), []byte("that too"))
	run(t, in.back())
	in.are(in.src)
	run(t, in.keeping())
	in.are(in.dst)
}

// What a killed way back has begun, the ways there end: a copy, a migration.
func TestWaysThereAfterAKilledWayBack(t *testing.T) {
	for name, then := range map[string]func(*testing.T, *installation){
		"migrate": func(t *testing.T, in *installation) { run(t, in.keeping()) },
		"copy": func(t *testing.T, in *installation) {
			run(t, in.copyOptions(in.dst))
			run(t, in.keeping())
		},
		"back, and there": func(t *testing.T, in *installation) {
			run(t, in.back())
			in.are(in.src)
			run(t, in.cutover(in.dst))
		},
	} {
		t.Run(name, func(t *testing.T) {
			in := install(t, 300)
			run(t, in.keeping())
			in.write(in.dst, key(3), []byte("written at the new store"))
			in.write(in.dst, key(500), []byte("new at the new store"))
			in.killed(in.back())
			then(t, in)
			in.are(in.dst)
		})
	}
}

// A migration that deletes was killed and goes on: nothing that it has moved is left at the
// source because an older one has kept its own.
func TestWhatAKilledMigrationHasMovedIsNotTakenForKept(t *testing.T) {
	for name, before := range map[string]func(*testing.T, *installation){
		"a later document is there": func(t *testing.T, in *installation) {
			run(t, in.back())
			in.write(in.dst, key(500), []byte("written at the new store"))
		},
		"the way back was killed, too": func(t *testing.T, in *installation) {
			in.killed(in.back())
			run(t, in.back())
		},
	} {
		t.Run(name, func(t *testing.T) {
			in := install(t, 20)
			run(t, in.keeping())
			before(t, in)
			o := in.cutover(in.dst)
			o.Checkpoint += ".deleting"
			in.killed(o)
			run(t, o)
			if in.are(in.dst); held(t, in.src) != 0 {
				t.Errorf("%d sources are left", held(t, in.src))
			}
		})
	}
}

// What a killed migration with --nodelete has moved stays at the source, though one that
// deletes comes after it.
func TestWhatAKilledMigrationHasKeptStaysKept(t *testing.T) {
	for name, copied := range map[string]bool{"copied before": true, "moved": false} {
		t.Run(name, func(t *testing.T) {
			in := install(t, 20)
			if copied {
				run(t, in.copyOptions(in.dst))
			}
			in.killed(in.keeping())
			in.write(in.src, key(500), []byte("new"))
			o := in.cutover(in.dst)
			o.Checkpoint += ".deleting"
			in.killed(o)
			run(t, o)
			if in.are(in.dst); held(t, in.src) != 20 {
				t.Errorf("%d payloads are left at the source, want those that were kept", held(t, in.src))
			}
		})
	}
}
