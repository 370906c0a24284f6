package canary_test

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/pipeline/canary"
)

// The first document is deleted by itself. Where the destination loses it, it is put back.
func TestTheFirstIsPutBack(t *testing.T) {
	m := move(t, 3)
	w := canary.New(m.o)
	_, err := w.First(t.Context(), m.list, m.delete(true, nil))
	if lost := wantLost(t, err); lost.Others {
		t.Errorf("%v", err)
	}
	m.intact(t)
	if got := at(t, m.o.Source, m.list[0].Source); got != "document 0" {
		t.Errorf("at the source is %q", got)
	}
	if _, err := w.First(t.Context(), m.list, canary.Deletion{}); err == nil {
		t.Error("another one may be deleted")
	}
}

// A document that proves nothing is followed by another one, whatever it is that it does not
// show: its source cannot be deleted, or is not there, or is not told.
func TestWhatProvesNothingIsNoCanary(t *testing.T) {
	for name, spoil := range map[string]func(m *moved, how *canary.Deletion){
		"refused": func(m *moved, how *canary.Deletion) {
			carried := how.Delete
			how.Delete = func(ctx context.Context, i int) error {
				if i < 2 {
					return denied(m.list[i].Source)
				}
				return carried(ctx, i)
			}
		},
		"not there": func(m *moved, _ *canary.Deletion) {
			for _, d := range m.list[:2] {
				if err := m.o.Source.Delete(t.Context(), d.Source); err != nil {
					t.Fatal(err)
				}
			}
		},
		"not told": func(m *moved, how *canary.Deletion) {
			m.from.fail(func(uri string) error {
				if uri == m.list[2].Source {
					return nil
				}
				return denied(uri)
			})
			carried := how.Delete
			how.Delete = func(ctx context.Context, i int) error {
				if i < 2 {
					return m.o.Source.Delete(ctx, m.list[i].Source)
				}
				return carried(ctx, i)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := move(t, 5)
			how := m.delete(true, nil)
			if name == "not there" {
				carried := how.Delete
				how.Delete = func(ctx context.Context, i int) error {
					if i < 2 {
						return nil
					}
					return carried(ctx, i)
				}
			}
			spoil(m, &how)
			rest, err := canary.New(m.o).First(t.Context(), m.list, how)
			if wantLost(t, err); !slices.Equal(rest, []int{2, 3, 4}) {
				t.Errorf("%v", rest)
			}
			m.intact(t)
		})
	}
}

// A deletion that fails may have deleted all the same.
func TestADeletionThatFailsMayHaveDeleted(t *testing.T) {
	m := move(t, 3)
	how := m.delete(true, nil)
	carried := how.Delete
	how.Delete = func(ctx context.Context, i int) error {
		return errors.Join(carried(ctx, i), denied(m.list[i].Source))
	}
	_, err := canary.New(m.o).First(t.Context(), m.list, how)
	wantLost(t, err)
	m.intact(t)
}

