package audit

import (
	"context"
	"errors"
	"hash/fnv"
	"io"
	"sync"

	"github.com/kedge/kedge/checkpoint"
	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/pipeline/catalog"
	"github.com/kedge/kedge/pipeline/concurrency"
	"github.com/kedge/kedge/pipeline/survey"
)

// allReached fails with a failure.SkippedError where the catalog's index does not lead
// to all rows: who goes by it would take documents for checked that nobody has read.
// Where that is so, the checkpoint of an audit that has begun says nothing either: rows
// before its position may have been passed over. So it is found out before the first
// document of each run. A run that is asked to stop meanwhile does nothing.
func (a *audit) allReached(ctx context.Context) error {
	looking, cancel := context.WithCancel(ctx)
	var watcher sync.WaitGroup
	watcher.Go(func() {
		select {
		case <-a.stop:
			cancel()
		case <-looking.Done():
		}
	})
	defer watcher.Wait()
	defer cancel()
	snapshot, err := a.Catalog.Snapshot(looking)
	if err == nil {
		defer snapshot.Close()
		err = survey.Skipped(looking, snapshot, catalog.Selection{Buckets: a.Buckets})
	}
	if a.stopped = a.stopping(); a.stopped && ctx.Err() == nil && errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// enumerate feeds what an interrupted audit had in flight, and then the catalog
// from where it had come to.
func (a *audit) enumerate(ctx context.Context, out chan<- *batch) error {
	var earlier []*batch
	err := a.checkpoint.InFlight(func(number uint64, entries []checkpoint.Entry) error {
		earlier = append(earlier, &batch{number: number, entries: entries})
		return nil
	})
	if err != nil {
		return err
	}
	for _, b := range earlier {
		if err := a.revive(ctx, b); err != nil {
			return err
		}
		if err := concurrency.Send(ctx, out, b); err != nil {
			return err
		}
	}
	return a.walk(ctx, out)
}

// walk feeds the catalog from where the audit had come to.
func (a *audit) walk(ctx context.Context, out chan<- *batch) error {
	cutting := concurrency.Cutter[*document]{
		Limits: a.limits,
		Key:    func(it *document) drivers.Key { return it.doc.Key },
		Bytes:  func(it *document) int64 { return it.doc.Bytes },
	}
	position := catalog.Position(a.checkpoint.Header().Position)
	for !a.stopping() {
		page, err := a.Catalog.Page(ctx, catalog.Selection{Buckets: a.Buckets}, position, a.limits.PageRows)
		if err != nil {
			return err
		}
		for _, d := range page {
			position = d.After()
			if !a.sampled(d.Key) {
				continue
			}
			if items := cutting.Add(&document{doc: d}); items != nil {
				if err := a.feed(ctx, out, items); err != nil {
					return err
				}
			}
		}
		if len(page) < a.limits.PageRows {
			if items := cutting.Rest(); items != nil {
				return a.feed(ctx, out, items)
			}
			return nil
		}
	}
	a.stopped = true
	return nil
}

func (a *audit) stopping() bool { return concurrency.Closed(a.stop) }

func (a *audit) feed(ctx context.Context, out chan<- *batch, items []*document) error {
	entries := make([]checkpoint.Entry, len(items))
	for i, it := range items {
		entries[i] = it.entry()
	}
	b := &batch{documents: items}
	b.number, _ = a.checkpoint.Intend(entries, checkpoint.Position(items[len(items)-1].doc.After()))
	return concurrency.Send(ctx, out, b)
}

// sampled draws documents by their key, so that every run draws the same.
func (a *audit) sampled(k drivers.Key) bool {
	if a.SamplePercent <= 0 || a.SamplePercent >= 100 {
		return true
	}
	h := fnv.New32a()
	_, _ = io.WriteString(h, k.UserID+"\x00"+k.Bucket+"\x00"+k.ArchiveID)
	return float64(h.Sum32()%10000) < a.SamplePercent*100
}
