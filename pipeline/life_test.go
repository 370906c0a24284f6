package pipeline

import (
	"context"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/kedge/kedge/checkpoint"
	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/pipeline/catalog"
	"github.com/kedge/kedge/pipeline/failure"
	"github.com/kedge/kedge/pipeline/journal"
)

// documentIn makes a document that has come to a state.
func documentIn(s state) *item {
	it := &item{doc: catalog.Document{Key: drivers.Key{UserID: "u", Bucket: "b", ArchiveID: s.String()}, Name: "n"}, payload: []byte("x"), digest: "9dd4e461268c8034f5c8564e155c67a6"}
	it.doc.URI, it.dest = "a://u/b/"+s.String(), "z://u/b/"+s.String()
	if it.state = s; s == stateStays || s == stateSourceLeft {
		it.failure = &checkpoint.Failure{Reason: "the first reason"}
	}
	return it
}

// unharmed fails the test unless a document that was asked for what may not be has
// failed, with its row and its source as they were.
func unharmed(t *testing.T, before state, it *item) {
	t.Helper()
	want, class, stage := stateStays, failure.ClassVerify, failure.StageVerify
	switch before {
	case stateStays, stateSourceLeft, stateSourceGone, stateNothingLeft:
		if it.state != before || (it.failure != nil) != (before == stateStays || before == stateSourceLeft) || it.failure != nil && it.failure.Reason != "the first reason" {
			t.Errorf("what had ended %q is %q, %+v", before, it.state, it.failure)
		}
		return
	case stateMovedBefore, stateCommitted:
		want, class, stage = stateSourceLeft, failure.ClassDelete, failure.StageDelete
	}
	if it.state != want || it.failure == nil || it.failure.Class != class || it.failure.Stage != stage || !strings.Contains(it.failure.Reason, "kedge's own") || it.payload != nil {
		t.Errorf("%q became %q, %+v; want %q", before, it.state, it.failure, want)
	}
}

func states() (list []state) {
	for s := range stateCount {
		list = append(list, s)
	}
	return list
}

// Every pair of states: the few ways there are, and that all others fail the
// document and nothing else.
func TestOnlyTheseWaysLeadFromStateToState(t *testing.T) {
	ways := map[[2]string]bool{
		{"found", "held"}: true, {"held", "put"}: true, {"put", "proved"}: true, {"proved", "committed"}: true, {"committed", "source gone"}: true,
		{"found", "moved before"}: true, {"moved before", "committed"}: true,
		{"moved before", "nothing left"}: true, {"committed", "nothing left"}: true,
		{"held", "found"}:    true, // and is streamed then
		{"proved", "copied"}: true, {"found", "copied"}: true, {"copied", "proved"}: true,
	}
	for _, from := range states() {
		for _, to := range states() {
			it := documentIn(from)
			if entered, want := it.enter(to), ways[[2]string{from.String(), to.String()}]; entered != want {
				t.Errorf("from %q to %q: %v", from, to, entered)
			} else if entered && (it.state != to || it.failure != nil) {
				t.Errorf("from %q to %q: it is %q, %+v", from, to, it.state, it.failure)
			} else if !entered {
				unharmed(t, from, it)
			}
		}
	}
}

// What is streamed is put without ever being held, and nothing else is.
func TestWhatIsStreamedIsNeverHeld(t *testing.T) {
	for _, how := range []carriage{streamed, streamedUnchecked} {
		it := documentIn(stateFound)
		it.carriage = how
		if !it.taken(drivers.Receipt{}) || it.state != statePut {
			t.Errorf("%q, %+v", it.state, it.failure)
		}
		it = documentIn(stateFound)
		if it.carriage = how; it.hold([]byte("x"), it.digest, held) {
			t.Error("it is held")
		}
		unharmed(t, stateFound, it)
	}
	it := documentIn(stateHeld)
	if it.letGo(); it.state != stateFound || it.payload != nil || !it.taken(drivers.Receipt{}) {
		t.Errorf("let go, it is %q, %+v", it.state, it.failure)
	}
}

// Whatever a proof says but the digest that was put is none; and the right one
// proves only what was put, or moved before.
func TestWhatProves(t *testing.T) {
	for _, from := range states() {
		for _, md5 := range []string{"", "e"} {
			it := documentIn(from)
			if it.prove(md5) || it.state != from {
				t.Errorf("%q is proved by %q: %q", from, md5, it.state)
			}
		}
		it := documentIn(from)
		proved := it.prove(it.digest)
		switch from {
		case statePut, stateCopied, stateMovedBefore:
			if !proved || it.failure != nil {
				t.Errorf("%q is not proved: %+v", from, it.failure)
			}
		default:
			if proved {
				t.Errorf("%q is proved", from)
			}
			unharmed(t, from, it)
		}
		it = documentIn(from)
		if it.digest = ""; it.prove("") {
			t.Errorf("%q without a digest is proved by nothing", from)
		}
	}
}

