package db

import (
	"context"
	"io"
)

// reader is what Get returns: it delivers exactly the bytes announced, and its
// errors name the payload.
type reader struct {
	ctx  context.Context
	uri  string
	r    io.ReadCloser
	left int64
	err  error
}

func (r *reader) Read(p []byte) (int, error) {
	if r.err != nil {
		return 0, r.err
	}
	if len(p) == 0 {
		return 0, nil
	}
	if err := r.ctx.Err(); err != nil {
		r.err = fail(r.ctx, "get", r.uri, err)
		return 0, r.err
	}
	n, err := r.r.Read(p)
	r.left -= int64(n)
	switch {
	case err == io.EOF && r.left == 0:
		r.err = io.EOF
	case err == io.EOF:
		r.err = fail(r.ctx, "get", r.uri, io.ErrUnexpectedEOF)
	case err != nil:
		r.err = fail(r.ctx, "get", r.uri, err)
	}
	return n, r.err
}

// Close gives up what the reader holds. It is safe to call it again.
func (r *reader) Close() error { return r.r.Close() }

// inline is a payload that has been read already.
type inline struct{ data []byte }

func (i *inline) Read(p []byte) (int, error) {
	if len(i.data) == 0 {
		return 0, io.EOF
	}
	n := copy(p, i.data)
	i.data = i.data[n:]
	return n, nil
}

func (i *inline) Close() error {
	i.data = nil
	return nil
}
