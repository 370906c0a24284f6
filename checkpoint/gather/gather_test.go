package gather

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"
)

func TestWaitEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if err := (&Ticket{done: make(chan struct{})}).Wait(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

// What comes while a transaction is held up is written with the next one, in its order.
func TestChangesShareATransaction(t *testing.T) {
	db, err := bolt.Open(filepath.Join(t.TempDir(), "file"), 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var order []int
	transactions := map[int]bool{}
	w := New(Options{DB: db, What: "file", Last: func(tx *bolt.Tx) error {
		transactions[tx.ID()] = true
		return nil
	}})
	begun, goOn := make(chan struct{}), make(chan struct{})
	w.Change(func(*bolt.Tx) error { close(begun); <-goOn; return nil })
	<-begun
	var last *Ticket
	for i := range 20 {
		last = w.Change(func(*bolt.Tx) error { order = append(order, i); return nil })
	}
	close(goOn)
	if err := last.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if len(transactions) != 2 || len(order) != 20 {
		t.Errorf("%d transactions wrote %d changes; want 2 and 20", len(transactions), len(order))
	}
	for i, n := range order {
		if n != i {
			t.Fatalf("order %v", order)
		}
	}
}
