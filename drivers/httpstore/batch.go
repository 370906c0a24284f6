package httpstore

import (
	"context"
	"errors"
	"io"

	"golang.org/x/sync/errgroup"

	"github.com/kedge/kedge/drivers"
)

// Each calls fn for 0 to n-1 with so many workers at once, and waits for them all.
func Each(n, workers int, fn func(i int)) {
	var group errgroup.Group
	group.SetLimit(workers)
	for i := range n {
		group.Go(func() error { fn(i); return nil })
	}
	_ = group.Wait() // fn reports for itself
}

// GetBatch reads payloads with so many requests at once, for a store that has no
// request for many. See drivers.Batcher.
func GetBatch(ctx context.Context, d drivers.Driver, workers int, requests []drivers.GetRequest) []drivers.GetResult {
	results := make([]drivers.GetResult, len(requests))
	Each(len(requests), workers, func(i int) { results[i] = GetWhole(ctx, d, requests[i]) })
	return results
}

// GetWhole reads one payload into memory.
func GetWhole(ctx context.Context, d drivers.Driver, request drivers.GetRequest) drivers.GetResult {
	r, info, err := d.Get(ctx, request.URI)
	if err != nil {
		return drivers.GetResult{Err: err}
	}
	defer r.Close()
	if info.Bytes > request.MaxBytes {
		return drivers.GetResult{Info: info, Err: &drivers.Error{
			Op: "get", URI: request.URI, Kind: drivers.TooLarge, Err: errors.New("longer than was asked for"),
		}}
	}
	payload := make([]byte, info.Bytes)
	if _, err := io.ReadFull(r, payload); err != nil {
		return drivers.GetResult{Info: info, Err: err}
	}
	return drivers.GetResult{Payload: payload, Info: info}
}

// PutBatch stores payloads with so many requests at once. See drivers.Batcher.
func PutBatch(ctx context.Context, d drivers.Driver, workers int, requests []drivers.PutRequest) []drivers.PutResult {
	results := make([]drivers.PutResult, len(requests))
	Each(len(requests), workers, func(i int) {
		r := requests[i]
		receipt, err := d.Put(ctx, r.URI, drivers.InMemory(r.Payload, r.MD5))
		results[i] = drivers.PutResult{Receipt: receipt, Err: err}
	})
	return results
}
