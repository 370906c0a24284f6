package httpstore

import (
	"io"
	"sync"
)

// Passage is the body of a request through which a payload of known length passes
// without being held. The transport closes it, in a goroutine of its own perhaps.
//
// The bytes that make the announced length complete are handed over only when
// the source has come to its end without an error: a source that proves rotten
// at its last byte must not leave a whole object behind.
type Passage struct {
	announced Announced
	source    io.ReadCloser
	// The transport may still read when it has closed the body, as where the server
	// answers early.
	reading sync.Mutex
	left    int64
	failed  error // why the payload could not be read, for the caller of the request
	once    sync.Once
	closed  chan struct{}
}

// NewPassage makes a body of a source.
func NewPassage(a Announced, source io.ReadCloser) *Passage {
	return &Passage{announced: a, source: source, left: a.Length, closed: make(chan struct{})}
}

// Wait returns when the body is closed.
func (b *Passage) Wait() { <-b.closed }

// Reason says why the payload could not be read; nil where it could.
func (b *Passage) Reason() error {
	b.reading.Lock()
	defer b.reading.Unlock()
	return b.failed
}

// Read implements io.Reader.
func (b *Passage) Read(p []byte) (int, error) {
	b.reading.Lock()
	defer b.reading.Unlock()
	switch {
	case b.failed != nil:
		return 0, b.failed
	case b.left == 0:
		return 0, io.EOF
	case int64(len(p)) > b.left:
		p = p[:b.left]
	}
	n, err := b.source.Read(p)
	b.left -= int64(n)
	longer := false
	if b.left == 0 && err == nil {
		// Does the source end here?
		var more [1]byte
		var beyond int
		beyond, err = fill(b.source, more[:], 0)
		longer = beyond > 0
	}
	switch {
	case longer:
		b.failed = b.announced.Longer()
	case err == io.EOF && b.left > 0:
		b.failed = b.announced.WrongLength(b.announced.Length - b.left)
	case err == nil, err == io.EOF:
		return n, nil
	default:
		b.failed = b.announced.Unread(err)
	}
	return 0, b.failed
}

// Close closes the source.
func (b *Passage) Close() error {
	b.once.Do(func() {
		_ = b.source.Close() // what was read has been judged already
		close(b.closed)
	})
	return nil
}
