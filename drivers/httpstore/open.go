package httpstore

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/kedge/kedge/drivers"
)

// Open makes a request for a payload. Its reader delivers exactly the Info.Bytes
// that request has told (-1 where the answer does not), or an error: of kind
// Temporary when the body ends early (io.ErrUnexpectedEOF) or the server is
// silent for longer than silence.
//
// request is given a context that ends with the reader. fail makes of what went
// wrong, before or within the body, the error that the driver returns.
func Open(ctx context.Context, silence time.Duration, request func(context.Context) (io.ReadCloser, drivers.Info, error), fail func(error) *drivers.Error) (io.ReadCloser, drivers.Info, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	inner, info, err := request(ctx)
	if err == nil && info.Bytes < 0 {
		err = ErrNoLength
	}
	if err != nil {
		if inner != nil {
			_ = inner.Close() // nothing was read that could be lost
		}
		failed := fail(err)
		cancel(nil)
		return nil, drivers.Info{}, failed
	}
	b := &body{inner: inner, left: info.Bytes, silence: silence, fail: fail, ctx: ctx, cancel: cancel}
	b.stalled = time.AfterFunc(silence, func() { cancel(ErrStalled) })
	b.stalled.Stop()
	return b, info, nil
}

// body delivers exactly the bytes that were announced, or an error.
type body struct {
	inner   io.ReadCloser
	left    int64
	silence time.Duration
	fail    func(error) *drivers.Error
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
	b.stalled.Reset(b.silence)
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
	case errors.Is(context.Cause(b.ctx), ErrStalled):
		err = ErrStalled
	case errors.Is(err, io.EOF):
		// A large object of Swift's ends so as well when a segment is not what it was.
		err = io.ErrUnexpectedEOF
	}
	failed := b.fail(err)
	if failed.Kind == drivers.Other && !errors.Is(err, context.Canceled) {
		failed.Kind = drivers.Temporary // a body can only fail with its connection
	}
	return failed
}

// Close ends the request. A body that was read to its end leaves its connection
// for the next request.
func (b *body) Close() error {
	b.stalled.Stop()
	_ = b.inner.Close() // what was delivered has been counted already
	b.cancel(nil)
	return nil
}
