package checkpoint

import (
	"context"
	"fmt"

	bolt "go.etcd.io/bbolt"

	"github.com/kedge/kedge/internal/crash"
)

// change is one change of the file: the header as it is after it, and what else
// it writes.
type change struct {
	header Header
	apply  func(*bolt.Tx) error
	ticket *Ticket
}

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

// change updates the header and hands the change to the writer. The lock is
// held while sending so that changes arrive in the order of their headers.
func (c *Checkpoint) change(update func(*Header), apply func(*bolt.Tx) error) *Ticket {
	t := &Ticket{done: make(chan struct{})}
	c.mu.Lock()
	defer c.mu.Unlock()
	update(&c.header)
	c.changes <- change{header: c.header, apply: apply, ticket: t}
	return t
}

// write is the writer goroutine: one transaction, and so one fsync, for all
// that has come in while the last one was being written. After a failed write
// the file's state is unknown to the run, so every later change fails too.
func (c *Checkpoint) write() {
	defer close(c.done)
	for first := range c.changes {
		group := []change{first}
		for more := true; more && len(group) < cap(c.changes); {
			select {
			case next, ok := <-c.changes:
				if more = ok; ok {
					group = append(group, next)
				}
			default:
				more = false
			}
		}
		if c.failed == nil {
			if err := c.db.Update(func(tx *bolt.Tx) error { return c.applyAll(tx, group) }); err != nil {
				c.failed = fmt.Errorf("write checkpoint %s: %w", c.path, err)
			}
		}
		crash.Point("checkpointed")
		for _, ch := range group {
			ch.ticket.err = c.failed
			close(ch.ticket.done)
		}
	}
}

func (c *Checkpoint) applyAll(tx *bolt.Tx, group []change) error {
	for _, ch := range group {
		if ch.apply == nil {
			continue
		}
		if err := ch.apply(tx); err != nil {
			return err
		}
	}
	return c.putHeader(tx, group[len(group)-1].header)
}
