package pipeline_test

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/drivers/localfs"
	"github.com/kedge/kedge/pipeline"
	"github.com/kedge/kedge/pipeline/catalog"
	"github.com/kedge/kedge/pipeline/copies"
)

// unreadable says which documents cannot be read where their rows say.
func (in *installation) unreadable() (list []string) {
	in.t.Helper()
	for k := range in.plain {
		rows, err := in.cat.Rows(in.t.Context(), []drivers.Key{k})
		if err != nil {
			in.t.Fatal(err)
		}
		for _, row := range rows {
			d := in.src
			if strings.HasPrefix(row.URI, in.dst.Prefix()) {
				d = in.dst
			}
			if _, err := d.Stat(in.t.Context(), row.URI); err != nil {
				list = append(list, row.URI)
			}
		}
	}
	return list
}

func open(t *testing.T, o pipeline.Options) *copies.Record {
	t.Helper()
	r, err := copies.Open(o.Record, copies.Opening{Identity: pipeline.RecordIdentity(o), Source: o.Source.URI, Destination: o.Destination.URI})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// A migration that was interrupted goes on after one with --nodelete: what that has kept
// stays.
func TestWhatWasKeptIsNotDeletedByAMigrationThatGoesOn(t *testing.T) {
	in := install(t, 400)
	run(t, in.copyOptions(in.dst))
	o := in.cutover(in.dst)
	o.Buckets = nil
	stop := make(chan struct{})
	o.Startable = nil
	o.Started = func(pipeline.Start) { close(stop) } // as soon as it begins
	if r, err := pipeline.Run(t.Context(), stop, o); err != nil || !r.Interrupted {
		t.Fatalf("%+v %v", r, err)
	}
	o.Started = nil
	kept := in.cutover(in.dst)
	kept.KeepSource, kept.Checkpoint = true, in.checkpoint+".nodelete"
	r := run(t, kept)
	was := held(t, in.src)
	t.Logf("--nodelete moved %d, %d at the source", r.Counts.Moved, was)
	time.Sleep(1100 * time.Millisecond)
	r = run(t, o)
	if held(t, in.src) != was {
		t.Errorf("of %d sources that --nodelete kept, %d are left (resumed %v)", was, held(t, in.src), r.Resumed)
	}
}

// What was kept stays, also where its copy is doubted.
func TestWhatWasKeptAndIsDoubtedStays(t *testing.T) {
	in := install(t, 20)
	o := in.cutover(in.dst)
	o.KeepSource = true
	run(t, o)
	rec := open(t, o)
	page, _, err := rec.Each(copies.Cursor{}, 5, copies.Committed)
	if err != nil {
		t.Fatal(err)
	}
	if err := rec.Doubt(page).Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	rec.Close()
	time.Sleep(1100 * time.Millisecond)
	o.KeepSource = false
	run(t, o)
	if held(t, in.src) != 20 {
		t.Errorf("%d of 20 kept sources are left", held(t, in.src))
	}
}

// After a purge there is no way back in place, whatever is trusted.
func TestThereIsNoWayBackAfterAPurge(t *testing.T) {
	in := install(t, 20)
	o := in.cutover(in.dst)
	o.KeepSource = true
	run(t, o)
	p := in.cutover(in.dst)
	p.Job, p.Checkpoint = pipeline.Purge, in.checkpoint+".purge"
	run(t, p)
	b := in.back()
	b.Trust = copies.TrustRecord
	r, err := pipeline.Run(t.Context(), nil, b)
	t.Logf("rollback: moved %d, failed %d, state %s, %v", r.Counts.Moved, r.Failed, r.State, err)
	if bad := in.unreadable(); len(bad) > 0 {
		t.Errorf("%d rows name what is not there", len(bad))
	}
}

// missing changes a row under one commit.
type meddling struct {
	catalog.Catalog
	before func()
}

func (m *meddling) Commit(ctx context.Context, c []catalog.Change) ([]bool, error) {
	if m.before != nil {
		m.before()
		m.before = nil
	}
	return m.Catalog.Commit(ctx, c)
}

// A copy that was taken back is none for the record.
func TestACopyThatWasTakenBackIsNone(t *testing.T) {
	in := install(t, 20)
	run(t, in.copyOptions(in.dst))
	o := in.cutover(in.dst)
	m := &meddling{Catalog: in.cat, before: func() {
		in.exec(`UPDATE archive_metadata SET content_url = 's3://elsewhere/x' WHERE "archiveId" = 'id-00003'`)
	}}
	o.Catalog = m
	r := run(t, o)
	t.Logf("first: failed %d %v", r.Failed, failures(r))
	in.exec(`UPDATE archive_metadata SET content_url = 'db://admin/b/id-00003' WHERE "archiveId" = 'id-00003'`)
	o.Catalog, o.Trust = in.cat, copies.TrustRecord
	r = run(t, o)
	t.Logf("second: moved %d failed %d", r.Counts.Moved, r.Failed)
	if bad := in.unreadable(); len(bad) > 0 {
		_, err := in.src.Stat(t.Context(), "db://admin/b/id-00003")
		t.Errorf("LOST: %v; at the source: %v", bad, err)
	}
}

// siblings makes an installation whose source is a folder, and two rows of one key with
// different payloads in two roots.
func siblings(t *testing.T) (in *installation, other drivers.Driver) {
	in = install(t, 0)
	folder := t.TempDir()
	var err error
	if in.src, err = localfs.Open(t.Context(), localfs.Options{ArchiveDataDir: filepath.Join(folder, "old")}, true); err != nil {
		t.Fatal(err)
	}
	if other, err = localfs.Open(t.Context(), localfs.Options{ArchiveDataDir: filepath.Join(folder, "older")}, true); err != nil {
		t.Fatal(err)
	}
	in.write(in.src, key(1), []byte("the first"))
	in.exec(`UPDATE archive_metadata SET "documentName" = 'a.json'`)
	save := in.rowsOf()
	in.write(other, key(1), []byte("the second"))
	in.exec(`UPDATE archive_metadata SET "documentName" = 'b.json'`)
	in.exec(`INSERT INTO archive_metadata (bucket, "archiveId", "userId", "documentName", content_url, is_compressed, digest, size) VALUES (?,?,?,?,?,?,?,?)`,
		save.Bucket, save.ArchiveID, save.UserID, save.Name, save.URI, false, save.Digest, save.Bytes)
	return in, other
}

func (in *installation) rowsOf() catalog.Document {
	rows, err := in.cat.Rows(in.t.Context(), []drivers.Key{key(1)})
	if err != nil || len(rows) == 0 {
		in.t.Fatal(rows, err)
	}
	return rows[0]
}

// Of two rows with one key and different bytes none is copied over the other.
func TestRowsOfOneKeyAreNotCopiedOverOneAnother(t *testing.T) {
	in, _ := siblings(t)
	c := in.copyOptions(in.dst)
	c.Elsewhere = pipeline.ElsewhereMove
	r := run(t, c)
	t.Logf("copied %d failed %d %v", r.Round.Copied, r.Failed, failures(r))
	r = run(t, c)
	t.Logf("again: copied %d failed %d %v copies %d", r.Round.Copied, r.Failed, failures(r), r.Round.Copies)
	o := in.cutover(in.dst)
	o.Elsewhere, o.Trust = pipeline.ElsewhereMove, copies.TrustRecord
	r = run(t, o)
	t.Logf("migrate: moved %d failed %d %v", r.Counts.Moved, r.Failed, failures(r))
	rows, _ := in.cat.Rows(t.Context(), []drivers.Key{key(1)})
	for _, row := range rows {
		if !strings.HasPrefix(row.URI, in.dst.Prefix()) {
			continue
		}
		got, err := read(in, in.dst, row.URI)
		t.Logf("%s names %s: %q, %v", row.Name, row.URI, got, err)
		want := map[string]string{"a.json": "the first", "b.json": "the second"}[row.Name]
		if got != want {
			t.Errorf("LOST: %s is %q", row.Name, got)
		}
	}
}
