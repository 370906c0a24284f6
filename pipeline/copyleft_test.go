package pipeline_test

import (
	"bytes"
	"context"
	"crypto/md5"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/drivers/db"
	"github.com/kedge/kedge/pipeline"
	"github.com/kedge/kedge/pipeline/copies"
)

// undel refuses to tell of a place, or to delete, as a store that is down for a moment.
type undel struct {
	*before
	fail bool
}

func (f *undel) Delete(ctx context.Context, uri string) error {
	if f.fail && strings.Contains(uri, "/b/") {
		return &drivers.Error{Op: "delete", URI: uri, Kind: drivers.Temporary, Err: errors.New("not now")}
	}
	return f.before.Driver.Delete(ctx, uri)
}

// A copy of a vanished document that cannot be removed just now is removed by the next run.
func TestACopyThatCannotBeRemovedJustNowIsNotForgotten(t *testing.T) {
	in := install(t, 20)
	run(t, in.copyOptions(in.dst))
	in.erase(in.src, key(3))
	f := &undel{before: &before{Driver: in.dst, put: func(int64, string, *drivers.Payload) error { return nil }}, fail: true}
	o := in.cutover(f)
	o.Trust = copies.TrustRecord
	run(t, o)
	run(t, in.cutover(in.dst))
	if n := held(t, in.dst); n != 19 {
		t.Errorf("ORPHAN: %d at the destination, 19 documents", n)
	}
}

// Where the record is lost between cutover and deletion, the migration says what may be left.
func TestALostRecordIsTold(t *testing.T) {
	in := install(t, 100)
	run(t, in.copyOptions(in.dst))
	o := in.cutover(in.dst)
	stop := make(chan struct{})
	o.Startable = func(int64, int64) { close(stop) }
	if r, err := pipeline.Run(t.Context(), stop, o); err != nil || !r.Interrupted {
		t.Fatalf("%+v %v", r, err)
	}
	if err := copies.Remove(o.Record); err != nil {
		t.Fatal(err)
	}
	o.Startable = nil
	if _, err := pipeline.Run(t.Context(), nil, o); err == nil || !strings.Contains(err.Error(), "kedge purge") {
		t.Errorf("not told: %v", err)
	}
	run(t, o)
	purge := in.options(in.dst)
	purge.Job, purge.Checkpoint = pipeline.Purge, in.checkpoint+".purge"
	if run(t, purge); held(t, in.src) != 0 || in.check() != 100 {
		t.Errorf("%d sources are left", held(t, in.src))
	}
}

// A document whose row had no digest goes back.
func TestADocumentThatHadNoDigestGoesBack(t *testing.T) {
	in := install(t, 20)
	in.exec(`UPDATE archive_metadata SET digest = NULL WHERE "archiveId" = 'id-00003'`)
	o := in.cutover(in.dst)
	o.KeepSource = true
	run(t, o)
	b := in.back()
	b.Trust = copies.TrustRecord
	r := run(t, b)
	if r.Failed != 0 {
		t.Errorf("WRONG: %v: %+v", failures(r), r.Failures)
	}
}

// What --nodelete has kept of a document that was deleted since stays at the old store.
func TestTheWayBackLeavesWhatWasKept(t *testing.T) {
	in := install(t, 20)
	o := in.cutover(in.dst)
	o.KeepSource = true
	run(t, o)
	in.erase(in.dst, key(4))
	run(t, in.back())
	if n := held(t, in.src); n != 20 {
		t.Errorf("%d at the old store", n)
	}
	run(t, in.cutover(in.dst))
	if n := held(t, in.src); n != 1 {
		t.Errorf("%d left at the old store", n)
	}
}

// The copy that two rows share does not go with the first of them.
func TestASharedCopyDoesNotGoWithTheFirstRow(t *testing.T) {
	in := install(t, 5)
	in.exec(`INSERT INTO archive_metadata (bucket, "archiveId", "userId", "documentName", content_url, is_compressed, digest, size) SELECT bucket, "archiveId", "userId", 'other', content_url, is_compressed, digest, size FROM archive_metadata WHERE "archiveId" = 'id-00003'`)
	run(t, in.copyOptions(in.dst))
	// the first row is deleted, the second one was changed, and is changed back later
	in.exec(`DELETE FROM archive_metadata WHERE "archiveId" = 'id-00003' AND "documentName" = 'other'`)
	o := in.cutover(in.dst)
	m := &meddling{Catalog: in.cat, before: func() {
		in.exec(`UPDATE archive_metadata SET content_url = 's3://elsewhere/x' WHERE "archiveId" = 'id-00003'`)
	}}
	o.Catalog = m
	r := run(t, o)
	t.Logf("first: failed %d %v removed %d", r.Failed, failures(r), r.Removed)
	in.exec(`UPDATE archive_metadata SET content_url = 'db://admin/b/id-00003' WHERE "archiveId" = 'id-00003'`)
	o.Catalog, o.Trust = in.cat, copies.TrustRecord
	r = run(t, o)
	t.Logf("second: moved %d failed %d", r.Counts.Moved, r.Failed)
	if bad := in.unreadable(); len(bad) > 0 {
		t.Errorf("LOST: %v", bad)
	}
}

