package metrics

import (
	"context"
	"time"

	"github.com/kedge/kedge/drivers"
)

// batching is a metered Batcher.
type batching struct {
	*metered
	batcher drivers.Batcher
}

// GetBatch reads payloads whole.
func (b *batching) GetBatch(ctx context.Context, requests []drivers.GetRequest) []drivers.GetResult {
	begun := time.Now()
	results := b.batcher.GetBatch(ctx, requests)
	took := time.Since(begun)
	var worst error
	for i := range results {
		worst = worse(worst, results[i].Err)
		b.meter.bytes.Add(int64(len(results[i].Payload)))
	}
	b.meter.ended(took, worst)
	return results
}

// PutBatch stores payloads that are in memory.
func (b *batching) PutBatch(ctx context.Context, requests []drivers.PutRequest) []drivers.PutResult {
	begun := time.Now()
	results := b.batcher.PutBatch(ctx, requests)
	took := time.Since(begun)
	var worst error
	for i := range results {
		worst = worse(worst, results[i].Err)
		b.meter.bytes.Add(results[i].Receipt.Bytes)
	}
	b.meter.ended(took, worst)
	return results
}

// DeleteBatch removes payloads.
func (b *batching) DeleteBatch(ctx context.Context, uris []string) []error {
	begun := time.Now()
	errs := b.batcher.DeleteBatch(ctx, uris)
	took := time.Since(begun)
	var worst error
	for _, err := range errs {
		worst = worse(worst, err)
	}
	b.meter.ended(took, worst)
	return errs
}

// worse gives the one of two ends of a batch's parts that counts as the end of
// the batch: what is only not there, or longer than expected, is an answer.
func worse(a, b error) error {
	switch drivers.KindOf(b) {
	case drivers.NotFound, drivers.TooLarge:
		return a
	}
	if a == nil {
		return b
	}
	return a
}
