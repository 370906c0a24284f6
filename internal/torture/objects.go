package torture

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// objectStore reaches the objects of an S3 bucket below a prefix, but for what
// lies below the prefix apart, which belongs to another place.
type objectStore struct {
	client                *s3.Client
	bucket, prefix, apart string
}

func (s objectStore) uri(key string) string { return "s3://" + s.bucket + "/" + key }
func (s objectStore) key(uri string) string { return strings.TrimPrefix(uri, "s3://"+s.bucket+"/") }

func (s objectStore) fill(ctx context.Context, payloads map[string][]byte) error {
	return each(ctx, maps.Keys(payloads), func(ctx context.Context, uri string) error {
		key := s.key(uri)
		_, err := s.client.PutObject(ctx, &s3.PutObjectInput{Bucket: &s.bucket, Key: &key, Body: bytes.NewReader(payloads[uri])})
		return err
	})
}

func (s objectStore) read(ctx context.Context, uris []string) (map[string][]byte, error) {
	return readEach(ctx, uris, func(ctx context.Context, uri string) ([]byte, error) {
		key := s.key(uri)
		out, err := s.client.GetObject(ctx, &s3.GetObjectInput{Bucket: &s.bucket, Key: &key})
		if missing := (*types.NoSuchKey)(nil); errors.As(err, &missing) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		defer out.Body.Close()
		return io.ReadAll(out.Body)
	})
}

func (s objectStore) remove(ctx context.Context, uris []string) error {
	return each(ctx, slices.Values(uris), func(ctx context.Context, uri string) error {
		key := s.key(uri)
		_, err := s.client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &s.bucket, Key: &key})
		return err
	})
}

// list lists the objects, and the unfinished uploads of these URIs: MinIO lists
// uploads only by their exact key.
func (s objectStore) list(ctx context.Context, uploads []string) ([]string, error) {
	list, err := s.objects(ctx)
	if err != nil {
		return nil, err
	}
	for _, uri := range uploads {
		key := s.key(uri)
		out, err := s.client.ListMultipartUploads(ctx, &s3.ListMultipartUploadsInput{Bucket: &s.bucket, Prefix: &key})
		if err != nil {
			return nil, err
		}
		for _, u := range out.Uploads {
			list = append(list, "unfinished upload "+*u.UploadId+" of "+s.uri(*u.Key))
		}
	}
	return list, nil
}

func (s objectStore) objects(ctx context.Context) ([]string, error) {
	var list []string
	pages := s3.NewListObjectsV2Paginator(s.client, &s3.ListObjectsV2Input{Bucket: &s.bucket, Prefix: &s.prefix})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, o := range page.Contents {
			if s.apart == "" || !strings.HasPrefix(*o.Key, s.apart) {
				list = append(list, s.uri(*o.Key))
			}
		}
	}
	return list, nil
}

func (s objectStore) clear(ctx context.Context) error {
	list, err := s.objects(ctx)
	if err != nil {
		return err
	}
	return s.remove(ctx, list)
}
