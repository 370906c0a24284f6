package s3

import (
	"context"
	"errors"
	"io"
	"strings"
	"time"

	"github.com/kedge/kedge/drivers"
)

// Get opens an object in any S3 bucket that the credentials reach on this
// server. Info.MD5 is its ETag where that is the MD5. The reader fails with
// kind Temporary when the body ends early (io.ErrUnexpectedEOF) or the server
// falls silent.
func (s *Store) Get(ctx context.Context, uri string) (io.ReadCloser, drivers.Info, error) {
	loc, err := s.locate("get", uri)
	if err != nil {
		return nil, drivers.Info{}, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	inner, out, err := s.direct.get(ctx, loc)
	if err == nil && out.bytes < 0 {
		_ = inner.Close() // nothing was read that could be lost
		err = errNoLength
	}
	if err != nil {
		failed := s.unreadable(ctx, uri, loc, err)
		cancel(nil)
		return nil, drivers.Info{}, failed
	}
	b := &body{store: s, uri: uri, inner: inner, left: out.bytes, ctx: ctx, cancel: cancel}
	b.stalled = time.AfterFunc(s.tuning.ResponseTimeout, func() { cancel(errStalled) })
	b.stalled.Stop()
	return b, drivers.Info{Bytes: out.bytes, MD5: out.md5()}, nil
}

// unreadable is fail for a GET. Without s3:ListBucket a server answers "access
// denied" to the question for an object that is not there; it may be there all
// the same, so that neither is said unless the server lists it.
func (s *Store) unreadable(ctx context.Context, uri string, loc location, err error) *drivers.Error {
	failed := s.fail("get", uri, err)
	if !denies(err) {
		return failed
	}
	_, message := answer(err)
	if found := lacking.FindStringSubmatch(message); found != nil && !strings.HasPrefix(found[1], "s3:") {
		return failed // an object that is there, and may not be decrypted
	}
	if there, err := s.lists(ctx, loc); err == nil && there {
		failed.Mend = "grant s3:GetObject"
		return failed
	}
	failed.Kind, failed.Mend = drivers.Untold, "grant s3:GetObject, and s3:ListBucket on the S3 bucket"
	failed.Err = &failure{text: "no such object, or no permission to read it: without s3:ListBucket the server does not tell which", err: failed.Err}
	return failed
}

// body delivers exactly the bytes that were announced, or an error.
type body struct {
	store   *Store
	uri     string
	inner   io.ReadCloser
	left    int64
	ctx     context.Context // of the request; its cause says whether it stalled
	cancel  context.CancelCauseFunc
	stalled *time.Timer // runs while a Read waits for the server
	err     error       // what every Read returns from now on
}

// Read reads on, with a bound on how long the server may be silent.
func (b *body) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	if int64(len(p)) > b.left {
		p = p[:b.left]
	}
	if len(p) == 0 && b.left > 0 {
		return 0, nil
	}
	b.stalled.Reset(b.store.tuning.ResponseTimeout)
	n, err := b.inner.Read(p)
	b.stalled.Stop()
	b.left -= int64(n)
	b.err = b.judge(err)
	return n, b.err
}

// judge turns what ended a read into what the caller sees.
func (b *body) judge(err error) error {
	switch {
	case b.left == 0:
		// All is there; what the connection says afterwards changes nothing.
		return io.EOF
	case err == nil:
		return nil
	case errors.Is(context.Cause(b.ctx), errStalled):
		err = errStalled
	case errors.Is(err, io.EOF):
		err = io.ErrUnexpectedEOF
	}
	failed := b.store.fail("get", b.uri, err)
	if failed.Kind == drivers.Other && !errors.Is(err, context.Canceled) {
		failed.Kind = drivers.Temporary // a body can only fail with its connection
	}
	return failed
}

// Close ends the request. A body that was read to its end leaves its
// connection for the next request.
func (b *body) Close() error {
	b.stalled.Stop()
	_ = b.inner.Close() // what was delivered has been counted already
	b.cancel(nil)
	return nil
}
