package s3

import (
	"context"
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
// order of the server's listing. Info.MD5 is empty: a listing does not tell
// which ETags are no MD5. MinIO leaves objects out whose key goes on, after a
// slash, from the key of another.
func (s *Store) List(ctx context.Context, fn func(uri string, info drivers.Info) error) error {
	if s.unlisted != nil {
		return s.unlisted
	}
	for w := (&walk{store: s, bucket: s.bucket, prefix: s.prefix}); !w.done; {
		found, err := w.next(ctx)
		if err != nil {
			return s.fail("list", s.Prefix(), err)
		}
		for _, object := range found.objects {
			key, err := s.exactKey(ctx, found.encoding, object.Key)
			if err != nil {
				return s.fail("list", s.Prefix(), err)
			}
			if err := fn(scheme+s.bucket+"/"+key, drivers.Info{Bytes: aws.ToInt64(object.Size)}); err != nil {
				return err
			}
		}
	}
	return nil
}

// exactKey is listedKey, sure of itself: a key in a listing that is not encoded
// may have lost characters that XML cannot carry.
func (s *Store) exactKey(ctx context.Context, encoding types.EncodingType, listed *string) (string, error) {
	key, err := listedKey(encoding, listed)
	if err != nil || encoding == types.EncodingTypeUrl || !strings.ContainsRune(key, unicode.ReplacementChar) {
		return key, err
	}
	if _, err := s.head(ctx, location{s.bucket, key}); err != nil {
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
