package anchore

import (
	"cmp"
	"context"
	"net"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// defaultSilence is how long a statement may go without a byte of its answer.
// The longest ones look at every row of the catalog.
const defaultSilence = 10 * time.Minute

// silence is the options' own, or the default.
func (o Options) silence() time.Duration { return cmp.Or(o.Silence, defaultSilence) }

// patiently makes connections that are given up when the server is silent for so
// long. Without that a server that is there and does not answer, or a machine
// between that takes everything and passes nothing on, would keep a statement
// waiting for ever: TCP itself has nothing to complain about.
func patiently(dial pgconn.DialFunc, silence time.Duration) pgconn.DialFunc {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &patientConn{Conn: c, silence: silence}, nil
	}
}

// patientConn bounds every Read. A deadline that is set from outside, as for a
// context that has ended, goes before it where it is earlier.
type patientConn struct {
	net.Conn
	silence time.Duration

	mu       sync.Mutex
	deadline time.Time // from outside
}

// Read fails when nothing came for as long as the server may be silent.
func (c *patientConn) Read(p []byte) (int, error) {
	if err := c.bound(); err != nil {
		return 0, err
	}
	return c.Conn.Read(p)
}

func (c *patientConn) bound() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	until := time.Now().Add(c.silence)
	if !c.deadline.IsZero() && c.deadline.Before(until) {
		until = c.deadline
	}
	return c.Conn.SetReadDeadline(until)
}

// SetDeadline implements net.Conn.
func (c *patientConn) SetDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.deadline = t
	return c.Conn.SetDeadline(t)
}

// SetReadDeadline implements net.Conn.
func (c *patientConn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.deadline = t
	return c.Conn.SetReadDeadline(t)
}
