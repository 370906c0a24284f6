package s3

import (
	"context"
	"io"
	"strings"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/drivers/httpstore"
	"github.com/kedge/kedge/drivers/s3/internal/answers"
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
	return httpstore.Opening{
		Silence: s.tuning.ResponseTimeout,
		Request: func(ctx context.Context) (io.ReadCloser, drivers.Info, error) {
			body, out, err := s.direct.get(ctx, loc)
			return body, out.info(), err
		},
		Ask: func(ctx context.Context) (drivers.Info, error) {
			out, err := s.direct.head(ctx, loc)
			return out.info(), err
		},
		Fail: func(err error) *drivers.Error { return s.unreadable(ctx, uri, loc, err) },
	}.Get(ctx)
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
	if permission := answers.Lacking(message); permission != "" && !strings.HasPrefix(permission, "s3:") {
		return failed // an object that is there, and may not be decrypted
	}
	if there, err := s.lists(ctx, loc); err == nil && there {
		failed.Mend = "grant s3:GetObject"
		return failed
	}
	failed.Kind, failed.Mend = drivers.Untold, "grant s3:GetObject, and s3:ListBucket on the S3 bucket"
	failed.Err = httpstore.Told("no such object, or no permission to read it: without s3:ListBucket the server does not tell which", failed.Err)
	return failed
}