// What somebody has put meanwhile stays as it is, at both sides, now and by a later run.
func TestNothingIsPutOverWhatIsThere(t *testing.T) {
	m := move(t, 2)
	how := m.delete(true, nil)
	carried := how.Delete
	how.Delete = func(ctx context.Context, i int) error {
		err := carried(ctx, i)
		m.put(t, m.o.Destination, m.list[i].Key, []byte("newer"))
		return err
	}
	w := canary.New(m.o)
	if rest, err := w.First(t.Context(), m.list, how); err != nil || !slices.Equal(rest, []int{1}) {
		t.Fatal(rest, err)
	}
	m.isKept(t, true)
	if err := canary.New(m.o).Recover(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := at(t, m.o.Destination, m.list[0].Destination); got != "newer" {
		t.Errorf("at the destination is %q", got)
	}

	m = move(t, 2)
	m.killed(t)
	m.put(t, m.o.Source, m.list[0].Key, []byte("newer"))
	wantLost(t, canary.New(m.o).Recover(t.Context()))
	m.intact(t)
	if got := at(t, m.o.Source, m.list[0].Source); got != "newer" {
		t.Errorf("at the source is %q", got)
	}
}

// Who deletes a document deletes its payload first, and its row then. It is not lost, and
// shows nothing: the next one is tried.
func TestADocumentThatIsBeingDeletedIsNotLost(t *testing.T) {
	m := move(t, 3)
	asked := 0
	m.o.Wanted = func(context.Context, canary.Document) (bool, error) { asked++; return asked < 3, nil }
	both, source := m.delete(true, nil), m.delete(false, nil)
	how := canary.Deletion{Delete: func(ctx context.Context, i int) error {
		if i == 0 {
			return both.Delete(ctx, i)
		}
		return source.Delete(ctx, i)
	}}
	if rest, err := canary.New(m.o).First(t.Context(), m.list, how); err != nil || !slices.Equal(rest, []int{2}) {
		t.Fatal(rest, err)
	}
	if got := at(t, m.o.Destination, m.list[0].Destination); got != "" {
		t.Errorf("it came back: %q", got)
	}
}

// Where the destination does not say what became of the first one, nothing else is
// deleted, and what is kept of it stays, also where others wait for their turn.
func TestAnotherOnesTurnDoesNotComeAfterAnError(t *testing.T) {
	for range 20 {
		m := move(t, 8)
		w := canary.New(m.o)
		how := m.delete(true, nil)
		carried := how.Delete
		how.Delete = func(ctx context.Context, i int) error {
			m.to.fail(denied)
			return carried(ctx, i)
		}
		var waiting sync.WaitGroup
		for n := range m.list {
			waiting.Go(func() {
				d := how
				d.Delete = func(ctx context.Context, _ int) error { return how.Delete(ctx, n) }
				if _, err := w.First(t.Context(), m.list[n:n+1], d); drivers.KindOf(err) != drivers.Denied {
					t.Errorf("%v", err)
				}
			})
		}
		waiting.Wait()
		m.to.fail(nil)
		wantLost(t, canary.New(m.o).Recover(t.Context()))
		m.intact(t)
	}
}

// A run that ends between the deletion and the look leaves what the next one needs, be it
// the same command or another one. Keys, rows and URIs may have any bytes.
func TestTheNextRunLooksAfterTheFirst(t *testing.T) {
	for _, other := range []bool{false, true} {
		m := move(t, 3)
		m.o.Wanted = func(_ context.Context, d canary.Document) (bool, error) {
			return d.Key == m.list[0].Key && d.Row == m.list[0].Row, nil
		}
		m.killed(t)
		kept := m.o.File
		if err := os.WriteFile(kept+".part", nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if other {
			m.o.File = filepath.Join(filepath.Dir(kept), "other"+canary.Ending)
		}
		only := m.o
		only.LooksOnly = true
		if err := canary.New(only).Recover(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := at(t, m.o.Destination, m.list[0].Destination); got != "" {
			t.Fatalf("a dry run has put back %q", got)
		}
		wantLost(t, canary.New(m.o).Recover(t.Context()))
		m.intact(t)
		if err := os.Remove(m.o.File + ".lost"); err != nil {
			t.Fatal(err)
		}
		if err := canary.New(m.o).Recover(t.Context()); err != nil { // it is there now
			t.Fatal(err)
		}
		if left, _ := filepath.Glob(kept + "*"); !other && left != nil {
			t.Errorf("kept: %q", left)
		}
	}
}

// What is lost later is found at the end, but for what nobody wants any more; and no later
// run says that all is well until somebody has seen to it.
func TestWhatIsLostLater(t *testing.T) {
	for _, wanted := range []bool{true, false} {
		m := move(t, 30)
		m.o.Wanted = func(context.Context, canary.Document) (bool, error) { return wanted, nil }
		w := canary.New(m.o)
		rest, err := w.First(t.Context(), m.list, m.delete(false, nil))
		if err != nil || len(rest) != 29 || rest[0] != 1 || !w.Known() {
			t.Fatal(rest, err)
		}
		last := m.delete(true, nil)
		if err := last.Delete(t.Context(), 29); err != nil {
			t.Fatal(err)
		}
		if err := w.Removed(t.Context(), m.list[1:]); err != nil {
			t.Fatal(err)
		}
		var lost *canary.LostError
		err = w.End(t.Context())
		if errors.As(err, &lost) != wanted || wanted && (lost.Document.Key != m.list[29].Key || !lost.Others) {
			t.Errorf("%v", err)
		}
		if !wanted {
			m.isKept(t, false)
			continue
		}
		for range 2 {
			err := canary.New(m.o).Recover(t.Context())
			if !errors.As(err, &lost) || !strings.Contains(err.Error(), m.o.File+".lost") {
				t.Fatalf("%v", err)
			}
		}
		if err := os.Remove(m.o.File + ".lost"); err != nil {
			t.Fatal(err)
		}
		if err := canary.New(m.o).Recover(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

// A run that is asked to stop before it is known what its deletions do ends, and leaves
// what the next one needs.
func TestAStopKeepsTheFirst(t *testing.T) {
	stop := make(chan struct{})
	close(stop)
	m := move(t, 3)
	m.o.Patience, m.o.Stop = time.Hour, stop
	if _, err := canary.New(m.o).First(t.Context(), m.list, m.delete(false, nil)); !errors.Is(err, canary.ErrStopped) {
		t.Fatal(err)
	}
	m.isKept(t, true)
	if err := canary.New(m.o).Recover(t.Context()); !errors.Is(err, canary.ErrStopped) { // an hour is not over
		t.Fatal(err)
	}
	m.isKept(t, true)
	if err := m.o.Destination.Delete(t.Context(), m.list[0].Destination); err != nil {
		t.Fatal(err)
	}
	wantLost(t, canary.New(m.o).Recover(t.Context()))
	m.intact(t)

	m = move(t, 3)
	m.o.Patience, m.o.Stop = 2*time.Second, stop
	w := canary.New(m.o)
	if _, err := w.First(t.Context(), m.list, m.delete(false, nil)); err != nil {
		t.Fatal(err)
	}
	if err := w.End(t.Context()); err != nil {
		t.Fatal(err)
	}
	m.isKept(t, true)
}

// The shortest document is the first; one of unknown length is the last.
func TestTheShortestIsTheFirst(t *testing.T) {
	m := move(t, 0)
	for n, length := range []int{300, 20, 4000, 100} {
		key := drivers.Key{UserID: "admin", Bucket: "b", ArchiveID: fmt.Sprint(n)}
		payload := []byte(strings.Repeat("x", length))
		sum := md5.Sum(payload)
		d := canary.Document{Name: key.String(), Key: key, MD5: hex.EncodeToString(sum[:]), Bytes: int64(length)}
		d.Source, d.Destination = m.put(t, m.o.Source, key, payload), m.put(t, m.o.Destination, key, payload)
		m.list = append(m.list, d)
	}
	m.list[0].MD5, m.list[0].Bytes = "", -1
	if rest, err := canary.New(m.o).First(t.Context(), m.list, m.delete(false, nil)); err != nil || !slices.Equal(rest, []int{3, 2, 0}) {
		t.Error(rest, err)
	}
	if rest, err := canary.New(m.o).First(t.Context(), m.list[:1], m.delete(false, nil)); err != nil || len(rest) > 0 {
		t.Error(rest, err)
	}
}

// A source stays where the destination does not show the document before; and all do where
// it does not answer. That does not end the run.
func TestWhatTheDestinationDoesNotShowIsLeft(t *testing.T) {
	m := move(t, 4)
	m.put(t, m.o.Destination, m.list[0].Key, []byte("document ?"))
	m.to.fail(func(uri string) error {
		if uri == m.list[1].Destination {
			return denied(uri)
		}
		return nil
	})
	var left []int
	w := canary.New(m.o)
	if rest, err := w.First(t.Context(), m.list, m.delete(false, &left)); err != nil || !slices.Equal(rest, []int{3}) || !slices.Equal(left, []int{0, 1}) {
		t.Errorf("%v, left %v, %v", rest, left, err)
	}
	m.to.fail(func(uri string) error {
		return &drivers.Error{Op: "stat", URI: uri, Kind: drivers.Temporary, Err: errors.New("no answer")}
	})
	left = nil
	if rest, err := canary.New(m.o).First(t.Context(), m.list, m.delete(false, &left)); err != nil || len(rest) > 0 || !slices.Equal(left, []int{0, 1, 2, 3}) {
		t.Errorf("%v, left %v, %v", rest, left, err)
	}
	for _, n := range []int{0, 1, 3} {
		if got := at(t, m.o.Source, m.list[n].Source); got == "" {
			t.Errorf("the source of %d is gone", n)
		}
	}
}