// A document fails once, and only while it has not ended.
func TestADocumentFailsForTheFirstReason(t *testing.T) {
	for _, from := range states() {
		it := documentIn(from)
		it.fail(failure.StagePut, failure.ClassPut, errors.New("a\n reason"))
		it.fail(failure.StageCommit, failure.ClassRowChanged, errors.New("another"))
		switch {
		case from == stateSourceGone || from == stateNothingLeft:
			if it.state != from || it.failure != nil {
				t.Errorf("what had ended %q is %q, %+v", from, it.state, it.failure)
			}
		case from == stateStays || from == stateSourceLeft:
			unharmed(t, from, it)
		case it.failure == nil || it.failure.Reason != "a reason" || it.failure.Class != failure.ClassPut || it.payload != nil:
			t.Errorf("%q: %+v", from, it.failure)
		case it.state == stateStays != (from <= stateProved) || it.state == stateSourceLeft != (from > stateProved):
			t.Errorf("%q failed and is %q", from, it.state)
		}
	}
}

// No document ends on its way.
func TestADocumentThatIsStillOnItsWayFails(t *testing.T) {
	for _, how := range []struct{ copying, keep bool }{{}, {keep: true}, {copying: true, keep: true}} {
		for _, from := range states() {
			it := documentIn(from)
			it.conclude(how.copying, how.keep)
			if from <= stateProved && !(how.copying && from == stateCopied) || from == stateMovedBefore && !how.keep {
				unharmed(t, from, it)
			} else if it.state != from {
				t.Errorf("%q became %q", from, it.state)
			}
		}
	}
}

// deleting is a store that notes what is deleted.
type deleting struct {
	drivers.Driver
	batches bool
	prefix  string
	deleted []string
	empty   bool
}

func (d *deleting) Capabilities() drivers.Capabilities {
	return drivers.Capabilities{Workers: 1, BatchDelete: d.batches}
}
func (d *deleting) Prefix() string { return d.prefix }
func (d *deleting) Scheme() string { return d.prefix }
func (d *deleting) URI(k drivers.Key) (string, error) {
	return d.prefix + k.UserID + "/" + k.Bucket + "/" + k.ArchiveID, nil
}

func (d *deleting) Place() string { return d.prefix }

func (d *deleting) Stat(_ context.Context, uri string) (drivers.Info, error) {
	if d.empty {
		return drivers.Info{}, &drivers.Error{Op: "stat", URI: uri, Kind: drivers.NotFound, Err: errors.New("nothing is there")}
	}
	return drivers.Info{}, nil
}

func (d *deleting) Get(context.Context, string) (io.ReadCloser, drivers.Info, error) {
	return io.NopCloser(strings.NewReader("x")), drivers.Info{}, nil
}

func (d *deleting) Delete(_ context.Context, uri string) error {
	d.deleted = append(d.deleted, uri)
	return nil
}

func (d *deleting) DeleteBatch(_ context.Context, uris []string) []error {
	d.deleted = append(d.deleted, uris...)
	return make([]error, len(uris))
}

func (d *deleting) GetBatch(context.Context, []drivers.GetRequest) []drivers.GetResult { return nil }
func (d *deleting) PutBatch(context.Context, []drivers.PutRequest) []drivers.PutResult { return nil }

// allCommitted is a catalog of which every row names the destination.
type allCommitted struct {
	catalog.Catalog
	items []*item
}

func (c allCommitted) Rows(context.Context, []drivers.Key) (rows []catalog.Document, err error) {
	for _, it := range c.items {
		row := it.doc
		row.URI, row.Digest = it.dest, it.digest
		rows = append(rows, row)
	}
	return rows, nil
}

// nothingOdd is a catalog in which nothing speaks against deleting.
type nothingOdd struct{ catalog.Snapshot }

func (nothingOdd) Places(context.Context, []catalog.Form, func(int, bool, string) error) error {
	return nil
}

