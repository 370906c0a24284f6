package pipeline

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kedge/kedge/checkpoint"
	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/pipeline/catalog"
)

// Stage is a stage of the pipeline, for Snapshot.Busy.
type Stage int

// The stages that do work worth watching.
const (
	StageFetch Stage = iota
	StageRecompress
	StagePut
	StageVerify
	StageCommit
	StageDelete
	stageCount
)

// String names the stage.
func (s Stage) String() string {
	return [...]string{"fetch", "recompress", "put", "verify", "commit", "delete"}[s]
}

// Progress is how far a run has come. Safe for concurrent use.
type Progress struct {
	mu     sync.Mutex
	counts checkpoint.Counts
	failed int64 // failures seen by this run
	inWork [stageCount]atomic.Int64
}

// Snapshot is the progress at one moment.
type Snapshot struct {
	Counts checkpoint.Counts // over all runs of this migration
	Failed int64             // documents that failed in this run
	Busy   [stageCount]int64 // batches in each stage
	// Paused are the outages for which the run waits.
	Paused []drivers.Outage
}

func (p *Progress) add(o checkpoint.Outcome) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.counts.Add(o.Counts)
	p.failed += int64(len(o.Failed))
}

// busy counts a batch into a stage until the returned function is called.
func (p *Progress) busy(s Stage) func() {
	p.inWork[s].Add(1)
	return func() { p.inWork[s].Add(-1) }
}

func (p *Progress) snapshot() Snapshot {
	p.mu.Lock()
	s := Snapshot{Counts: p.counts, Failed: p.failed}
	p.mu.Unlock()
	for i := range s.Busy {
		s.Busy[i] = p.inWork[i].Load()
	}
	return s
}

// taskInterval is how often the row in the table tasks is brought up to date.
const taskInterval = 2 * time.Second

// keepTask keeps the task's row current, and reports progress, while the run
// goes on. A failed update stops the run: it says that the database is gone.
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
		s := m.progress.snapshot()
		if s.Counts.Moved != last && !m.Purge {
			last = s.Counts.Moved
			h := m.checkpoint.Header()
			if err := m.cat.UpdateTask(ctx, h.TaskID, catalog.TaskRunning, h.Documents, last); err != nil && ctx.Err() == nil {
				m.giveUp(err)
				return
			}
		}
		if m.stopping() && stalled.still(s) {
			m.giveUp(ErrStalled)
			return
		}
		if m.Report != nil {
			s.Paused = outages(m.src, m.dst)
			m.Report(s)
		}
	}
}

// drainPatience is how long a run that was asked to stop may go without ending
// a batch before it stops at once.
const drainPatience = 15 * time.Second

// ErrStalled ends a run that was asked to stop while a store does not answer:
// what is in flight is taken up by the next run.
var ErrStalled = fmt.Errorf("a store does not answer: stopped without finishing what was in flight: %w", context.Canceled)

// drainWatch notices that nothing moves any more.
type drainWatch struct {
	since  time.Time
	counts checkpoint.Counts
	failed int64
}

func (w *drainWatch) still(s Snapshot) bool {
	if w.since.IsZero() || s.Counts != w.counts || s.Failed != w.failed {
		*w = drainWatch{since: time.Now(), counts: s.Counts, failed: s.Failed}
	}
	return time.Since(w.since) > drainPatience
}
