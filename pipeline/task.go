package pipeline

import (
	"context"
	"time"

	"github.com/kedge/kedge/checkpoint"
	"github.com/kedge/kedge/pipeline/catalog"
)

// taskInterval is how often the row in the table tasks is brought up to date.
const taskInterval = 2 * time.Second

// keepTask keeps the task's row current while the run goes on. A failed update
// stops the run: it says that the database is gone.
func (m *migration) keepTask(ctx context.Context) {
	tick := time.NewTicker(taskInterval)
	defer tick.Stop()
	var last int64 = -1
	var stalled drainWatch
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		counts, failed := m.progress.Tally()
		if counts.Moved != last && !m.Purge {
			last = counts.Moved
			h := m.checkpoint.Header()
			if err := m.cat.UpdateTask(ctx, h.TaskID, catalog.TaskRunning, h.Documents, last); err != nil && ctx.Err() == nil {
				m.giveUp(err)
				return
			}
		}
		if m.stopping() && stalled.still(counts, failed) {
			m.giveUp(ErrStalled)
			return
		}
	}
}

// drainPatience is how long a run that was asked to stop may go without ending
// a batch before it stops at once.
const drainPatience = 15 * time.Second

// drainWatch notices that nothing moves any more.
type drainWatch struct {
	since  time.Time
	counts checkpoint.Counts
	failed int64
}

func (w *drainWatch) still(counts checkpoint.Counts, failed int64) bool {
	if w.since.IsZero() || counts != w.counts || failed != w.failed {
		*w = drainWatch{since: time.Now(), counts: counts, failed: failed}
	}
	return time.Since(w.since) > drainPatience
}