// A source can be deleted from no state but committed, though the rows, looked at
// once more, say nothing against it, and though stage delete itself is wrong about
// what may go.
func TestASourceIsDeletedOnlyOfWhatIsCommitted(t *testing.T) {
	for _, batches := range []bool{false, true} {
		for name, remove := range map[string]func(*migration, *batch) error{
			"the stage":            func(m *migration, b *batch) error { return m.delete(t.Context(), b) },
			"whatever it is given": func(m *migration, b *batch) error { return m.deleteSources(t.Context(), b.items) },
		} {
			var items []*item
			for _, s := range states() {
				items = append(items, documentIn(s))
			}
			source := &deleting{prefix: "a://", batches: batches}
			m := newMigration(Options{Source: Store{Driver: source}, Destination: Store{Driver: &deleting{prefix: "z://"}}, Catalog: allCommitted{items: items},
				Checkpoint: filepath.Join(t.TempDir(), "checkpoint"), Workers: 1}, nil)
			if err := m.settled.Look(t.Context(), nothingOdd{}, m.src, m.dst); err != nil {
				t.Fatal(err)
			}
			if err := remove(m, &batch{items: items}); err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(source.deleted, []string{"a://u/b/committed"}) {
				t.Errorf("%s, batches %v: deleted %q", name, batches, source.deleted)
			}
			for s, it := range items {
				switch {
				case state(s) == stateCommitted && (it.state != stateSourceGone || it.failure != nil):
					t.Errorf("the committed document is %q, %+v", it.state, it.failure)
				case state(s) != stateCommitted && it.state == stateSourceGone && state(s) != stateSourceGone:
					t.Errorf("of what was %q it is said that its source is gone", state(s))
				}
			}
		}
	}
}

// States are changed in life.go and nowhere else, and sources are deleted in
// deleteSources and what it calls, but for a probe's and for what the torture
// harness breaks on purpose.
func TestStatesChangeInOneFile(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil || len(files) == 0 {
		t.Fatal(err)
	}
	deletes := map[string]int{}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.AssignStmt:
				for _, left := range n.Lhs {
					if s, ok := left.(*ast.SelectorExpr); ok && (s.Sel.Name == "state" || s.Sel.Name == "failure" || s.Sel.Name == "life") && name != "life.go" {
						t.Errorf("%s sets the %s of a document", fset.Position(left.Pos()), s.Sel.Name)
					}
				}
			case *ast.KeyValueExpr:
				if key, ok := n.Key.(*ast.Ident); ok && (key.Name == "life" || key.Name == "state" || key.Name == "failure") {
					t.Errorf("%s makes a document with a %s", fset.Position(n.Pos()), key.Name)
				}
			case *ast.CallExpr:
				s, ok := n.Fun.(*ast.SelectorExpr)
				if !ok {
					break
				}
				if of, ok := s.X.(*ast.SelectorExpr); ok && s.Sel.Name == "Delete" && of.Sel.Name == "src" || s.Sel.Name == "DeleteBatch" {
					deletes[name]++
				}
			}
			return true
		})
	}
	if deletes["delete.go"] != 2 || deletes["commit.go"] != 1 || len(deletes) != 2 {
		t.Errorf("sources are deleted in %v", deletes)
	}
}

// RunWithout is a run whose batches go through all stages but one, one after the
// other.
func RunWithout(ctx context.Context, o Options, left string) (Result, error) {
	m := newMigration(o, nil)
	m.giveUp = func(error) {}
	m.progress.Attach(m.asSeen())
	defer m.progress.End()
	err := m.cat.Lock(ctx, false)
	if err != nil {
		return m.result, err
	}
	defer m.cat.Unlock(ctx)
	if err := m.refuse(ctx); err != nil {
		return m.result, err
	}
	defer func() { m.snapshot.Close() }()
	if m.checkpoint, err = checkpoint.Open(m.Checkpoint, Identity(m.Options)); err != nil {
		return m.result, err
	}
	defer m.checkpoint.Close()
	if m.journal, err = journal.Open(journal.Path(m.Checkpoint), 0); err != nil {
		return m.result, err
	}
	defer m.journal.Close()
	if err := m.begin(ctx); err != nil {
		return m.result, err
	}
	batches := make(chan *batch, 100)
	if err := m.enumerate(ctx, batches); err != nil {
		return m.result, err
	}
	close(batches)
	for b := range batches {
		for _, stage := range []struct {
			name string
			work func(context.Context, *batch) error
		}{
			{"prepare", m.prepare},
			{failure.StageFetch, m.fetch},
			{failure.StageRecompress, m.recompress},
			{failure.StagePut, m.put},
			{failure.StageVerify, m.verify},
			{failure.StageCommit, m.commit},
			{failure.StageDelete, m.delete},
			{"finish", m.finish},
		} {
			if stage.name == left {
				continue
			}
			if err := stage.work(ctx, b); err != nil {
				return m.result, err
			}
		}
	}
	_, err = m.end(ctx, nil)
	return m.result, err
}
