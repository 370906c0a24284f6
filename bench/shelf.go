package bench

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/kedge/kedge/drivers"
)

// shelf is the documents of one size that a measurement has written: those with
// the numbers from low up to high, and any number that failed. It remembers
// numbers, not documents, so that it takes no memory for them.
type shelf struct {
	user    string
	size    int64
	payload []byte
	digest  string
	// low and high change between steps only.
	low, high int64

	mu sync.Mutex
	// unsure are numbers outside of low to high of which something may be there:
	// puts and deletes that failed.
	unsure []int64
}

// newShelf makes the payload that all documents of a size share.
func newShelf(user string, size int64, noise float64) *shelf {
	w := Workload{Documents: 1, Lengths: Fixed, MedianBytes: size, Noise: noise, Seed: uint64(size)}
	payload := w.Plain(0)
	if int64(len(payload)) > size {
		payload = payload[:size] // shorter than any JSON document
	}
	sum := md5.Sum(payload)
	return &shelf{user: user, size: size, payload: payload, digest: hex.EncodeToString(sum[:])}
}

func (s *shelf) uri(d drivers.Driver, number int64) (string, error) {
	return d.URI(drivers.Key{UserID: s.user, Bucket: Bucket, ArchiveID: fmt.Sprintf("%d-%012d", s.size, number)})
}

// uris are those of the documents from begin up to end.
func (s *shelf) uris(d drivers.Driver, begin, end int64) ([]string, error) {
	uris := make([]string, 0, end-begin)
	for n := begin; n < end; n++ {
		uri, err := s.uri(d, n)
		if err != nil {
			return nil, err
		}
		uris = append(uris, uri)
	}
	return uris, nil
}

// document is a document's payload, streamed where a migration would stream it.
func (s *shelf) document() drivers.Payload {
	if s.size <= streamBytes {
		return drivers.InMemory(s.payload, s.digest)
	}
	return drivers.Payload{Length: s.size, MD5: s.digest, Open: func(context.Context) (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(s.payload)), nil
	}}
}

// doubt remembers that something may be there.
func (s *shelf) doubt(number int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unsure = append(s.unsure, number)
}

func (s *shelf) live() int64 { return s.high - s.low }

// cleaners is how many requests remove documents at once.
const cleaners = 8

// clear removes all that was written, and unfinished uploads of what failed.
func (s *shelf) clear(ctx context.Context, d drivers.Driver) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(cleaners)
	const many = 256
	for begin := s.low; begin < s.high; begin += many {
		g.Go(func() error { return s.remove(ctx, d, begin, min(begin+many, s.high)) })
	}
	for _, number := range s.unsure {
		g.Go(func() error { return s.removeUnsure(ctx, d, number) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	s.low, s.unsure = s.high, nil
	return nil
}

// remove removes the documents from begin up to end.
func (s *shelf) remove(ctx context.Context, d drivers.Driver, begin, end int64) error {
	uris, err := s.uris(d, begin, end)
	if err != nil {
		return err
	}
	if batcher, ok := d.(drivers.Batcher); ok && d.Capabilities().BatchDelete {
		return errors.Join(batcher.DeleteBatch(ctx, uris)...)
	}
	for _, uri := range uris {
		if err := d.Delete(ctx, uri); err != nil {
			return err
		}
	}
	return nil
}

func (s *shelf) removeUnsure(ctx context.Context, d drivers.Driver, number int64) error {
	uri, err := s.uri(d, number)
	if err != nil {
		return err
	}
	if aborter, ok := d.(drivers.Aborter); ok && d.Capabilities().Uploads {
		if err := aborter.AbortUploads(ctx, uri); err != nil {
			return err
		}
	}
	return d.Delete(ctx, uri)
}
