package pipeline

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"hash"
	"io"

	"github.com/kedge/kedge/drivers"
)

// stream makes the payload of a document that is never held as a whole: opened
// again for every attempt, checked against the catalog as it passes, and
// decompressed or compressed on the way. A payload that proves wrong ends with
// that error instead of io.EOF, so that the destination stores nothing.
func (m *migration) stream(ctx context.Context, it *item) (drivers.Payload, error) {
	p := drivers.Payload{Length: -1}
	if !it.doc.Compressed {
		info, err := m.src.Stat(ctx, it.doc.URI)
		if err != nil {
			return p, err
		}
		it.fetchedBytes = info.Bytes
		if it.compressed = !m.keepsForm() && m.dst.compresses(info.Bytes); it.compressed {
			p.Open = func(ctx context.Context) (io.ReadCloser, error) {
				r, err := m.openChecked(ctx, it)
				if err != nil {
					return nil, err
				}
				return newDeflateReader(r), nil
			}
			return p, nil
		}
		p.Length, p.MD5 = info.Bytes, it.doc.Digest
		p.Open = func(ctx context.Context) (io.ReadCloser, error) { return m.openChecked(ctx, it) }
		return p, nil
	}
	var plainBytes int64
	err := again(ctx, m.src, func() (err error) {
		plainBytes, err = m.inflateThrough(ctx, it)
		return err
	})
	if err != nil {
		return p, err
	}
	if it.compressed = m.keepsForm() || m.dst.compresses(plainBytes); it.compressed {
		p.Length, p.MD5 = it.fetchedBytes, it.doc.Digest
		p.Open = func(ctx context.Context) (io.ReadCloser, error) { return m.openChecked(ctx, it) }
		return p, nil
	}
	p.Length = plainBytes
	p.Open = func(ctx context.Context) (io.ReadCloser, error) {
		r, err := m.openChecked(ctx, it)
		if err != nil {
			return nil, err
		}
		return newInflateReader(r), nil
	}
	return p, nil
}

// inflateThrough reads a compressed payload once to its end, for the length of
// the plain document, on which the destination's rule depends, and because a
// payload that is not sound must not be put.
func (m *migration) inflateThrough(ctx context.Context, it *item) (plainBytes int64, err error) {
	r, err := m.openChecked(ctx, it)
	if err != nil {
		return 0, err
	}
	z := newInflateReader(r)
	defer z.Close()
	chunk := chunks.Get().(*[]byte)
	defer chunks.Put(chunk)
	sum := md5.New()
	plainBytes, err = io.CopyBuffer(struct{ io.Writer }{sum}, z, *chunk)
	it.plainDigest, it.plainBytes = hex.EncodeToString(sum.Sum(nil)), plainBytes
	return plainBytes, err
}

// openChecked opens a payload at the source; its end is an error when it is
// not what the catalog says.
func (m *migration) openChecked(ctx context.Context, it *item) (io.ReadCloser, error) {
	r, info, err := m.src.Get(ctx, it.doc.URI)
	if err != nil {
		return nil, classed(ClassFetch, &unopened{err})
	}
	it.fetchedBytes = info.Bytes
	return &checkedReader{source: r, sum: md5.New(), check: func(digest string, bytes int64) error {
		if !it.doc.Compressed {
			it.plainDigest, it.plainBytes = digest, bytes
		}
		return checkPayload(it, digest, info.MD5, bytes)
	}}, nil
}

// checkedReader passes a payload on and checks it at its end.
type checkedReader struct {
	source io.ReadCloser
	sum    hash.Hash
	bytes  int64
	check  func(digest string, bytes int64) error
}

// Read implements io.Reader.
func (r *checkedReader) Read(p []byte) (int, error) {
	n, err := r.source.Read(p)
	r.sum.Write(p[:n])
	r.bytes += int64(n)
	switch err {
	case nil:
		return n, nil
	case io.EOF:
		if cerr := r.check(hex.EncodeToString(r.sum.Sum(nil)), r.bytes); cerr != nil {
			return n, cerr
		}
		return n, io.EOF
	default:
		// The destination's driver fails for it, but not by its own fault.
		return n, classed(ClassFetch, err)
	}
}

// Close closes the source.
func (r *checkedReader) Close() error { return r.source.Close() }
