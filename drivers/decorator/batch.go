package decorator

import (
	"context"
	"fmt"

	"github.com/kedge/kedge/drivers"
)

// batching is a decorated Batcher.
type batching[S any] struct {
	*decorated[S]
	batcher drivers.Batcher
}

// kind is what there is to know of an operation's requests and results.
type kind[Request, Result any] struct {
	name  string
	uri   func(*Request) string
	sends func(*Request) int64 // bytes
	err   func(*Result) *error
	moved func(*Result) int64 // bytes
}

var (
	gets = kind[drivers.GetRequest, drivers.GetResult]{
		name:  Get,
		uri:   func(r *drivers.GetRequest) string { return r.URI },
		sends: nothing[drivers.GetRequest],
		err:   func(r *drivers.GetResult) *error { return &r.Err },
		moved: func(r *drivers.GetResult) int64 { return int64(len(r.Payload)) },
	}
	puts = kind[drivers.PutRequest, drivers.PutResult]{
		name:  Put,
		uri:   func(r *drivers.PutRequest) string { return r.URI },
		sends: func(r *drivers.PutRequest) int64 { return int64(len(r.Payload)) },
		err:   func(r *drivers.PutResult) *error { return &r.Err },
		moved: func(r *drivers.PutResult) int64 { return r.Receipt.Bytes },
	}
	deletes = kind[string, error]{
		name:  Delete,
		uri:   func(uri *string) string { return *uri },
		sends: nothing[string],
		err:   func(err *error) *error { return err },
		moved: nothing[error],
	}
)

func nothing[T any](*T) int64 { return 0 }

// GetBatch reads payloads whole.
func (b *batching[S]) GetBatch(ctx context.Context, requests []drivers.GetRequest) []drivers.GetResult {
	return trip(ctx, b.decorated, &gets, requests, b.batcher.GetBatch)
}

// PutBatch stores payloads that are in memory.
func (b *batching[S]) PutBatch(ctx context.Context, requests []drivers.PutRequest) []drivers.PutResult {
	return trip(ctx, b.decorated, &puts, requests, b.batcher.PutBatch)
}

// DeleteBatch removes payloads.
func (b *batching[S]) DeleteBatch(ctx context.Context, uris []string) []error {
	return trip(ctx, b.decorated, &deletes, uris, b.batcher.DeleteBatch)
}

// trip is one operation of as many parts as there are requests; without any there
// is none.
func trip[S, Request, Result any](
	ctx context.Context, d *decorated[S], k *kind[Request, Result], requests []Request,
	call func(context.Context, []Request) []Result,
) []Result {
	if len(requests) == 0 {
		return nil
	}
	b := &batch[Request, Result]{kind: k, requests: requests}
	op := d.begin(k.name, "")
	op.batch = b
	for i := range requests {
		op.Bytes += k.sends(&requests[i])
	}
	for op.next(ctx) {
		asked := b.asked()
		answers := call(ctx, asked)
		op.Moved = 0
		for i := range answers {
			op.Moved += k.moved(&answers[i])
		}
		if len(answers) == len(asked) {
			b.answer(answers)
			continue
		}
		for i := range asked {
			*b.err(i) = &drivers.Error{Op: k.name, URI: b.uri(i),
				Err: fmt.Errorf("driver %s gave %d results for a batch of %d", d.Name(), len(answers), len(asked))}
		}
	}
	_ = d.end(op)
	return b.results
}

// batch holds the parts of an operation.
type batch[Request, Result any] struct {
	kind     *kind[Request, Result]
	requests []Request
	results  []Result // one for each request, when there are any
	pending  []int    // the requests that are to be made; nil for all of them
}

func (b *batch[Request, Result]) len() int {
	if b.pending == nil {
		return len(b.requests)
	}
	return len(b.pending)
}

func (b *batch[Request, Result]) index(i int) int {
	if b.pending == nil {
		return i
	}
	return b.pending[i]
}

func (b *batch[Request, Result]) uri(i int) string { return b.kind.uri(&b.requests[b.index(i)]) }

func (b *batch[Request, Result]) err(i int) *error {
	if b.results == nil {
		b.results = make([]Result, len(b.requests))
	}
	return b.kind.err(&b.results[b.index(i)])
}

func (b *batch[Request, Result]) keep(indices []int) {
	pending := make([]int, len(indices))
	for i, index := range indices {
		pending[i] = b.index(index)
	}
	b.pending = pending
}

func (b *batch[Request, Result]) asked() []Request {
	if b.pending == nil {
		return b.requests
	}
	asked := make([]Request, len(b.pending))
	for i, index := range b.pending {
		asked[i] = b.requests[index]
	}
	return asked
}

func (b *batch[Request, Result]) answer(answers []Result) {
	if b.pending == nil {
		b.results = answers
		return
	}
	for i, index := range b.pending {
		b.results[index] = answers[i]
	}
}
