package s3

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"sync"

	"github.com/kedge/kedge/drivers"
)

// inOneRequest says whether a stream travels in one request: its length and MD5
// are known, so that the server itself checks all of it before the object
// appears, and nothing of it has to be held in memory or hashed here.
func (w *write) inOneRequest() bool {
	return w.length > 0 && w.length <= w.store.tuning.WholeBytes && w.md5 != ""
}

// through sends a stream in one request.
func (w *write) through(ctx context.Context, p drivers.Payload) (drivers.Receipt, error) {
	sum, err := hex.DecodeString(w.md5)
	if err != nil || len(sum) != 16 {
		return drivers.Receipt{}, w.mismatch("the payload was said to have the MD5 %q, which is none", w.md5)
	}
	conditions := conditions{contentMD5: contentMD5(sum)}
	signing := &w.store.direct.signing
	digest := ""
	if signing.is(payloadsSigned) {
		if digest, err = w.digestOf(ctx, p); err != nil {
			return drivers.Receipt{}, err
		}
	}
	out, err, unread := w.pass(ctx, p, digest, conditions)
	if unread == nil && digest == "" && !w.store.conn.version2 && signing.wanted(err) {
		if digest, unread = w.digestOf(ctx, p); unread == nil {
			var again error
			out, again, unread = w.pass(ctx, p, digest, conditions)
			err = signing.settle(err, again)
		}
	} else if digest == "" {
		signing.took(err)
	}
	switch {
	case unread != nil:
		return drivers.Receipt{}, unread
	case err != nil:
		return drivers.Receipt{}, w.refused(ctx, err)
	case w.store.attributes.ignoredBy(out.sse):
		return drivers.Receipt{}, w.takeBack(ctx, notEncrypted(w.uri))
	}
	return w.receipt(w.length, w.md5, out), nil
}

// pass sends a stream in one request. unread is why it could not be read.
func (w *write) pass(ctx context.Context, p drivers.Payload, digest string, c conditions) (out stored, err, unread error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	source, err := p.Open(ctx)
	if err != nil {
		return stored{}, nil, w.sourceFailed(err)
	}
	body := &passage{write: w, source: source, left: w.length, closed: make(chan struct{})}
	out, err = w.store.direct.putStream(ctx, w.loc, body, w.length, digest, c, w.store.attributes)
	if err != nil {
		cancel() // a read at the source that is under way ends
	}
	<-body.closed
	if err != nil {
		unread = body.reason()
	}
	return out, err, unread
}

// digestOf reads a stream for its SHA-256, in hex. It is read once more when it is
// sent, so that nothing of it is held.
func (w *write) digestOf(ctx context.Context, p drivers.Payload) (string, error) {
	source, err := p.Open(ctx)
	if err != nil {
		return "", w.sourceFailed(err)
	}
	defer source.Close()
	sum := sha256.New()
	piece := pieces.Get().(*[]byte)
	defer pieces.Put(piece)
	// The hash is hidden behind a plain Writer so that the piece is used.
	if _, err := io.CopyBuffer(struct{ io.Writer }{sum}, struct{ io.Reader }{source}, *piece); err != nil {
		return "", w.sourceFailed(err)
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// passage is the body of a request that a stream passes through. The transport
// closes it, in a goroutine of its own perhaps.
//
// The bytes that make the announced length complete are handed over only when
// the source has come to its end without an error: a source that proves rotten
// at its last byte must not leave a whole object behind.
type passage struct {
	write  *write
	source io.ReadCloser
	// The transport may still read when it has closed the body, as where the server
	// answers early.
	reading sync.Mutex
	left    int64
	failed  error // why the stream could not be read, for the caller of the request
	once    sync.Once
	closed  chan struct{}
}

// reason says why the stream could not be read.
func (b *passage) reason() error {
	b.reading.Lock()
	defer b.reading.Unlock()
	return b.failed
}

// Read implements io.Reader.
func (b *passage) Read(p []byte) (int, error) {
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
	if b.left == 0 && err == nil {
		err = b.end()
	}
	switch {
	case err == io.EOF && b.left > 0:
		err = b.write.mismatch("the payload has %d bytes, not %d as it was said to have", b.write.length-b.left, b.write.length)
	case err == io.EOF:
		return n, nil
	case err != nil:
		err = b.sourceFailed(err)
	default:
		return n, nil
	}
	b.failed = err
	return 0, err
}

var errLonger = errors.New("longer than announced")

// end looks whether the source ends here.
func (b *passage) end() error {
	var more [1]byte
	n, err := fill(b.source, more[:], 0)
	if n > 0 {
		return errLonger
	}
	return err
}

func (b *passage) sourceFailed(err error) error {
	if errors.Is(err, errLonger) {
		return b.write.mismatch("the payload is longer than the %d bytes it was said to have", b.write.length)
	}
	return b.write.sourceFailed(err)
}

// Close closes the source.
func (b *passage) Close() error {
	b.once.Do(func() {
		_ = b.source.Close() // what was read has been judged already
		close(b.closed)
	})
	return nil
}
