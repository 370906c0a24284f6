package canary_test

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"slices"
	"testing"

	"github.com/kedge/kedge/pipeline/canary"
)

// What Anchore's services have put in the first document's place since it was moved is kept,
// and put back where the deletion has reached it. Its source does not stay.
func TestWhatWasReplacedIsTheFirstAsItIs(t *testing.T) {
	sum := md5.Sum([]byte("n"))
	newer := hex.EncodeToString(sum[:])
	for _, carried := range []bool{false, true} {
		m := move(t, 3)
		m.put(t, m.o.Destination, m.list[0].Key, []byte("n"))
		m.o.Wanted = func(_ context.Context, d canary.Document) (bool, error) {
			return d.Key != m.list[0].Key || d.MD5 == newer || d.MD5 == "", nil
		}
		var left []int
		rest, err := canary.New(m.o).First(t.Context(), m.list, m.delete(carried, &left))
		if carried {
			wantLost(t, err)
		} else if err != nil || !slices.Equal(rest, []int{1, 2}) {
			t.Errorf("%v, %v", rest, err)
		}
		if got := at(t, m.o.Destination, m.list[0].Destination); got != "n" || left != nil {
			t.Errorf("at the destination is %q, left %v", got, left)
		}
	}
}

// The source of a document that they have deleted since goes, and shows nothing.
func TestWhatWasDeletedSinceShowsNothing(t *testing.T) {
	m := move(t, 3)
	if err := m.o.Destination.Delete(t.Context(), m.list[0].Destination); err != nil {
		t.Fatal(err)
	}
	m.o.Wanted = func(_ context.Context, d canary.Document) (bool, error) { return d.Key != m.list[0].Key, nil }
	var left []int
	rest, err := canary.New(m.o).First(t.Context(), m.list, m.delete(false, &left))
	if err != nil || !slices.Equal(rest, []int{2}) || left != nil {
		t.Errorf("%v, left %v, %v", rest, left, err)
	}
	if got := at(t, m.o.Source, m.list[0].Source); got != "" {
		t.Errorf("at the source is %q", got)
	}
	w := canary.New(m.o)
	if rest, err := w.First(t.Context(), m.list[:1], m.delete(false, &left)); err != nil || len(rest) > 0 || w.Known() {
		t.Errorf("%v, %v", rest, err)
	}
	if err := w.End(t.Context()); err != nil {
		t.Error(err)
	}
}

// Nor does one whose row is gone and whose payload is left: that the deletion has reached it
// is no proof that the others' do not.
func TestWhatNobodyWantsProvesNothing(t *testing.T) {
	m := move(t, 3)
	m.o.Wanted = func(_ context.Context, d canary.Document) (bool, error) { return d.Key != m.list[0].Key, nil }
	rest, err := canary.New(m.o).First(t.Context(), m.list, m.delete(true, nil))
	if lost := wantLost(t, err); lost.Document.Key != m.list[1].Key || !slices.Equal(rest, []int{1, 2}) {
		t.Errorf("%v, %v", rest, err)
	}
	for n := 1; n < 3; n++ {
		if got := at(t, m.o.Destination, m.list[n].Destination); got == "" {
			t.Errorf("%d is lost", n)
		}
	}
}
