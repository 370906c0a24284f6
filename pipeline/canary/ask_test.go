package canary_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/pipeline/canary"
)

func noAnswer(uri string) error {
	return &drivers.Error{Op: "stat", URI: uri, Kind: drivers.Temporary, Err: errors.New("no answer")}
}

// A destination that is out right after the first deletion ends no run. The other sources
// stay until it says what became of the first document.
func TestADestinationThatIsOutAfterTheFirstDeletion(t *testing.T) {
	for _, carried := range []bool{false, true} {
		m := move(t, 4)
		w := canary.New(m.o)
		var left []int
		how := m.delete(carried, &left)
		deletes := how.Delete
		how.Delete = func(ctx context.Context, i int) error {
			defer m.to.fail(noAnswer)
			return deletes(ctx, i)
		}
		if rest, err := w.First(t.Context(), m.list, how); err != nil || len(rest) > 0 || !slices.Equal(left, []int{1, 2, 3}) {
			t.Fatalf("%v, left %v, %v", rest, left, err)
		}
		m.isKept(t, true)
		left = nil
		how.Delete = func(context.Context, int) error { t.Error("another one is deleted"); return nil }
		if rest, err := w.First(t.Context(), m.list[1:], how); err != nil || len(rest) > 0 || !slices.Equal(left, []int{0, 1, 2}) || w.Known() {
			t.Fatalf("%v, left %v, %v", rest, left, err)
		}
		if err := w.Removed(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		m.to.fail(nil)
		rest, err := w.First(t.Context(), m.list[1:], how)
		if carried {
			wantLost(t, err)
			m.intact(t)
			continue
		}
		if err != nil || !slices.Equal(rest, []int{0, 1, 2}) || !w.Known() {
			t.Fatal(rest, err)
		}
	}
}

// Nor does one that is out when a later look is due; and at the end it must answer.
func TestADestinationThatIsOutLater(t *testing.T) {
	m := move(t, 30)
	w := canary.New(m.o)
	if _, err := w.First(t.Context(), m.list, m.delete(false, nil)); err != nil {
		t.Fatal(err)
	}
	canary.LookNow(w)
	m.to.fail(noAnswer)
	if err := w.Removed(t.Context(), m.list[1:20]); err != nil {
		t.Fatal(err)
	}
	var left []int
	if rest, err := w.First(t.Context(), m.list[20:22], m.delete(false, &left)); err != nil || len(rest) > 0 || !slices.Equal(left, []int{0, 1}) {
		t.Fatalf("%v, left %v, %v", rest, left, err)
	}
	m.to.fail(nil)
	if rest, err := w.First(t.Context(), m.list[20:22], m.delete(false, nil)); err != nil || !slices.Equal(rest, []int{0, 1}) {
		t.Fatal(rest, err)
	}
	m.to.fail(noAnswer)
	if err := w.End(t.Context()); drivers.KindOf(err) != drivers.Temporary {
		t.Fatal(err)
	}
	m.isKept(t, true)
}

// A source that was gone before it was deleted begins nothing: no look is due.
func TestASourceThatWasGoneBefore(t *testing.T) {
	m := move(t, 2)
	if err := m.o.Source.Delete(t.Context(), m.list[0].Source); err != nil {
		t.Fatal(err)
	}
	w := canary.New(m.o)
	how := canary.Deletion{Delete: func(context.Context, int) error { return nil }}
	if rest, err := w.First(t.Context(), m.list[:1], how); err != nil || len(rest) > 0 {
		t.Fatal(rest, err)
	}
	done := make(chan error, 1)
	go func() { done <- w.Removed(t.Context(), nil) }()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(time.Minute):
		t.Fatal("it does not return")
	}
	if err := w.End(t.Context()); err != nil {
		t.Error(err)
	}
}
