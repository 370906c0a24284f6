package httpstore

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"io"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/kedge/kedge/drivers"
)

// PartBytes is the length of the parts of a payload of length bytes (-1 if not
// known): the usual one, more where there would be more parts than most, less
// where the payload is shorter.
func PartBytes(length, usual, most int64) int64 {
	switch {
	case length > usual*most:
		const mebibyte = 1 << 20
		size := (length + most - 1) / most
		return (size + mebibyte - 1) / mebibyte * mebibyte
	case length >= 0 && length < usual:
		return max(length, 1)
	}
	return usual
}

// Stream is a payload that is put while it is read.
type Stream struct {
	Announced
	Buffers   Buffers
	PartBytes int64
	// Whole puts a payload that is not longer than a part.
	Whole func(ctx context.Context, payload []byte) (drivers.Receipt, error)
	// Large puts a longer one. It calls Send, once at most.
	Large func(ctx context.Context, parts *Parts) (drivers.Receipt, error)
}

// Put reads the first part and decides by it how the payload travels.
func (s Stream) Put(ctx context.Context, p drivers.Payload) (drivers.Receipt, error) {
	r, err := p.Open(ctx)
	if err != nil {
		return drivers.Receipt{}, s.Unread(err)
	}
	defer r.Close()
	parts := &Parts{stream: s, cutter: cutter{r: r}, buffer: s.Buffers.get(s.PartBytes)}
	defer func() {
		if parts.buffer != nil {
			s.Buffers.put(parts.buffer)
		}
	}()
	first, last, err := parts.cutter.next(*parts.buffer)
	switch {
	case err != nil:
		return drivers.Receipt{}, s.Unread(err)
	case last:
		receipt, err := s.Whole(ctx, first)
		if err != nil {
			parts.buffer = nil // see lanes.send
		}
		return receipt, err
	case s.Length >= 0 && s.Length <= int64(len(first)):
		return drivers.Receipt{}, s.Longer()
	}
	parts.first = first
	return s.Large(ctx, parts)
}

// Parts are the parts of a long payload, the first of which has been read.
type Parts struct {
	stream Stream
	cutter cutter
	buffer *[]byte // holds first, until it is sent
	first  []byte
}

// Sending says how parts are sent.
type Sending struct {
	// AtOnce is how many are on their way while the next one is read, each in a
	// buffer of its own. 0: one after the other, in one buffer.
	AtOnce int
	// Most is how many there may be.
	Most int
	// Called and Mend are for the message where there are more: what they are
	// called, and what the operator can do about it.
	Called, Mend string
	// Part sends one part; number begins with 1. Where AtOnce is above 1 it is
	// called concurrently. The part's bytes are no longer its own when it returns.
	Part func(ctx context.Context, number int, part []byte) error
}

// Send sends all parts, compares them with what the payload was said to be, and
// tells the length and the MD5 of them together. It returns when none is on its way
// any more. The error of a part comes before that of reading the next one.
func (p *Parts) Send(ctx context.Context, how Sending) (length int64, sum string, err error) {
	l := newLanes(ctx, p.stream.Buffers, how)
	defer l.release()
	buffer, part, last := p.buffer, p.first, false
	p.buffer = nil
	whole := md5.New()
	for number := 1; ; number++ {
		whole.Write(part)
		length += int64(len(part))
		if err = p.admit(number, length, how); err != nil {
			l.free <- buffer
			break
		}
		if err = l.send(number, buffer, part); err != nil || last {
			break
		}
		if buffer, err = l.next(p.stream.PartBytes); err != nil {
			break
		}
		if part, last, err = p.cutter.next(*buffer); err != nil {
			l.free <- buffer
			err = p.stream.Unread(err)
			break
		}
	}
	if failed := l.group.Wait(); failed != nil {
		err = failed // it came first: what is read after it fails for it
	}
	sum = hex.EncodeToString(whole.Sum(nil))
	if err == nil {
		err = p.stream.Check(length, sum)
	}
	return length, sum, err
}

