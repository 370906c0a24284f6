package swift

import (
	"context"
	"io"
	"net/http"
	"strings"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/drivers/httpstore"
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
	return httpstore.Opening{
		Silence: s.tuning.ResponseTimeout,
		Request: func(ctx context.Context) (io.ReadCloser, drivers.Info, error) {
			headers, stream, err := s.open(ctx, request{method: http.MethodGet, container: at.container, object: at.name})
			if err != nil {
				return nil, drivers.Info{}, err
			}
			return stream, infoOf(headers), nil
		},
		Ask: func(ctx context.Context) (drivers.Info, error) {
			headers, err := s.head(ctx, at)
			return infoOf(headers), err
		},
		Fail: func(err error) *drivers.Error { return s.fail("get", uri, err) },
	}.Get(ctx)
}

// List calls fn with every object under the prefix, in the order of the bytes
// of their names; where Anchore comes to another place with the prefix, with what is
// there too. What a listing does not tell of a large object is asked for. Info.Version
// is the ETag, and Info.MD5 that of what is no large object, where the server's
// listings tell which ones are. A container's listing may lag behind what was put
// and deleted a moment ago.
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
		info := s.listedInfo(one)
		if one.mayBeManifest() {
			h, err := s.head(ctx, location{s.container, one.Name})
			if isMissing(err) {
				return nil // deleted meanwhile
			}
			if err == nil {
				info, err = s.measured(ctx, "list", location{s.container, one.Name}.uri(), h)
			}
			if err != nil {
				return err
			}
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

// listedInfo is what a listing tells of an object that is no dynamic large one. The
// hash of a static large one there is its manifest's; what it has for an ETag stands
// beside it, where the server tells it at all.
func (s *Store) listedInfo(one item) drivers.Info {
	info := drivers.Info{Bytes: one.Bytes}
	switch {
	case one.SLOETag != "":
		info.Version = version(one.SLOETag)
	case s.server.listsLarge:
		info.Version = version(one.Hash)
		if httpstore.IsMD5(info.Version) {
			info.MD5 = info.Version
		}
	}
	return info
}

// version is an ETag as Info.Version has it.
func version(etag string) string { return strings.ToLower(strings.Trim(etag, `"`)) }
