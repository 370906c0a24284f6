package forms

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/zlib"
)

// zlibLevel is what Anchore passes to zlib.compress.
const zlibLevel = 3

// ChunkBytes is how much a stream moves at a time, and holds in memory for that.
const ChunkBytes = 256 << 10

// Writers and readers hold about 1 MB and 40 KB each and are made anew at
// several times the cost of a small document: pooled.
var (
	deflaters = sync.Pool{New: func() any {
		w, err := zlib.NewWriterLevel(io.Discard, zlibLevel)
		if err != nil {
			panic(err) // the level is a constant
		}
		return w
	}}
	inflaters sync.Pool
	chunks    = sync.Pool{New: func() any { b := make([]byte, ChunkBytes); return &b }}
)

// ErrZlib is what every unsound zlib payload is reported as.
var ErrZlib = errors.New("the catalog says that the payload is compressed, and it is not a sound zlib stream")

// Copy copies a stream to its end by a pooled chunk, and says how many bytes that
// were. Either side is hidden behind a plain interface, so that none of them brings
// a buffer of its own.
func Copy(w io.Writer, r io.Reader) (int64, error) {
	chunk := chunks.Get().(*[]byte)
	defer chunks.Put(chunk)
	return io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{r}, *chunk)
}

type inflater interface {
	io.ReadCloser
	zlib.Resetter
}

// newInflater gives a reader of the plain bytes of the zlib stream r. An error
// of r itself is passed on as it is; any other is ErrZlib.
func newInflater(r io.Reader) (inflater, error) {
	if z, ok := inflaters.Get().(inflater); ok {
		if err := z.Reset(r, nil); err != nil {
			inflaters.Put(z)
			return nil, err
		}
		return z, nil
	}
	z, err := zlib.NewReader(r)
	if err != nil {
		return nil, err
	}
	return z.(inflater), nil
}

// Deflate compresses a plain document.
func Deflate(plain []byte) ([]byte, error) {
	w := deflaters.Get().(*zlib.Writer)
	defer deflaters.Put(w)
	out := bytes.NewBuffer(make([]byte, 0, len(plain)/3+64))
	w.Reset(out)
	if _, err := w.Write(plain); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// Inflate checks a whole zlib payload and tells MD5 and length of the plain
// document in it. The plain bytes are given too, unless they are more than
// limit.
func Inflate(payload []byte, limit int64) (plain []byte, digest string, plainBytes int64, err error) {
	z, err := newInflater(bytes.NewReader(payload))
	if err != nil {
		return nil, "", 0, fmt.Errorf("%w: %w", ErrZlib, err)
	}
	defer inflaters.Put(z)
	sum := md5.New()
	var kept bytes.Buffer
	chunk := chunks.Get().(*[]byte)
	defer chunks.Put(chunk)
	for {
		n, err := z.Read(*chunk)
		plainBytes += int64(n)
		sum.Write((*chunk)[:n])
		if plainBytes <= limit {
			kept.Write((*chunk)[:n])
		} else if kept.Cap() > 0 {
			kept = bytes.Buffer{}
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, "", 0, fmt.Errorf("%w: %w", ErrZlib, err)
		}
	}
	digest = hex.EncodeToString(sum.Sum(nil))
	if plainBytes > limit {
		return nil, digest, plainBytes, nil
	}
	return kept.Bytes(), digest, plainBytes, nil
}

// deflateReader compresses what it reads, as it is read. Not safe for concurrent
// use.
type deflateReader struct {
	source io.ReadCloser
	writer *zlib.Writer
	chunk  *[]byte
	buffer bytes.Buffer
	err    error // what to return when buffer is empty
}

// NewDeflateReader compresses a plain document. Closing it closes the source.
func NewDeflateReader(source io.ReadCloser) io.ReadCloser {
	d := &deflateReader{source: source, writer: deflaters.Get().(*zlib.Writer), chunk: chunks.Get().(*[]byte)}
	d.writer.Reset(&d.buffer)
	return d
}

// Read implements io.Reader.
func (d *deflateReader) Read(p []byte) (int, error) {
	for d.buffer.Len() == 0 {
		if d.err != nil {
			return 0, d.err
		}
		n, err := d.source.Read(*d.chunk)
		if _, werr := d.writer.Write((*d.chunk)[:n]); werr != nil {
			err = werr
		}
		if err == io.EOF {
			if cerr := d.writer.Close(); cerr != nil {
				err = cerr
			}
		}
		d.err = err
	}
	return d.buffer.Read(p)
}

// Close gives back what is pooled and closes the source.
func (d *deflateReader) Close() error {
	if d.writer != nil {
		deflaters.Put(d.writer)
		chunks.Put(d.chunk)
		d.writer, d.chunk, d.err = nil, nil, io.ErrClosedPipe
		d.buffer.Reset()
	}
	return d.source.Close()
}

// inflateReader gives the plain bytes of a zlib stream, as it is read: an error of
// the source as it is, any other as ErrZlib. Not safe for concurrent use.
type inflateReader struct {
	source *errorKeeper
	closer io.Closer
	z      inflater
	err    error
}

// NewInflateReader decompresses a payload. Closing it closes the source.
func NewInflateReader(source io.ReadCloser) io.ReadCloser {
	return &inflateReader{source: &errorKeeper{reader: source}, closer: source}
}

// errorKeeper remembers the error a reader ended with, to tell it from what a
// decompressor on top of it finds wrong.
type errorKeeper struct {
	reader io.Reader
	err    error
}

// Read implements io.Reader.
func (k *errorKeeper) Read(p []byte) (int, error) {
	n, err := k.reader.Read(p)
	if err != nil && err != io.EOF {
		k.err = err
	}
	return n, err
}

// Read implements io.Reader.
func (r *inflateReader) Read(p []byte) (int, error) {
	if r.err != nil {
		return 0, r.err
	}
	if r.z == nil {
		z, err := newInflater(r.source)
		if err != nil {
			r.err = r.reason(err)
			return 0, r.err
		}
		r.z = z
	}
	n, err := r.z.Read(p)
	if err != nil {
		r.err = r.reason(err)
	}
	return n, r.err
}

// reason leaves the source's own errors alone and calls all others ErrZlib. The
// source is read to its end first, whatever was wrong: that its digest is wrong
// says more than that it cannot be decompressed.
func (r *inflateReader) reason(err error) error {
	if r.source.err == nil {
		_, _ = io.Copy(io.Discard, r.source) // the keeper remembers the error
	}
	switch {
	case r.source.err != nil:
		return r.source.err
	case err == io.EOF && r.z != nil:
		return io.EOF
	default:
		return fmt.Errorf("%w: %w", ErrZlib, err)
	}
}

// Close gives back what is pooled and closes the source.
func (r *inflateReader) Close() error {
	if r.z != nil {
		inflaters.Put(r.z)
		r.z = nil
	}
	r.err = io.ErrClosedPipe
	return r.closer.Close()
}
