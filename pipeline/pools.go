package pipeline

import (
	"cmp"
	"context"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/kedge/kedge/pipeline/concurrency"
	"github.com/kedge/kedge/pipeline/progress"
)

// waitingBatches is how many committed batches may wait to have their sources
// deleted until the catalog has been looked through. They hold no payloads.
const waitingBatches = 64

// pools are the stages' workers, all owned by one errgroup.
type pools struct {
	g   *errgroup.Group
	ctx context.Context
	// progress is told which batches wait for which stage.
	progress *Progress
	// gaveUp fails when the run is to end because a store has been given up.
	gaveUp func() error
	// room is how many batches more than one may wait behind a stage.
	room int
}

// stage runs work, which is that of s, on every batch of in with so many workers,
// and passes it on.
func (p pools) stage(s progress.Stage, workers int, in <-chan *batch, work func(context.Context, *batch) error) <-chan *batch {
	out := make(chan *batch, 1+p.room)
	p.progress.Staffed(s, workers)
	var running sync.WaitGroup
	running.Add(workers)
	for range workers {
		p.g.Go(func() error {
			defer running.Done()
			for {
				select {
				case <-p.ctx.Done():
					return context.Cause(p.ctx)
				case b, ok := <-in:
					if !ok {
						return nil
					}
					p.progress.Queued(s, -1)
					err := work(p.ctx, b)
					if err := cmp.Or(p.gaveUp(), err); err != nil {
						return err
					}
					p.progress.Queued(s+1, 1)
					if err := concurrency.Send(p.ctx, out, b); err != nil {
						return err
					}
				}
			}
		})
	}
	p.g.Go(func() error {
		running.Wait()
		close(out)
		return nil
	})
	return out
}

// gate bounds the operations on items in flight, over all batches.
type gate = *concurrency.Gate[*item]

// newGate bounds the operations in flight at a store.
func (m *migration) newGate(s Store) gate {
	c := s.Capabilities()
	switch {
	case m.Workers > 0:
		return concurrency.Fixed[*item](m.Workers)
	case c.BatchGet || c.BatchPut:
		// So many connections there are; the catalog may be on them, too.
		return concurrency.Tuned[*item](c.Workers, c.Workers, s.Meter.Retries)
	default:
		return concurrency.Tuned[*item](c.Workers, concurrency.MostOperations, s.Meter.Retries)
	}
}
