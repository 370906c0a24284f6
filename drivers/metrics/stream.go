package metrics

import (
	"io"
	"sync/atomic"
	"time"
)

// body is a payload that is being read: the time that its reader takes between
// two reads is not the back end's.
type body struct {
	inner io.ReadCloser
	meter *Meter
	took  time.Duration
	err   error
	ended bool
}

// Read passes on.
func (b *body) Read(p []byte) (int, error) {
	begun := time.Now()
	n, err := b.inner.Read(p)
	b.took += time.Since(begun)
	b.meter.bytes.Add(int64(n))
	if err != nil && err != io.EOF {
		b.err = err
	}
	return n, err
}

// Close ends the operation.
func (b *body) Close() error {
	begun := time.Now()
	err := b.inner.Close()
	if !b.ended {
		b.ended = true
		b.meter.ended(b.took+time.Since(begun), b.err)
	}
	return err
}

// feed is the source of a streamed payload.
type feed struct {
	io.ReadCloser
	spent *spent
}

// Read passes on.
func (f *feed) Read(p []byte) (int, error) {
	defer f.spent.since(time.Now())
	return f.ReadCloser.Read(p)
}

// spent adds up times.
type spent struct{ nanoseconds atomic.Int64 }

func (s *spent) since(begun time.Time) { s.nanoseconds.Add(int64(time.Since(begun))) }

func (s *spent) total() time.Duration { return time.Duration(s.nanoseconds.Load()) }
