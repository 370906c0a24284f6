package httpstore

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/kedge/kedge/drivers"
)

// Opening says how a payload is asked for.
type Opening struct {
	// Silence is how long the server may send nothing.
	Silence time.Duration
	// Request asks for the payload, under a context that ends with its reader. Where
	// its answer does not tell the length, Info.Bytes is Chunked or Unmarked.
	Request func(context.Context) (io.ReadCloser, drivers.Info, error)
	// Ask asks in another way, as by HEAD, what Request's answer does not tell. Its
	// Info.Bytes is negative where that does not tell either. nil where there is none.
	Ask func(context.Context) (drivers.Info, error)
	// Fail makes of what went wrong, before or within the body, the error that the
	// driver returns.
	Fail func(error) *drivers.Error
}

// What stands for the length of an answer that does not tell it.
const (
	// Chunked: the end of the body is marked, so that one that breaks off is an error.
	Chunked int64 = -1
	// Unmarked: the body ends with the connection, for whatever reason that ends.
	Unmarked int64 = -2
)

// Length is that of an answer's body in bytes, Chunked or Unmarked where it is not
// told. What something between has compressed has no length that is of use, and is
// marked as little.
func Length(response *http.Response) int64 {
	switch encoding := response.Header.Get("Content-Encoding"); {
	case response.ContentLength >= 0:
		return response.ContentLength
	case len(response.TransferEncoding) == 0, encoding != "" && encoding != "identity":
		return Unmarked
	}
	return Chunked
}

// Get makes the request. Its reader delivers exactly Info.Bytes, or an error: of
// kind Temporary when the body ends early (io.ErrUnexpectedEOF) or the server falls
// silent.
//
// Something between may keep the length back. Then it is asked for; where nobody
// tells it, the payload is read to its end before it is delivered, to be counted.
// That takes a body whose end is marked.
func (o Opening) Get(ctx context.Context) (io.ReadCloser, drivers.Info, error) {
	b, info, err := o.begin(ctx)
	if err != nil {
		return nil, drivers.Info{}, err
	}
	if info.Bytes >= 0 {
		return b, info, nil
	}
	b.untold = true
	if o.Ask != nil {
		told, err := o.Ask(b.ctx)
		if err == nil && told.Bytes >= 0 && same(told, info) {
			b.left, info.Bytes = told.Bytes, told.Bytes
			return b, info, nil
		}
	}
	if info.Bytes == Unmarked {
		_ = b.Close() // nothing was read that could be lost
		return nil, drivers.Info{}, o.Fail(ErrNoLength)
	}
	return o.counted(ctx, b, info)
}

// begin makes the request once.
func (o Opening) begin(ctx context.Context) (*body, drivers.Info, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	inner, info, err := o.Request(ctx)
	if err != nil {
		if inner != nil {
			_ = inner.Close() // nothing was read that could be lost
		}
		failed := o.Fail(err)
		cancel(nil)
		return nil, drivers.Info{}, failed
	}
	b := &body{inner: inner, left: info.Bytes, silence: o.Silence, fail: o.Fail, ctx: ctx, cancel: cancel}
	b.stalled = time.AfterFunc(o.Silence, func() { cancel(ErrStalled) })
	b.stalled.Stop()
	return b, info, nil
}

var errReplaced = errors.New("the object was replaced while it was read")

// same says whether two answers are about one payload, as far as they tell.
func same(a, b drivers.Info) bool { return a.MD5 == b.MD5 && a.Version == b.Version }

// counted reads a body to its end and asks for it again.
func (o Opening) counted(ctx context.Context, first *body, info drivers.Info) (io.ReadCloser, drivers.Info, error) {
	bytes, err := Copy(io.Discard, first)
	_ = first.Close() // it was read only to be counted
	if err != nil {
		return nil, drivers.Info{}, err
	}
	b, again, err := o.begin(ctx)
	if err != nil {
		return nil, drivers.Info{}, err
	}
	if !same(again, info) || again.Bytes >= 0 && again.Bytes != bytes {
		_ = b.Close() // nothing was read that could be lost
		failed := o.Fail(errReplaced)
		failed.Kind = drivers.Temporary
		return nil, drivers.Info{}, failed
	}
	b.left, b.untold, info.Bytes = bytes, true, bytes
	return b, info, nil
}

// body delivers exactly the bytes that were announced, or an error.
type body struct {
	inner io.ReadCloser
	left  int64 // negative where the end of inner is the end
	// untold: the answer itself did not tell its length, and may be longer.
	untold  bool
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
	if b.left < 0 {
		n, err := b.next(p)
		if err == io.EOF {
			b.err = err
		} else {
			b.err = b.judge(err)
		}
		return n, b.err
	}
	if int64(len(p)) > b.left {
		p = p[:b.left]
	}
	if len(p) == 0 && b.left > 0 {
		return 0, nil
	}
	n, err := b.next(p)
	b.left -= int64(n)
	if b.left == 0 && b.untold && err == nil {
		err = b.end()
	}
	b.err = b.judge(err)
	return n, b.err
}

// next reads from the server.
func (b *body) next(p []byte) (int, error) {
	b.stalled.Reset(b.silence)
	defer b.stalled.Stop()
	return b.inner.Read(p)
}

var errLonger = errors.New("the object is longer than the server says")

// end says why the body does not end where it should.
func (b *body) end() error {
	var more [1]byte
	switch n, err := fill(readerFunc(b.next), more[:], 0); {
	case n > 0:
		return errLonger
	case err == io.EOF:
		return nil
	default:
		return err
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// judge turns what ended a read into what the caller sees.
func (b *body) judge(err error) error {
	switch {
	case b.left == 0 && (!b.untold || err == nil || err == io.EOF):
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
