package pipeline

import (
	"context"
	"errors"
	"time"

	"github.com/kedge/kedge/checkpoint"
	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/drivers/metrics"
	"github.com/kedge/kedge/pipeline/catalog"
	"github.com/kedge/kedge/pipeline/failure"
	"github.com/kedge/kedge/pipeline/progress"
)

// errLockLost stops a run whose lock session has ended.
var errLockLost = errors.New("the database session that held the migration lock has ended: stopped before anything more was changed (whether a commit under way took effect, the next run reads from the rows)")

// taskInterval is how often the row in the table tasks is brought up to date.
const taskInterval = 2 * time.Second

// keepTask keeps the task's row current while the run goes on. A failed update
// stops the run: it says that the database is gone.
func (m *migration) keepTask(ctx context.Context) {
	tick := time.NewTicker(taskInterval)
	defer tick.Stop()
	var last int64 = -1
	type tally struct {
		counts           checkpoint.Counts
		failed, answered int64
	}
	var drain failure.Drain[tally]
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		counts, failed := m.progress.Tally()
		if counts.Moved != last && !m.purging() {
			last = counts.Moved
			h := m.checkpoint.Header()
			if err := m.cat.UpdateTask(ctx, h.TaskID, catalog.TaskRunning, h.Documents, last); err != nil && ctx.Err() == nil {
				m.giveUp(err)
				return
			}
		}
		if m.stopping() && drain.Stalled(tally{counts, failed, m.answered()}) {
			m.giveUp(failure.ErrStalled)
			return
		}
	}
}

// answered is how many calls the stores have answered: a batch may take long to end at
// a store that is only slow.
func (m *migration) answered() int64 {
	from, to := m.src.Meter.Measurements(), m.dst.Meter.Measurements()
	return from.Operations - from.Errors + to.Operations - to.Errors
}

// watchLock stops the run when the lock is lost.
func (m *migration) watchLock(ctx context.Context) {
	select {
	case <-m.cat.Lost():
		m.giveUp(errLockLost)
	case <-ctx.Done():
	}
}

// asSeen is what the progress must know of the run.
func (m *migration) asSeen() progress.Run {
	r := progress.Run{
		Source:      progress.Side{Store: m.src, Meter: m.src.Meter, Limits: m.src.Limits, Ops: m.sourceOps},
		Destination: progress.Side{Store: m.dst, Meter: m.dst.Meter, Limits: m.dst.Limits, Ops: m.destOps},
		Stores:      []drivers.Driver{m.src, m.dst},
		Carrying:    []*metrics.Meter{m.src.Meter},
	}
	if m.purging() {
		r.Carrying, r.Counted = []*metrics.Meter{m.dst.Meter}, true
	}
	return r
}
