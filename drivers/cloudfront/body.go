package cloudfront

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/kedge/kedge/drivers"
)

var errStalled = errors.New("CloudFront stopped sending")

// body delivers exactly the bytes that were announced, or an error.
type body struct {
	uri     string
	inner   io.ReadCloser
	left    int64
	ctx     context.Context // of the request; its cause says whether it stalled
	cancel  context.CancelCauseFunc
	timeout time.Duration
	stalled *time.Timer // runs while a Read waits
	err     error       // what every Read returns from now on
}

// Read reads on, with a bound on how long the edge may be silent.
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
	b.stalled.Reset(b.timeout)
	n, err := b.inner.Read(p)
	b.stalled.Stop()
	b.left -= int64(n)
	switch {
	case b.left == 0:
		b.err = io.EOF
	case err == nil:
	case errors.Is(context.Cause(b.ctx), errStalled):
		b.err = b.failed(drivers.Temporary, errStalled)
	case errors.Is(err, context.Canceled):
		b.err = b.failed(drivers.Other, err)
	case errors.Is(err, io.EOF):
		b.err = b.failed(drivers.Temporary, io.ErrUnexpectedEOF)
	default:
		b.err = b.failed(drivers.Temporary, err)
	}
	return n, b.err
}

func (b *body) failed(kind drivers.Kind, err error) error {
	return &drivers.Error{Op: "get", URI: b.uri, Kind: kind, Err: fmt.Errorf("reading from CloudFront: %w", err)}
}

// Close ends the request.
func (b *body) Close() error {
	b.stalled.Stop()
	_ = b.inner.Close() // what was delivered has been counted already
	b.cancel(nil)
	return nil
}
