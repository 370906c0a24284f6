package pipeline_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/pipeline"
	"github.com/kedge/kedge/pipeline/catalog"
	"github.com/kedge/kedge/pipeline/failure"
	"github.com/kedge/kedge/pipeline/store"
)

// lookedThroughLate is a catalog that is looked through only when it is released,
// and after so many commits it is.
type lookedThroughLate struct {
	catalog.Catalog
	commits  int
	check    func()
	released chan struct{}
	err      error

	mu   sync.Mutex
	made int
}

func (l *lookedThroughLate) Commit(ctx context.Context, changes []catalog.Change) ([]bool, error) {
	applied, err := l.Catalog.Commit(ctx, changes)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.made++; l.made == l.commits {
		l.check()
		close(l.released)
	}
	return applied, err
}

func (l *lookedThroughLate) Snapshot(ctx context.Context) (catalog.Snapshot, error) {
	s, err := l.Catalog.Snapshot(ctx)
	return &lateSnapshot{s, l}, err
}

type lateSnapshot struct {
	catalog.Snapshot
	catalog *lookedThroughLate
}

func (s *lateSnapshot) Lasting() bool { return true }

func (s *lateSnapshot) Places(ctx context.Context, forms []catalog.Form, fn func(int, bool, string) error) error {
	select {
	case <-s.catalog.released:
	case <-ctx.Done():
		return ctx.Err()
	}
	if s.catalog.err != nil {
		return s.catalog.err
	}
	return s.Snapshot.Places(ctx, forms, fn)
}

// deletions counts the deletions of a source.
type deletions struct {
	drivers.Driver
	made atomic.Int64
}

func (d *deletions) Delete(ctx context.Context, uri string) error {
	d.made.Add(1)
	return d.Driver.Delete(ctx, uri)
}

func (d *deletions) DeleteBatch(ctx context.Context, uris []string) []error {
	d.made.Add(int64(len(uris)))
	return d.Driver.(drivers.Batcher).DeleteBatch(ctx, uris)
}

func (d *deletions) GetBatch(ctx context.Context, requests []drivers.GetRequest) []drivers.GetResult {
	return d.Driver.(drivers.Batcher).GetBatch(ctx, requests)
}

func (d *deletions) PutBatch(ctx context.Context, requests []drivers.PutRequest) []drivers.PutResult {
	return d.Driver.(drivers.Batcher).PutBatch(ctx, requests)
}

// begun has a migration begun and interrupted before anything was moved, so that
// the next run resumes it.
func (in *installation) begun() {
	in.t.Helper()
	stop := make(chan struct{})
	o := in.options(in.dst)
	o.Started = func(pipeline.Start) { close(stop) }
	if r, err := pipeline.Run(in.t.Context(), stop, o); err != nil || !r.Interrupted {
		in.t.Fatalf("the run that is to be resumed: %+v, %v", r, err)
	}
}

// A resumed run moves documents before it has looked through the catalog, but
// overwrites and deletes nothing before.
func TestAResumedRunTakesNoRiskBeforeItHasLookedThroughTheCatalog(t *testing.T) {
	in := install(t, 1400) // six batches
	in.begun()
	key := func(id string) drivers.Key { return drivers.Key{UserID: "admin", Bucket: "b", ArchiveID: id} }
	taken, err := in.dst.URI(key("id-00003"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := in.dst.Put(t.Context(), taken, drivers.InMemory([]byte("precious"), "")); err != nil {
		t.Fatal(err)
	}
	const row = `INSERT INTO archive_metadata (bucket, "archiveId", "userId", "documentName", content_url, is_compressed, size) VALUES ('x', ?, 'u', '', ?, false, 8)`
	in.exec(row, "at the destination", taken)
	in.exec(row, "at the source", "db://admin/b/id-00005")

	source := &deletions{Driver: in.src}
	late := &lookedThroughLate{Catalog: in.cat, commits: 5, released: make(chan struct{})}
	late.check = func() {
		if n := source.made.Load(); n != 0 {
			t.Errorf("%d sources were deleted", n)
		}
	}
	o := in.options(in.dst)
	o.Source.Driver, o.Catalog = source, late
	r, err := pipeline.Run(t.Context(), nil, o)
	if err != nil || !r.Resumed || r.Counts.Moved != 1399 || failures(r)[failure.ClassPlaceTaken] != 1 {
		t.Fatalf("%+v, %v", r, err)
	}
	if payload, _ := read(in, in.dst, taken); payload != "precious" {
		t.Errorf("the payload of a row that does not say so by its key was overwritten with %q", payload)
	}
	if payload, err := read(in, in.src, "db://admin/b/id-00005"); err != nil {
		t.Errorf("the payload that another row names was deleted (%q, %v)", payload, err)
	}
	if n := source.made.Load(); n != 1398 {
		t.Errorf("%d sources were deleted, want all but one of what was moved", n)
	}
}

// What the look through the catalog finds out late ends the run before anything
// is deleted.
func TestARefusalWhileDocumentsAreMoved(t *testing.T) {
	in := install(t, 300)
	in.begun()
	source := &deletions{Driver: in.src}
	refused := &pipeline.RefusedError{Reason: "it meets another"}
	late := &lookedThroughLate{Catalog: in.cat, commits: 1, released: make(chan struct{}), check: func() {}, err: refused}
	o := in.options(in.dst)
	o.Source.Driver, o.Catalog = source, late
	r, err := pipeline.Run(t.Context(), nil, o)
	var got *pipeline.RefusedError
	if !errors.As(err, &got) || r.State != catalog.TaskFailed || source.made.Load() != 0 {
		t.Errorf("%+v, %v; %d sources were deleted", r, err, source.made.Load())
	}
	if r, err := pipeline.Run(t.Context(), nil, in.options(in.dst)); err != nil || r.Counts.Moved != 300 || r.Documents != 300 {
		t.Errorf("the next run: %+v, %v", r, err)
	}
	if moved := in.check(); moved != 300 {
		t.Errorf("%d documents are moved", moved)
	}
}

// read reads a payload from a store.
func read(in *installation, d drivers.Driver, uri string) (string, error) {
	payload, err := store.ReadPlain(in.t.Context(), d, catalog.Document{URI: uri, Bytes: -1})
	return string(payload), err
}
