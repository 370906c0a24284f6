package torture

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"golang.org/x/sync/errgroup"
)

// objectStore reaches the objects of an S3 bucket below a prefix, but for what
// lies below the prefix apart, which belongs to another place.
type objectStore struct {
	client                *s3.Client
	bucket, prefix, apart string
}

// requests is how many requests are in flight at once.
const requests = 12

func (s objectStore) uri(key string) string { return "s3://" + s.bucket + "/" + key }
func (s objectStore) key(uri string) string { return strings.TrimPrefix(uri, "s3://"+s.bucket+"/") }

func (s objectStore) fill(ctx context.Context, payloads map[string][]byte) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(requests)
	for uri, payload := range payloads {
		g.Go(func() error {
			key := s.key(uri)
			_, err := s.client.PutObject(ctx, &s3.PutObjectInput{Bucket: &s.bucket, Key: &key, Body: bytes.NewReader(payload)})
			return err
		})
	}
	return g.Wait()
}

func (s objectStore) read(ctx context.Context, uris []string) (map[string][]byte, error) {
	payloads := make(map[string][]byte)
	var mu sync.Mutex
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(requests)
	for _, uri := range uris {
		g.Go(func() error {
			key := s.key(uri)
			out, err := s.client.GetObject(ctx, &s3.GetObjectInput{Bucket: &s.bucket, Key: &key})
			if missing := (*types.NoSuchKey)(nil); errors.As(err, &missing) {
				return nil
			}
			if err != nil {
				return err
			}
			defer out.Body.Close()
			payload, err := io.ReadAll(out.Body)
			mu.Lock()
			defer mu.Unlock()
			payloads[uri] = payload
			return err
		})
	}
	return payloads, g.Wait()
}

func (s objectStore) remove(ctx context.Context, uris []string) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(requests)
	for _, uri := range uris {
		g.Go(func() error {
			key := s.key(uri)
			_, err := s.client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &s.bucket, Key: &key})
			return err
		})
	}
	return g.Wait()
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
