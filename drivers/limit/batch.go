package limit

import (
	"context"

	"github.com/kedge/kedge/drivers"
)

// batching is a limited Batcher.
type batching struct {
	*limited
	batcher drivers.Batcher
}

// GetBatch waits for as many operations as there are requests, and after the
// trip for the bytes that it brought: how many they are is not known before. So
// as much as one trip of each caller may come ahead of its time.
func (b *batching) GetBatch(ctx context.Context, requests []drivers.GetRequest) []drivers.GetResult {
	results := trip(ctx, b.limited, "get", requests, 0, b.batcher.GetBatch,
		func(r drivers.GetRequest) string { return r.URI },
		func(r *drivers.GetResult) *error { return &r.Err })
	var bytes int64
	for i := range results {
		bytes += int64(len(results[i].Payload))
	}
	// The payloads are there, also when the wait is cut short.
	_, _ = b.bytes.take(ctx, bytes)
	return results
}

// PutBatch waits for as many operations as there are requests, and for their
// bytes.
func (b *batching) PutBatch(ctx context.Context, requests []drivers.PutRequest) []drivers.PutResult {
	var bytes int64
	for i := range requests {
		bytes += int64(len(requests[i].Payload))
	}
	return trip(ctx, b.limited, "put", requests, bytes, b.batcher.PutBatch,
		func(r drivers.PutRequest) string { return r.URI },
		func(r *drivers.PutResult) *error { return &r.Err })
}

// DeleteBatch waits for as many operations as there are URIs.
func (b *batching) DeleteBatch(ctx context.Context, uris []string) []error {
	return trip(ctx, b.limited, "delete", uris, 0, b.batcher.DeleteBatch,
		func(uri string) string { return uri },
		func(err *error) *error { return err })
}

func trip[Request, Result any](
	ctx context.Context, l *limited, op string, requests []Request, bytes int64,
	call func(context.Context, []Request) []Result,
	uriOf func(Request) string, errOf func(*Result) *error,
) []Result {
	waited, err := l.admit(ctx, op, "", len(requests), bytes)
	if err != nil {
		results := make([]Result, len(requests))
		for i := range results {
			named := *err.(*drivers.Error)
			named.URI = uriOf(requests[i])
			*errOf(&results[i]) = &named
		}
		return results
	}
	results := call(ctx, requests)
	for i := range results {
		err := errOf(&results[i])
		*err = holding(*err, waited)
	}
	return results
}