// admit says why a part cannot be sent.
func (p *Parts) admit(number int, length int64, how Sending) error {
	switch s := p.stream; {
	case s.Length >= 0 && length > s.Length:
		return s.Longer()
	case number > how.Most:
		return &drivers.Error{
			Op: "put", URI: s.URI, Kind: drivers.TooLarge,
			Err:  fmt.Errorf("more than %d %s, with a length that was not known before", how.Most, how.Called),
			Mend: how.Mend,
		}
	}
	return nil
}

// lanes are the parts on their way.
type lanes struct {
	how     Sending
	buffers Buffers
	// free are buffers that go round among the senders: a sync.Pool might not find
	// the one that another processor has just given back, and make one more.
	free   chan *[]byte
	group  *errgroup.Group
	ctx    context.Context // of the caller
	shared context.Context // of the group
}

func newLanes(ctx context.Context, buffers Buffers, how Sending) *lanes {
	l := &lanes{how: how, buffers: buffers, free: make(chan *[]byte, how.AtOnce+1), ctx: ctx}
	l.group, l.shared = errgroup.WithContext(ctx)
	l.group.SetLimit(how.AtOnce)
	return l
}

// send sends a part, or lets it go on its way, and gives its buffer back. Where a
// server answers before it has read a part, with an error, the transport may still
// read that: such a buffer is not used again.
func (l *lanes) send(number int, buffer *[]byte, part []byte) error {
	if l.how.AtOnce == 0 {
		l.free <- buffer
		return l.how.Part(l.ctx, number, part)
	}
	l.group.Go(func() error {
		err := l.how.Part(l.shared, number, part)
		if err == nil {
			l.free <- buffer
		}
		return err
	})
	return nil
}

// next is a buffer for the next part; an error where one has failed.
func (l *lanes) next(size int64) (*[]byte, error) {
	if l.how.AtOnce > 0 && l.shared.Err() != nil {
		return nil, l.shared.Err()
	}
	select {
	case buffer := <-l.free:
		return buffer, nil
	default:
		return l.buffers.get(size), nil
	}
}

// release gives the buffers back, when no part is on its way any more.
func (l *lanes) release() {
	close(l.free)
	for buffer := range l.free {
		l.buffers.put(buffer)
	}
}

// Buffers lends the memory for parts. Only buffers of the usual length come back:
// others are as long as one payload wanted. Safe for concurrent use.
type Buffers struct {
	size int64
	pool *sync.Pool
}

// NewBuffers makes buffers for parts of so many bytes.
func NewBuffers(size int64) Buffers {
	return Buffers{size: size, pool: &sync.Pool{New: func() any {
		b := make([]byte, size)
		return &b
	}}}
}

func (b Buffers) get(size int64) *[]byte {
	if size == b.size {
		return b.pool.Get().(*[]byte)
	}
	other := make([]byte, size)
	return &other
}

func (b Buffers) put(buffer *[]byte) {
	if int64(len(*buffer)) == b.size {
		b.pool.Put(buffer)
	}
}

// cutter cuts a stream into parts. It reads one byte ahead, so that it knows of
// each part whether it is the last.
type cutter struct {
	r       io.Reader
	ahead   byte
	pending bool // ahead holds the next part's first byte
}

// next fills buffer, which is not empty, and says whether the stream ends there.
// Unlike io.ReadFull it keeps a stream's own io.ErrUnexpectedEOF apart from the
// end.
func (c *cutter) next(buffer []byte) (part []byte, last bool, err error) {
	n := 0
	if c.pending {
		buffer[0], n, c.pending = c.ahead, 1, false
	}
	n, err = fill(c.r, buffer, n)
	if err == nil {
		var ahead [1]byte
		if _, err = fill(c.r, ahead[:], 0); err == nil {
			c.ahead, c.pending = ahead[0], true
			return buffer[:n], false, nil
		}
	}
	if err == io.EOF {
		return buffer[:n], true, nil
	}
	return nil, false, err
}

// fill reads into buffer[n:] until it is full or the stream ends or fails.
func fill(r io.Reader, buffer []byte, n int) (int, error) {
	for idle := 0; n < len(buffer); {
		m, err := r.Read(buffer[n:])
		n += m
		switch {
		case err != nil && (err != io.EOF || n < len(buffer)):
			return n, err
		case m > 0:
			idle = 0
		case idle >= 100:
			return n, io.ErrNoProgress
		default:
			idle++
		}
	}
	return n, nil
}
