package pipeline_test

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/pipeline"
	"github.com/kedge/kedge/pipeline/copies"
	"github.com/kedge/kedge/pipeline/failure"
)

// copyOptions copy to dst.
func (in *installation) copyOptions(dst drivers.Driver) pipeline.Options {
	o := in.options(dst)
	o.Job, o.Record, o.Checkpoint = pipeline.Copy, copies.Path(in.checkpoint), in.checkpoint+".copying"
	return o
}

// cutover are the options of the migration after it.
func (in *installation) cutover(dst drivers.Driver) pipeline.Options {
	o := in.options(dst)
	o.Record = copies.Path(in.checkpoint)
	return o
}

// back are those of the way back, when sources were kept.
func (in *installation) back() pipeline.Options {
	o := in.cutover(in.dst)
	o.Job, o.Checkpoint = pipeline.Rollback, in.checkpoint+".back"
	o.Source, o.Destination = o.Destination, o.Source
	return o
}

func run(t *testing.T, o pipeline.Options) pipeline.Result {
	t.Helper()
	r, err := pipeline.Run(t.Context(), nil, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func key(n int) drivers.Key {
	return drivers.Key{UserID: "admin", Bucket: "b", ArchiveID: fmt.Sprintf("id-%05d", n)}
}

// write puts a document as Anchore does, at the store that it is configured with.
func (in *installation) write(at drivers.Driver, key drivers.Key, plain []byte) {
	in.t.Helper()
	uri, err := at.URI(key)
	if err != nil {
		in.t.Fatal(err)
	}
	sum := md5.Sum(plain)
	digest := hex.EncodeToString(sum[:])
	if _, err := at.Put(in.t.Context(), uri, drivers.InMemory(plain, digest)); err != nil {
		in.t.Fatal(err)
	}
	in.exec(`DELETE FROM archive_metadata WHERE bucket = ? AND "archiveId" = ? AND "userId" = ?`, key.Bucket, key.ArchiveID, key.UserID)
	in.exec(`INSERT INTO archive_metadata (bucket, "archiveId", "userId", "documentName", content_url, is_compressed, digest, size, last_updated) VALUES (?, ?, ?, ?, ?, ?, ?, ?, unixepoch())`,
		key.Bucket, key.ArchiveID, key.UserID, key.ArchiveID+".json", uri, false, digest, len(plain))
	in.plain[key] = plain
}

// erase deletes a document as Anchore does.
func (in *installation) erase(at drivers.Driver, key drivers.Key) {
	in.t.Helper()
	uri, err := at.URI(key)
	if err != nil {
		in.t.Fatal(err)
	}
	in.exec(`DELETE FROM archive_metadata WHERE content_url = ?`, uri)
	if err := at.Delete(in.t.Context(), uri); err != nil {
		in.t.Fatal(err)
	}
	delete(in.plain, key)
}

// held is how many payloads a store has.
func held(t *testing.T, d drivers.Driver) (n int) {
	t.Helper()
	if err := d.(drivers.Lister).List(t.Context(), func(string, drivers.Info) error { n++; return nil }); err != nil {
		t.Fatal(err)
	}
	return n
}

// A copy changes no row and deletes nothing, a second one copies only what is new or
// changed, and the migration after it changes rows before it deletes.
func TestCopyAndCutover(t *testing.T) {
	in := install(t, 1000)
	r := run(t, in.copyOptions(in.dst))
	if r.Round.Copied != 1000 || r.Round.Copies != 1000 || r.Failed != 0 || held(t, in.src) != 1000 || held(t, in.dst) != 1000 {
		t.Fatalf("%+v", r)
	}
	rows := in.rows(`SELECT count(*) FROM archive_metadata WHERE content_url NOT LIKE 'db://%'`)
	if rows != 0 {
		t.Fatalf("%d rows were changed", rows)
	}
	in.write(in.src, key(5), []byte("changed"))
	in.write(in.src, key(2000), []byte("new"))
	in.erase(in.src, key(6))
	if r = run(t, in.copyOptions(in.dst)); r.Round.Copied != 2 || r.Counts.Skipped != 998 {
		t.Fatalf("%+v", r)
	}
	in.write(in.src, key(7), []byte("changed again"))
	in.write(in.src, key(2001), []byte("new again"))
	in.erase(in.src, key(8))
	o := in.cutover(in.dst)
	startable := 0
	o.Startable = func(failed, sources int64) {
		startable++
		if failed != 0 || sources != 1000 || held(t, in.src) != 1000 || held(t, in.dst) != 1000 {
			t.Errorf("startable: failed %d, sources %d; source holds %d, destination %d", failed, sources, held(t, in.src), held(t, in.dst))
		}
		if n := in.rows(`SELECT count(*) FROM archive_metadata WHERE content_url LIKE 'db://%'`); n != 0 {
			t.Errorf("%d rows still name the source", n)
		}
	}
	r = run(t, o)
	if startable != 1 || r.Failed != 0 || r.Counts.Moved != 1000 || r.Counts.CopiedBefore != 998 || held(t, in.src) != 0 || in.check() != 1000 {
		t.Errorf("startable %d, %+v", startable, r)
	}
	if there, err := copies.Exists(o.Record); there || err != nil {
		t.Errorf("the record is left: %v, %v", there, err)
	}
}

// rows asks the catalog's database for a number.
func (in *installation) rows(query string) (n int) {
	in.t.Helper()
	if err := in.cat.SQLite().QueryRowContext(in.t.Context(), query).Scan(&n); err != nil {
		in.t.Fatal(err)
	}
	return n
}

// What the destination does not show any more as it was put is moved as if it had never
// been copied.
func TestACopyThatIsNotThereAnyMoreIsNone(t *testing.T) {
	for _, how := range []pipeline.Trust{copies.TrustList, copies.TrustVerify} {
		t.Run(string(how), func(t *testing.T) {
			in := install(t, 300)
			run(t, in.copyOptions(in.dst))
			in.put(key(1), "something else")
			if err := in.dst.Delete(t.Context(), in.destinationOf(key(2))); err != nil {
				t.Fatal(err)
			}
			o := in.cutover(in.dst)
			o.Trust = how
			r := run(t, o)
			if r.CopiesDoubted != 2 || r.Counts.CopiedBefore != 298 || r.Failed != 0 || in.check() != 300 {
				t.Errorf("%+v", r)
			}
		})
	}
}

// A copy of a document that was deleted meanwhile is removed, unless somebody has
// replaced it, or a row names its place.
func TestCopiesOfVanishedDocumentsAreRemoved(t *testing.T) {
	in := install(t, 300)
	run(t, in.copyOptions(in.dst))
	for n := range 3 {
		in.erase(in.src, key(n))
	}
	in.put(key(1), "of somebody else")
	in.exec(`INSERT INTO archive_metadata (bucket, "archiveId", "userId", "documentName", content_url) VALUES ('other', 'x', 'u', 'x.json', ?)`, in.destinationOf(key(2)))
	o := in.cutover(in.dst)
	r := run(t, o)
	if r.Failed != 0 || held(t, in.dst) != 299 {
		t.Errorf("%d at the destination: %+v", held(t, in.dst), r)
	}
	for n, want := range []bool{false, true, true} {
		_, err := in.dst.Stat(t.Context(), in.destinationOf(key(n)))
		if there := err == nil; there != want {
			t.Errorf("copy %d is there: %v", n, there)
		}
	}
}

// With sources kept, the way back changes rows only, but for what was written since; and
// the way there again finds its copies.
func TestRollbackAndAgain(t *testing.T) {
	in := install(t, 600)
	o := in.cutover(in.dst)
	o.KeepSource = true
	run(t, o)
	in.write(in.dst, key(3), []byte("written since"))
	in.write(in.dst, key(700), []byte("new since"))
	in.erase(in.dst, key(4))
	r := run(t, in.back())
	if r.Failed != 0 || r.Counts.Moved != 600 || r.Counts.CopiedBefore != 598 {
		t.Fatalf("%+v", r)
	}
	for k, plain := range in.plain {
		got, _, err := in.src.Get(t.Context(), "db://admin/b/"+k.ArchiveID)
		if err != nil {
			t.Fatalf("%s: %v", k, err)
		}
		var b bytes.Buffer
		if _, err := b.ReadFrom(got); err != nil || !bytes.Equal(b.Bytes(), plain) {
			t.Errorf("%s: %v", k, err)
		}
		got.Close()
	}
	if n := in.rows(`SELECT count(*) FROM archive_metadata WHERE content_url NOT LIKE 'db://%'`); n != 0 {
		t.Fatalf("%d rows do not name the old store", n)
	}
	again := in.cutover(in.dst)
	// What was written since has come to the new store too lately for its version to count:
	// it is read. And the old payload of what was deleted there is kept, as --nodelete asked.
	if r = run(t, again); r.Failed != 0 || r.Counts.CopiedBefore != 600 || held(t, in.src) != 1 {
		t.Errorf("%d left at the source: %+v", held(t, in.src), r)
	}
}

// There is no way back in place without a record, from an old store that was emptied, and
// after sources were deleted.
func TestRollbackIsRefused(t *testing.T) {
	refused := func(t *testing.T, in *installation) {
		t.Helper()
		before := in.rows(`SELECT count(*) FROM archive_metadata WHERE content_url LIKE 'file://%'`)
		var r *failure.RefusedError
		if _, err := pipeline.Run(t.Context(), nil, in.back()); !errors.As(err, &r) {
			t.Errorf("not refused: %v", err)
		} else {
			t.Log(err)
		}
		if n := in.rows(`SELECT count(*) FROM archive_metadata WHERE content_url LIKE 'file://%'`); n != before {
			t.Errorf("%d rows were changed", before-n)
		}
	}
	in := install(t, 20)
	refused(t, in)
	o := in.cutover(in.dst)
	o.KeepSource = true
	run(t, o)
	in.exec(`DELETE FROM archive_document`)
	refused(t, in)

	in = install(t, 20)
	run(t, in.copyOptions(in.dst))
	run(t, in.cutover(in.dst))
	refused(t, in)
}

// Rows are cut off from what a copy was of in every part.
func TestARowThatWasChangedIsNotTakenByTheRecord(t *testing.T) {
	for _, change := range []string{"digest = 'd41d8cd98f00b204e9800998ecf8427e'", "size = 5", "is_compressed = 1", "digest = NULL"} {
		in := install(t, 10)
		run(t, in.copyOptions(in.dst))
		in.exec(`UPDATE archive_metadata SET ` + change + ` WHERE "archiveId" = 'id-00003'`)
		r := run(t, in.cutover(in.dst))
		if r.Counts.CopiedBefore != 9 {
			t.Errorf("%s: %+v", change, r)
		}
	}
}

// Followed, a copy finds what was changed, and is ended in order.
func TestFollow(t *testing.T) {
	in := install(t, 100)
	o := in.copyOptions(in.dst)
	o.FollowEvery = 1 // as soon as can be
	stop := make(chan struct{})
	var rounds []pipeline.Round
	o.Round = func(r pipeline.Round) {
		rounds = append(rounds, r)
		switch len(rounds) {
		case 1:
			in.write(in.src, key(50), []byte("changed"))
			in.write(in.src, key(500), []byte("new"))
		case 2:
			close(stop)
		}
	}
	if _, err := pipeline.Follow(t.Context(), stop, o); err != nil {
		t.Fatal(err)
	}
	if len(rounds) != 2 || rounds[0].Copied != 100 || rounds[1].Copied != 2 || rounds[1].Copies != 101 {
		t.Errorf("%+v", rounds)
	}
	if r := run(t, in.cutover(in.dst)); r.Counts.CopiedBefore != 101 || in.check() != 101 {
		t.Errorf("%+v", r)
	}
}

// A run that was ended anywhere goes on, and ends as one that was not.
func TestCutoverGoesOn(t *testing.T) {
	in := install(t, 1000)
	run(t, in.copyOptions(in.dst))
	o := in.cutover(in.dst)
	stop := make(chan struct{})
	o.Startable = func(int64, int64) { close(stop) }
	r, err := pipeline.Run(t.Context(), stop, o)
	if err != nil || !r.Interrupted {
		t.Fatalf("%+v, %v", r, err)
	}
	in.write(in.dst, key(10), []byte("written since Anchore was started"))
	in.erase(in.dst, key(11))
	o.Startable = nil
	if r = run(t, o); r.Failed != 0 || held(t, in.src) != 0 || in.check() != 999 {
		t.Errorf("%d left at the source: %+v", held(t, in.src), r)
	}
	if !slices.Contains([]int64{1000}, r.Counts.Moved) {
		t.Errorf("%+v", r.Counts)
	}
}

// A migration that deletes leaves alone what one with --nodelete has moved before.
func TestWhatWasKeptStaysKept(t *testing.T) {
	in := install(t, 50)
	o := in.cutover(in.dst)
	o.KeepSource = true
	run(t, o)
	in.write(in.src, key(900), []byte("came late"))
	o.KeepSource = false
	r := run(t, o)
	if r.Counts.Moved != 1 || held(t, in.src) != 50 {
		t.Errorf("%d left at the source: %+v", held(t, in.src), r)
	}
}
