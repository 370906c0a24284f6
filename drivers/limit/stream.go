package limit

import (
	"context"
	"io"
	"sync/atomic"
)

// maxReadBytes is the most that is read of a stream before it is waited for.
const maxReadBytes = 64 << 10

// metered is a stream that waits for the bytes that were read of it before it
// hands them on. ctx is the one that the stream was opened with; what was spent
// waiting is added to spent in nanoseconds, where that is not nil.
func (m *meters) metered(ctx context.Context, r io.ReadCloser, spent *atomic.Int64) io.ReadCloser {
	if m.bytes == nil {
		return r
	}
	s := &stream{inner: r, meter: m.bytes, spent: spent}
	s.ctx, s.close = context.WithCancel(ctx)
	return s
}

// stream is read in pieces that are waited for.
type stream struct {
	inner io.ReadCloser
	meter *meter
	spent *atomic.Int64
	ctx   context.Context // ends with the stream, too
	close context.CancelFunc
}

// Read reads a piece and waits for it. A wait that is cut short, by the context
// or by Close, is no failure of the stream: what ended it is for the driver and
// the reader to tell, as it is without a limit. To an S3 server that refuses a
// payload half-way, for one, Put owes its reason, and not that reading was
// broken off then.
func (s *stream) Read(p []byte) (int, error) {
	if most := min(s.meter.piece, maxReadBytes); int64(len(p)) > most {
		p = p[:most]
	}
	n, err := s.inner.Read(p)
	waited, _ := s.meter.take(s.ctx, int64(n))
	if s.spent != nil {
		s.spent.Add(int64(waited))
	}
	return n, err
}

// Close ends a wait that is under way, and closes the stream.
func (s *stream) Close() error {
	s.close()
	return s.inner.Close()
}