// The way back removes no old payload, also where a row was changed under it.
func TestTheWayBackDeletesNothing(t *testing.T) {
	in := install(t, 20)
	o := in.cutover(in.dst)
	o.KeepSource = true
	run(t, o)
	b := in.back()
	b.Catalog = &meddling{Catalog: in.cat, before: func() {
		in.exec(`UPDATE archive_metadata SET digest = 'd41d8cd98f00b204e9800998ecf8427e' WHERE "archiveId" = 'id-00003'`)
	}}
	r := run(t, b)
	if n := held(t, in.src); n != 20 {
		t.Errorf("WRONG: %d of 20 at the old store; failed %v", n, failures(r))
	}
}

// folder2 is a destination that takes names that differ only in case for one.
type folded struct{ drivers.Driver }

func (f folded) one(uri string) string {
	p := f.Driver.Prefix()
	return p + strings.ToLower(strings.TrimPrefix(uri, p))
}
func (f folded) Capabilities() drivers.Capabilities {
	c := f.Driver.Capabilities()
	c.BatchGet, c.BatchPut, c.BatchDelete = false, false, false
	return c
}
func (f folded) Get(ctx context.Context, uri string) (io.ReadCloser, drivers.Info, error) {
	return f.Driver.Get(ctx, f.one(uri))
}
func (f folded) Put(ctx context.Context, uri string, p drivers.Payload) (drivers.Receipt, error) {
	return f.Driver.Put(ctx, f.one(uri), p)
}
func (f folded) Stat(ctx context.Context, uri string) (drivers.Info, error) {
	return f.Driver.Stat(ctx, f.one(uri))
}
func (f folded) Delete(ctx context.Context, uri string) error {
	return f.Driver.Delete(ctx, f.one(uri))
}
func (f folded) Sync(ctx context.Context) error { return f.Driver.(drivers.Syncer).Sync(ctx) }

// What a killed copy has intended at a place that another document has now stays there.
func TestAPlaceOfTwoNamesIsNotEmptied(t *testing.T) {
	in := install(t, 3)
	big, small := drivers.Key{UserID: "admin", Bucket: "BB", ArchiveID: "x"}, drivers.Key{UserID: "admin", Bucket: "bb", ArchiveID: "x"}
	in.write(in.src, big, []byte("the big one"))
	dst := folded{in.dst}
	// The copy is killed before or after its put.
	stopping := errors.New("killed")
	ctx, kill := context.WithCancelCause(t.Context())
	c := in.copyOptions(&before{Driver: dst, put: func(_ int64, uri string, _ *drivers.Payload) error {
		if strings.Contains(uri, "/BB/") {
			kill(stopping)
		}
		return nil
	}})
	_, err := pipeline.Run(ctx, nil, c)
	t.Log("copy:", err)
	in.write(in.src, small, []byte("the small one"))
	in.erase(in.src, big)
	o := in.cutover(dst)
	r := run(t, o)
	t.Logf("moved %d failed %d removed %d", r.Counts.Moved, r.Failed, r.Removed)
	rows, _ := in.cat.Rows(t.Context(), []drivers.Key{small})
	_, errSrc := in.src.Stat(t.Context(), "db://admin/bb/x")
	if _, err := dst.Stat(t.Context(), rows[0].URI); err != nil && strings.HasPrefix(rows[0].URI, "file") {
		t.Errorf("LOST: row names %s: %v; source: %v", rows[0].URI, err, errSrc)
	}
}

// A source that could not be deleted is not forgotten after a migration with --nodelete.
func TestASourceThatCouldNotBeDeletedIsNotForgotten(t *testing.T) {
	in := install(t, 20)
	run(t, in.copyOptions(in.dst))
	o := in.cutover(in.dst)
	o.Source.Driver = &undeletable{Driver: in.src, uri: "db://admin/b/id-00007"}
	r := run(t, o)
	t.Logf("first: failed %d, %d at the source", r.Failed, held(t, in.src))
	time.Sleep(1100 * time.Millisecond)
	in.write(in.src, key(100), []byte("late"))
	k := in.cutover(in.dst)
	k.KeepSource, k.Checkpoint = true, in.checkpoint+".nodelete"
	run(t, k)
	time.Sleep(1100 * time.Millisecond)
	r = run(t, in.cutover(in.dst))
	_, err := in.src.Stat(t.Context(), "db://admin/b/id-00007")
	t.Logf("last: failed %d state %s, %d at the source", r.Failed, r.State, held(t, in.src))
	if err == nil {
		t.Error("ORPHAN: the source that could not be deleted is left, and nobody says so")
	}
}

// A row without a size comes back as it can be read.
func TestARowWithoutSizeComesBackAsItWas(t *testing.T) {
	in := install(t, 20)
	in.exec(`UPDATE archive_metadata SET size = NULL WHERE "archiveId" = 'id-00003'`)
	o := in.cutover(in.dst)
	o.KeepSource = true
	run(t, o)
	run(t, in.back())
	if n := in.rows(`SELECT count(*) FROM archive_metadata WHERE size < 0`); n != 0 {
		t.Errorf("WRONG: %d rows have a negative size", n)
	}
}

