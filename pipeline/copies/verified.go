package copies

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/pipeline/concurrency"
	"github.com/kedge/kedge/pipeline/store"
)

// faultsInARow is how many payloads the store may fail one after the other before the
// store is taken to be at fault, and not the copies.
const faultsInARow = 20

// verification reads copies back, in batches where the driver has them.
type verification struct {
	check   Check
	workers int
	batcher drivers.Batcher // nil where there are no batches
	// heldBytes is how many bytes of payloads each worker may hold.
	heldBytes int64

	mu      sync.Mutex
	verdict verdict
	faults  int // in a row
}

// verify reads all copies back.
func (c Check) verify(ctx context.Context) (Checked, error) {
	return c.reading().run(ctx, func(read func([]Copy) error) error {
		var cursor Cursor
		for {
			page, next, err := c.Record.Each(cursor, pageEntries, trusted...)
			if err != nil || len(page) == 0 {
				return err
			}
			if err := read(page); err != nil {
				return err
			}
			cursor = next
		}
	})
}

// reading makes a verification of which nothing has been read.
func (c Check) reading() *verification {
	capabilities := c.Store.Capabilities()
	v := &verification{check: c, workers: c.Workers, verdict: verdict{check: c}}
	if v.workers <= 0 {
		v.workers = max(1, capabilities.Workers)
	}
	if capabilities.BatchGet {
		v.batcher = c.Store.Batcher()
	}
	limits := concurrency.LimitsFor(concurrency.DefaultMemoryBytes)
	v.heldBytes = min(limits.BatchBytes, concurrency.DefaultMemoryBytes/2/int64(v.workers))
	return v
}

// run reads back, with so many workers, what feed gives, and makes the doubts durable.
func (v *verification) run(ctx context.Context, feed func(read func([]Copy) error) error) (Checked, error) {
	group, working := errgroup.WithContext(ctx)
	work := make(chan []Copy)
	for range v.workers {
		group.Go(func() error {
			for copies := range work {
				if err := v.one(working, copies); err != nil {
					return err
				}
			}
			return nil
		})
	}
	group.Go(func() error {
		defer close(work)
		return feed(func(page []Copy) error {
			for len(page) > 0 {
				n := v.cut(page)
				if err := concurrency.Send(working, work, page[:n:n]); err != nil {
					return err
				}
				page = page[n:]
			}
			return nil
		})
	})
	err := group.Wait()
	if endErr := v.verdict.end(ctx); err == nil {
		err = endErr
	}
	return v.verdict.counts, err
}

// cut is how many of the first copies are read in one trip: one alone is not held.
func (v *verification) cut(page []Copy) int {
	if v.batcher == nil {
		return 1
	}
	var bytes int64
	for i, c := range page {
		if bytes += c.Destination.Bytes; c.Destination.Bytes < 0 || bytes > v.heldBytes {
			return max(1, i)
		}
	}
	return len(page)
}

// one reads copies of one cut.
func (v *verification) one(ctx context.Context, copies []Copy) error {
	if len(copies) == 1 {
		digest, err := store.Digest(ctx, v.check.Store, copies[0].Destination.URI)
		return v.found(ctx, copies[0], digest, err)
	}
	requests := make([]drivers.GetRequest, len(copies))
	for i, c := range copies {
		requests[i] = drivers.GetRequest{URI: c.Destination.URI, MaxBytes: c.Destination.Bytes}
	}
	for i, result := range v.batcher.GetBatch(ctx, requests) {
		sum := md5.Sum(result.Payload)
		if err := v.found(ctx, copies[i], hex.EncodeToString(sum[:]), result.Err); err != nil {
			return err
		}
	}
	return nil
}

// found takes what was read of a copy. It fails where the store seems to be at fault,
// which is not the copies' fault: they would all be doubted.
func (v *verification) found(ctx context.Context, c Copy, digest string, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	switch drivers.KindOf(err) {
	case drivers.Down:
		return err
	case drivers.Temporary, drivers.Denied, drivers.Config, drivers.Full:
		if v.faults++; v.faults == faultsInARow {
			return fmt.Errorf("%d copies in a row could not be read, the last one: %w", faultsInARow, err)
		}
	default:
		v.faults = 0
	}
	v.verdict.say(c, err == nil && digest == c.Destination.Digest)
	return nil
}

// say takes what was found of a copy without reading it.
func (v *verification) say(c Copy, confirmed bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.verdict.say(c, confirmed)
}
