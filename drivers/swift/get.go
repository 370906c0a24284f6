package swift

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/kedge/kedge/drivers"
)

// Get opens an object in any container that the credentials reach, at the place
// where the payload is that is meant (see drivers.WithMeant); whether it is the
// document, its digest tells. Large
// objects are delivered whole. Info.MD5 is the ETag of what is no large object.
// The reader fails with kind Temporary when the body ends early
// (io.ErrUnexpectedEOF) or the server falls silent.
func (s *Store) Get(ctx context.Context, uri string) (io.ReadCloser, drivers.Info, error) {
	at, err := s.locate("get", uri)
	if err != nil {
		return nil, drivers.Info{}, err
	}
	meant, _ := drivers.MeantBy(ctx)
	if meant.AsAnchore || len(s.places(uri, at)) > 1 {
		if at, _, err = s.find(ctx, uri, at); err != nil {
			return nil, drivers.Info{}, s.fail("get", uri, err)
		}
	}
	b, info, err := s.get(ctx, uri, at)
	if err != nil {
		return nil, drivers.Info{}, s.fail("get", uri, err)
	}
	return b, info, nil
}

func (s *Store) get(ctx context.Context, uri string, loc location) (*payload, drivers.Info, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	headers, stream, err := s.open(ctx, request{method: http.MethodGet, container: loc.container, object: loc.name})
	if err != nil {
		cancel(nil)
		return nil, drivers.Info{}, err
	}
	info, err := infoOf(headers)
	if err != nil {
		_ = stream.Close() // nothing was read that could be lost
		cancel(nil)
		return nil, drivers.Info{}, err
	}
	b := &payload{store: s, uri: uri, inner: stream, left: info.Bytes, ctx: ctx, cancel: cancel}
	b.stalled = time.AfterFunc(s.tuning.ResponseTimeout, func() { cancel(errStalled) })
	b.stalled.Stop()
	return b, info, nil
}

// payload delivers exactly the bytes that were announced, or an error.
type payload struct {
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
func (b *payload) Read(p []byte) (int, error) {
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
func (b *payload) judge(err error) error {
	switch {
	case b.left == 0:
		// All is there; what the connection says afterwards changes nothing.
		return io.EOF
	case err == nil:
		return nil
	case errors.Is(context.Cause(b.ctx), errStalled):
		err = errStalled
	case errors.Is(err, io.EOF):
		// A large object ends so as well when a segment is not what it was.
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
func (b *payload) Close() error {
	b.stalled.Stop()
	_ = b.inner.Close() // what was delivered has been counted already
	b.cancel(nil)
	return nil
}

// List calls fn with every object under the prefix, in the order of the bytes
// of their names; where Anchore comes to another place with the prefix, with what is
// there too. The length of a dynamic large object is asked for. Info.MD5 is
// empty: a listing does not always tell whose ETags are no MD5. A container's
// listing may lag behind what was put and deleted a moment ago.
func (s *Store) List(ctx context.Context, fn func(uri string, info drivers.Info) error) error {
	if err := s.list(ctx, s.prefix, "", fn); err != nil {
		return err
	}
	const tail = "user/bucket/id"
	uri := s.Prefix() + tail
	own, err := split(uri)
	if err != nil {
		return nil
	}
	if at := s.putPlace(uri, own); at != own {
		return s.list(ctx, strings.TrimSuffix(at.name, tail), s.prefix, fn)
	}
	return nil
}

// list is List for the objects whose names begin with this instead of the prefix,
// but for those that begin with not, if that is not "".
func (s *Store) list(ctx context.Context, begin, not string, fn func(uri string, info drivers.Info) error) error {
	var stopped error
	err := s.each(ctx, s.container, begin, func(one item) error {
		if not != "" && strings.HasPrefix(one.Name, not) {
			return nil
		}
		info := drivers.Info{Bytes: one.Bytes}
		if one.mayBeManifest() {
			h, err := s.head(ctx, location{s.container, one.Name})
			if isMissing(err) {
				return nil // deleted meanwhile
			}
			if err == nil {
				info, err = infoOf(h)
			}
			if err != nil {
				return err
			}
			info.MD5 = ""
		}
		stopped = fn(s.Prefix()+strings.TrimPrefix(one.Name, begin), info)
		return stopped
	})
	switch {
	case stopped != nil:
		return stopped
	case err != nil:
		return s.fail("list", s.Prefix(), err)
	}
	return nil
}
