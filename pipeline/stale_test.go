package pipeline_test

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/kedge/kedge/pipeline"
	"github.com/kedge/kedge/pipeline/copies"
	"github.com/kedge/kedge/pipeline/failure"
)

// turned is a migration that goes the other way, as any does.
func (in *installation) turned() pipeline.Options {
	o := in.options(in.dst)
	o.Source, o.Destination = o.Destination, o.Source
	o.Checkpoint = in.checkpoint + ".turned"
	o.Record = copies.Path(o.Checkpoint)
	o.RecordBack = copies.Path(in.checkpoint)
	return o
}

// A record that was restored, or left over, is not believed unseen when another migration
// has gone there and back since.
func TestAStaleRecordIsNotBelievedUnseen(t *testing.T) {
	for name, forget := range map[string]func(in *installation, o *pipeline.Options){
		"left over": func(in *installation, o *pipeline.Options) {},
		"the task is gone": func(in *installation, o *pipeline.Options) {
			in.exec(`DELETE FROM archive_migration_tasks`)
			in.exec(`DELETE FROM tasks`)
		},
		"a copy has looked at nothing since": func(in *installation, o *pipeline.Options) {
			in.exec(`DELETE FROM archive_migration_tasks`)
			in.exec(`DELETE FROM tasks`)
			run(t, in.copyOptions(in.dst))
		},
	} {
		t.Run(name, func(t *testing.T) {
			in := install(t, 30)
			run(t, in.copyOptions(in.dst))
			there := in.options(in.dst) // knows no record
			there.Checkpoint = in.checkpoint + ".other"
			run(t, there)
			back := in.turned()
			back.RecordBack = ""
			run(t, back)
			o := in.cutover(in.dst)
			o.Trust = copies.TrustRecord
			forget(in, &o)
			r := run(t, o)
			t.Logf("moved %d, copied before %d, doubted %d", r.Counts.Moved, r.Counts.CopiedBefore, r.CopiesDoubted)
			if in.check() != 30 || r.CopiesDoubted != 30 {
				t.Errorf("%+v", r)
			}
		})
	}
}

// A database that was restored gives the numbers of its tasks again: that of the record is
// then another migration's.
func TestATaskIsNotKnownByItsNumberAlone(t *testing.T) {
	for name, then := range map[string]func(*testing.T, *installation){
		"the migration":   func(*testing.T, *installation) {},
		"a copy, then it": func(t *testing.T, in *installation) { run(t, in.copyOptions(in.dst)) },
	} {
		t.Run(name, func(t *testing.T) {
			in := install(t, 30)
			thereAndBack := func() {
				there := in.options(in.dst) // knows no record
				there.Checkpoint = in.checkpoint + ".other"
				run(t, there)
				back := in.turned()
				back.RecordBack = ""
				run(t, back)
			}
			in.exec(`INSERT INTO tasks (id, state, type) VALUES (1, 'complete', 'another')`)
			run(t, in.copyOptions(in.dst)) // task 2
			in.exec(`DELETE FROM archive_migration_tasks`)
			in.exec(`DELETE FROM tasks`)
			in.exec(`DELETE FROM sqlite_sequence WHERE name = 'tasks'`)
			thereAndBack()
			if n := in.rows(`SELECT max(id) FROM tasks`); n != 2 {
				t.Fatalf("the last task is %d", n)
			}
			then(t, in)
			o := in.cutover(in.dst)
			o.Trust = copies.TrustRecord
			if r := run(t, o); in.check() != 30 || r.CopiesDoubted != 30 {
				t.Errorf("%+v", r)
			}
		})
	}
}

// A record that is this database's newest migration's is believed.
func TestARecordOfTheLastMigrationIsBelieved(t *testing.T) {
	in := install(t, 30)
	run(t, in.copyOptions(in.dst))
	if err := os.Remove(strings.TrimPrefix(in.destinationOf(key(3)), "file://")); err != nil {
		t.Fatal(err)
	}
	o := in.cutover(in.dst)
	o.Trust, o.KeepSource = copies.TrustRecord, true
	if r := run(t, o); r.Counts.CopiedBefore != 30 || r.CopiesDoubted != 0 {
		t.Errorf("%+v", r)
	}
}

// What a purge deletes after a way back, the record of the way there does not take for
// copies.
func TestAPurgeAfterTheWayBackIsKnownToTheRecord(t *testing.T) {
	in := install(t, 30)
	run(t, in.keeping())
	run(t, in.back())
	p := in.turned()
	p.Job = pipeline.Purge
	if run(t, p); held(t, in.dst) != 0 {
		t.Fatalf("%d are left at the new store", held(t, in.dst))
	}
	// Going back once more looks at the old store, not at the new one.
	var refused *failure.RefusedError
	if _, err := pipeline.Run(t.Context(), nil, in.back()); err != nil && !errors.As(err, &refused) {
		t.Fatal(err)
	}
	o := in.cutover(in.dst)
	o.Trust = copies.TrustRecord
	r := run(t, o)
	if in.are(in.dst); r.CopiesDoubted != 30 {
		t.Errorf("%+v", r)
	}
}

// A damaged record of the other direction, which nobody can believe, keeps nobody.
func TestADamagedRecordOfTheOtherDirectionIsLeftAlone(t *testing.T) {
	in := install(t, 30)
	run(t, in.copyOptions(in.dst))
	there := in.options(in.dst)
	there.Checkpoint = in.checkpoint + ".other"
	run(t, there)
	if err := os.WriteFile(copies.Path(in.checkpoint), make([]byte, 64<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	if r := run(t, in.turned()); r.Counts.Moved != 30 {
		t.Errorf("%+v", r)
	}
	in.are(in.src)
	var damaged *copies.DamagedError
	o := in.cutover(in.dst)
	o.Trust = copies.TrustRecord
	if _, err := pipeline.Run(t.Context(), nil, o); !errors.As(err, &damaged) {
		t.Errorf("the damaged record is believed: %v", err)
	}
	in.are(in.src)
}

// That sources were once deleted means nothing any more when everything has been moved
// back and copied anew.
func TestSourcesThatWereDeletedOnceDoNotBarTheWayBack(t *testing.T) {
	in := install(t, 30)
	run(t, in.copyOptions(in.dst))
	o := in.cutover(in.dst)
	o.Source.Driver = &undeletable{Driver: in.src, uri: "db://admin/b/id-00007"} // so that the record stays
	run(t, o)
	var refused *failure.RefusedError
	if _, err := pipeline.Run(t.Context(), nil, in.back()); !errors.As(err, &refused) || !strings.Contains(err.Error(), "have been deleted") {
		t.Errorf("a way back in place after sources were deleted: %v", err)
	}
	run(t, in.turned())
	in.are(in.src)
	run(t, in.copyOptions(in.dst))
	k := in.keeping()
	k.Checkpoint += ".keeping"
	run(t, k)
	in.are(in.dst)
	if r := run(t, in.back()); r.Counts.CopiedBefore != 30 {
		t.Errorf("%+v", r)
	}
	in.are(in.src)
}

// A copy after a migration that has deleted its sources is no way back.
func TestACopyAloneIsNoWayBack(t *testing.T) {
	in := install(t, 30)
	run(t, in.cutover(in.dst))
	in.write(in.src, key(100), []byte("came late, to the old store"))
	run(t, in.copyOptions(in.dst))
	var refused *failure.RefusedError
	if _, err := pipeline.Run(t.Context(), nil, in.back()); !errors.As(err, &refused) {
		t.Errorf("not refused: %v", err)
	} else {
		t.Log(err)
	}
}
