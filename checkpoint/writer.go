package checkpoint

import (
	bolt "go.etcd.io/bbolt"

	"github.com/kedge/kedge/checkpoint/gather"
)

// Ticket is a promise that a change will be durable.
type Ticket = gather.Ticket

// start starts the goroutine that writes.
func (c *Checkpoint) start() {
	c.writer = gather.New(gather.Options{
		DB: c.db, What: "checkpoint " + c.path, Point: "checkpointed",
		Last: func(tx *bolt.Tx) error { return c.putHeader(tx, c.last) },
	})
}

// change updates the header and hands the change to the writer. The lock is
// held while sending so that changes arrive in the order of their headers.
func (c *Checkpoint) change(update func(*Header), apply func(*bolt.Tx) error) *Ticket {
	c.mu.Lock()
	defer c.mu.Unlock()
	update(&c.header)
	header := c.header
	return c.writer.Change(func(tx *bolt.Tx) error {
		c.last = header
		if apply == nil {
			return nil
		}
		return apply(tx)
	})
}