// The task of a copy that was interrupted before it had copied anything is the one that the
// migration ends.
func TestACopyThatWasStoppedAtOnceLeavesNoTask(t *testing.T) {
	in := install(t, 20)
	stop := make(chan struct{})
	close(stop)
	r, err := pipeline.Run(t.Context(), stop, in.copyOptions(in.dst))
	if err != nil || !r.Interrupted || r.Round.Copies != 0 {
		t.Fatalf("%v, %+v", err, r)
	}
	again := run(t, in.copyOptions(in.dst))
	if last := run(t, in.cutover(in.dst)); again.TaskID != r.TaskID || last.TaskID != r.TaskID {
		t.Errorf("the copies had tasks %d and %d, the migration %d", r.TaskID, again.TaskID, last.TaskID)
	}
	if n := in.rows(`SELECT count(*) FROM tasks WHERE state <> 'complete'`); n != 0 {
		t.Errorf("%d tasks are not over", n)
	}
}

// Copies are recognised without their record also when a copy was stopped before it had
// looked for them.
func TestCopiesAreRecognisedAfterACopyThatWasStoppedAtOnce(t *testing.T) {
	in := install(t, 20)
	dst, err := db.OpenDB2(t.Context(), db.Database{SQLite: in.cat.SQLite(), Place: in.cat.Place()}) // it tells MD5s
	if err != nil {
		t.Fatal(err)
	}
	run(t, in.copyOptions(dst))
	if err := os.Remove(copies.Path(in.checkpoint)); err != nil {
		t.Fatal(err)
	}
	o := in.copyOptions(dst)
	ctx, kill := context.WithCancel(t.Context())
	o.RoundBegan = func(int64) { kill() }
	if _, err := pipeline.Run(ctx, nil, o); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if there, err := copies.Exists(o.Record); err != nil || !there {
		t.Fatalf("a record is there: %v, %v", there, err)
	}
	if r := run(t, in.copyOptions(dst)); r.Round.Copied != 0 || r.Round.Copies != 20 {
		t.Errorf("%+v", r.Round)
	}
}

// killedBeforeTheProof copies a document and kills the run when it has put it and not proved it.
func (in *installation) killedBeforeTheProof(n int) {
	in.t.Helper()
	ctx, kill := context.WithCancelCause(in.t.Context())
	defer kill(nil)
	_, err := pipeline.Run(ctx, nil, in.copyOptions(&falling{Driver: in.dst, sync: func() error {
		if held(in.t, in.dst) < n {
			return nil // it is the probe that is made durable
		}
		kill(errors.New("killed"))
		return context.Canceled
	}}))
	if err == nil || held(in.t, in.dst) != n {
		in.t.Fatalf("%v, %d at the destination", err, held(in.t, in.dst))
	}
}

// falling is a store in which nothing becomes durable, and neverPut not even written.
type falling struct {
	drivers.Driver
	sync func() error
}

const neverPut = "never put"

func (f *falling) Put(ctx context.Context, uri string, p drivers.Payload) (drivers.Receipt, error) {
	if string(p.Bytes) == neverPut {
		return drivers.Receipt{}, errors.New("the run is killed before that")
	}
	return f.Driver.Put(ctx, uri, p)
}

func (f *falling) Sync(context.Context) error { return f.sync() }

// What a killed copy has put for documents that vanished goes: in the form of now and of an
// earlier copy. What somebody else has put there since stays, be it as young as the rest.
func TestOnlyItsOwnGoesOfWhatAKilledCopyHasPut(t *testing.T) {
	in := install(t, 3)
	run(t, in.copyOptions(in.dst))
	in.write(in.src, key(0), []byte("anew"))
	in.write(in.src, key(1), []byte(neverPut))
	in.write(in.src, key(7), []byte("new"))
	in.write(in.src, key(8), []byte("also new"))
	in.killedBeforeTheProof(5)
	uri, err := in.dst.URI(key(8))
	if err != nil {
		t.Fatal(err)
	}
	mine := []byte("somebody else's")
	if _, err := in.dst.Put(t.Context(), uri, drivers.InMemory(mine, fmt.Sprintf("%x", md5.Sum(mine)))); err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{0, 1, 7, 8} {
		in.erase(in.src, key(n))
	}
	r := run(t, in.cutover(in.dst))
	if held(t, in.dst) != 2 || r.Removed != 3 {
		t.Errorf("%d at the destination, want the document and the foreign one: %+v", held(t, in.dst), r)
	}
	got, _, err := in.dst.Get(t.Context(), uri)
	if err != nil {
		t.Fatal(err)
	}
	defer got.Close()
	var b bytes.Buffer
	if _, err := b.ReadFrom(got); err != nil || !bytes.Equal(b.Bytes(), mine) {
		t.Errorf("LOST: somebody else's payload is %q, %v", b.Bytes(), err)
	}
}
