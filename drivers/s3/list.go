package s3

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"unicode"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/kedge/kedge/drivers"
)

// List calls fn with every object under the prefix, 1000 to a request, in the
// order of the server's listing. Info.Version is the ETag. Info.MD5 is empty: a
// listing does not tell which ETags are no MD5. MinIO leaves objects out whose key goes on, after a
// slash, from the key of another.
func (s *Store) List(ctx context.Context, fn func(uri string, info drivers.Info) error) error {
	if s.unlisted != nil {
		return s.unlisted
	}
	w := &walk{store: s, bucket: s.bucket, prefix: s.prefix}
	return w.each(ctx, s.Prefix(), func(key string, object types.Object) error {
		return fn(scheme+s.bucket+"/"+key, drivers.Info{Bytes: aws.ToInt64(object.Size), Version: tag(object.ETag), Modified: aws.ToTime(object.LastModified)})
	})
}

// errRangeEnds ends a walk at the end of its range.
var errRangeEnds = errors.New("behind the range")

// ListRange lists 1000 objects to a request, as List does.
func (s *Store) ListRange(ctx context.Context, after, last string, fn func(uri string, info drivers.Info) error) error {
	if s.unlisted != nil {
		return s.unlisted
	}
	here := scheme + s.bucket + "/"
	w := &walk{store: s, bucket: s.bucket, prefix: s.prefix, after: strings.TrimPrefix(after, here)}
	before := after
	err := w.each(ctx, s.Prefix(), func(key string, object types.Object) error {
		uri := here + key
		switch {
		case uri == after:
			return nil // a server whose StartAfter includes the key itself
		case uri < before:
			return unordered(s.Prefix(), key, before)
		case last != "" && uri > last:
			return errRangeEnds
		}
		before = uri
		return fn(uri, drivers.Info{Bytes: aws.ToInt64(object.Size), Version: tag(object.ETag), Modified: aws.ToTime(object.LastModified)})
	})
	if err == errRangeEnds {
		return nil
	}
	return err
}

// unordered says that what would go on behind a key cannot be listed.
func unordered(place, key, behind string) error {
	return &drivers.Error{Op: "list", URI: place, Kind: drivers.Config,
		Err: fmt.Errorf("the server does not list in the order of keys: %q comes behind %q", key, behind)}
}

// ListAfter lists 1000 objects to a request. Info.Version is the ETag.
func (s *Store) ListAfter(ctx context.Context, prefix, after string, fn func(path string, info drivers.Info) error) error {
	place, last := scheme+s.bucket+"/"+s.prefix+prefix, s.prefix+after
	w := &walk{store: s, bucket: s.bucket, prefix: s.prefix + prefix}
	if after != "" {
		w.after = s.prefix + after
	}
	return w.each(ctx, place, func(key string, object types.Object) error {
		switch {
		case key == last:
			return nil // a server whose StartAfter includes the key itself
		case key < last:
			// It would be lost to a listing that starts again behind it.
			return unordered(place, key, last)
		}
		last = key
		path := key[len(s.prefix):]
		if path == "" || strings.HasSuffix(path, "/") {
			return nil // what consoles make for a folder
		}
		return fn(path, drivers.Info{Bytes: aws.ToInt64(object.Size), Version: tag(object.ETag)})
	})
}

// exactKey is listedKey, sure of itself: a key in a listing that is not encoded
// may have lost characters that XML cannot carry.
func (s *Store) exactKey(ctx context.Context, encoding types.EncodingType, listed *string) (string, error) {
	key, err := listedKey(encoding, listed)
	if err != nil || encoding == types.EncodingTypeUrl || !strings.ContainsRune(key, unicode.ReplacementChar) {
		return key, err
	}
	if _, err := s.direct.head(ctx, location{s.bucket, key}); err != nil {
		if status(err) != http.StatusNotFound {
			return "", err
		}
		return "", fmt.Errorf("the server's listing does not tell the key of the object %q exactly", key)
	}
	return key, nil
}

// listedKey decodes a key of a listing, if the server says that it encoded
// them: not all do when asked.
func listedKey(encoding types.EncodingType, key *string) (string, error) {
	if encoding != types.EncodingTypeUrl {
		return aws.ToString(key), nil
	}
	return url.QueryUnescape(aws.ToString(key))
}
