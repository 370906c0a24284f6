package s3

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/kedge/kedge/drivers"
)

var _ drivers.Tree = (*Store)(nil)

// PathURI gives s3://{S3 bucket}/{prefix}{path}.
func (s *Store) PathURI(path string) (string, error) {
	key := s.prefix + path
	uri := scheme + s.bucket + "/" + key
	err := checkName(key)
	if path == "" || !plainPath(path) || strings.HasSuffix(path, "/") {
		err = errors.New("not a path of names between slashes")
	}
	if err != nil {
		return "", &drivers.Error{Op: "put", URI: uri, Kind: drivers.InvalidKey, Err: err}
	}
	return uri, nil
}

// ListAfter lists 1000 objects to a request. Info.Version is the ETag.
func (s *Store) ListAfter(ctx context.Context, prefix, after string, fn func(path string, info drivers.Info) error) error {
	l := &treeListing{store: s, fn: fn, place: scheme + s.bucket + "/" + s.prefix + prefix, last: s.prefix + after}
	w := &walk{store: s, bucket: s.bucket, prefix: s.prefix + prefix}
	if after != "" {
		w.after = s.prefix + after
	}
	for !w.done {
		found, err := w.next(ctx)
		if err != nil {
			return s.fail("list", l.place, err)
		}
		for _, object := range found.objects {
			if err := l.object(ctx, found.encoding, object); err != nil {
				return err
			}
		}
	}
	return nil
}

// treeListing is one ListAfter on its way.
type treeListing struct {
	store       *Store
	fn          func(path string, info drivers.Info) error
	place, last string
}

// object hands on one object of a listing. One that goes back in the order
// would be lost to a listing that starts again behind it.
func (l *treeListing) object(ctx context.Context, encoding types.EncodingType, object types.Object) error {
	key, err := l.store.exactKey(ctx, encoding, object.Key)
	if err != nil {
		return l.store.fail("list", l.place, err)
	}
	if key <= l.last {
		if key == l.last {
			return nil // a server whose StartAfter includes the key itself
		}
		return &drivers.Error{Op: "list", URI: l.place, Kind: drivers.Config,
			Err: fmt.Errorf("the server does not list in the order of keys: %q comes behind %q", key, l.last)}
	}
	l.last = key
	path := key[len(l.store.prefix):]
	if path == "" || strings.HasSuffix(path, "/") {
		return nil // what consoles make for a folder
	}
	return l.fn(path, drivers.Info{Bytes: aws.ToInt64(object.Size), Version: tag(object.ETag)})
}
