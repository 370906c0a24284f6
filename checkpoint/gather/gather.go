// Package gather writes changes to a bbolt file in the order in which they come, as
// many of them as have come in meanwhile in one transaction, so that they share one
// fsync.
package gather

import (
	"context"
	"fmt"

	bolt "go.etcd.io/bbolt"

	"github.com/kedge/kedge/internal/crash"
)

// atOnce bounds how many changes wait, and how many share a transaction.
const atOnce = 64

// Ticket is a promise that a change will be durable.
type Ticket struct {
	done chan struct{}
	err  error
}

// Wait returns when the change is durable, with an error when it could not be
// made so, or when ctx ends.
func (t *Ticket) Wait(ctx context.Context) error {
	select {
	case <-t.done:
		return t.err
	default:
	}
	select {
	case <-t.done:
		return t.err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

type change struct {
	apply  func(*bolt.Tx) error
	ticket *Ticket
}

// Options say for which file a Writer is.
type Options struct {
	DB *bolt.DB
	// What names the file for errors: "checkpoint /var/lib/…".
	What string
	// Last is called at the end of each transaction, behind its changes.
	Last func(*bolt.Tx) error
	// Point is the crash.Point behind each transaction.
	Point string
}

// Writer is one goroutine that writes. Its methods are safe for concurrent use.
type Writer struct {
	Options
	changes chan change
	done    chan struct{} // closed when the goroutine has ended
	failed  error         // the first error; read after done
}

// New starts a Writer. Who has it must Close it before the database.
func New(o Options) *Writer {
	w := &Writer{Options: o, changes: make(chan change, atOnce), done: make(chan struct{})}
	go w.write()
	return w
}

// Change asks for a change. apply is called in the Writer's goroutine.
func (w *Writer) Change(apply func(*bolt.Tx) error) *Ticket {
	t := &Ticket{done: make(chan struct{})}
	w.changes <- change{apply: apply, ticket: t}
	return t
}

// Close writes what is still waiting. It returns the first error of any write.
// Nothing may be asked for afterwards.
func (w *Writer) Close() error {
	close(w.changes)
	<-w.done
	return w.failed
}

// write takes what has come in while the last transaction was being written. After a
// failed write the file's state is unknown to the run, so every later change fails too.
func (w *Writer) write() {
	defer close(w.done)
	for first := range w.changes {
		group := []change{first}
		for more := true; more && len(group) < atOnce; {
			select {
			case next, ok := <-w.changes:
				if more = ok; ok {
					group = append(group, next)
				}
			default:
				more = false
			}
		}
		if w.failed == nil {
			if err := w.DB.Update(func(tx *bolt.Tx) error { return w.applyAll(tx, group) }); err != nil {
				w.failed = fmt.Errorf("write %s: %w", w.What, err)
			}
		}
		crash.Point(w.Point)
		for _, ch := range group {
			ch.ticket.err = w.failed
			close(ch.ticket.done)
		}
	}
}

func (w *Writer) applyAll(tx *bolt.Tx, group []change) error {
	for _, ch := range group {
		if err := ch.apply(tx); err != nil {
			return err
		}
	}
	return w.Last(tx)
}
