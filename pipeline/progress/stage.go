package progress

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/kedge/kedge/drivers/metrics"
	"github.com/kedge/kedge/pipeline/failure"
)

// Stage is a stage of the pipeline, in their order.
type Stage int

// The stages. The first and the last do no work worth watching.
const (
	StagePrepare Stage = iota - 1
	StageFetch
	StageRecompress
	StagePut
	StageVerify
	StageCommit
	StageDelete
	StageFinish

	stageCount = StageFinish // of those that are watched
)

func (s Stage) watched() bool { return s > StagePrepare && s < StageFinish }

var stageNames = perStage[string]{
	StageFetch:      failure.StageFetch,
	StageRecompress: failure.StageRecompress,
	StagePut:        failure.StagePut,
	StageVerify:     failure.StageVerify,
	StageCommit:     failure.StageCommit,
	StageDelete:     failure.StageDelete,
}

// String names a stage that is watched, as failures name it too.
func (s Stage) String() string { return stageNames[s] }

// stageMeter counts what a stage does. Safe for concurrent use.
type stageMeter struct {
	queued, documents atomic.Int64
	// What the stage has behind it: documents that it has done, or that were
	// settled without it, with their bytes as the catalog counts them.
	behindDocuments, behindBytes atomic.Int64
	latency                      metrics.Histogram

	mu       sync.Mutex
	workers  int
	inFlight int64
	batches  int64
	// busy is the time of the batches that are done. began is the sum of when
	// those in flight began, in nanoseconds after the epoch.
	busy  time.Duration
	began time.Duration
	epoch time.Time
}

// begin counts a batch into the stage until the returned function is called.
func (m *stageMeter) begin() (end func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.epoch.IsZero() {
		m.epoch = time.Now()
	}
	at := time.Since(m.epoch)
	m.inFlight++
	m.began += at
	return func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		took := time.Since(m.epoch) - at
		m.inFlight--
		m.began -= at
		m.busy += took
		m.batches++
		m.latency.Observe(took)
	}
}

// state tells of the stage, with the time that batches in flight have taken up
// to now.
func (m *stageMeter) state(name string) StageState {
	s := StageState{Name: name, Queued: m.queued.Load(), Documents: m.documents.Load(), Latency: m.latency.Latency()}
	m.mu.Lock()
	defer m.mu.Unlock()
	s.Workers, s.InFlight, s.Batches, s.Busy = m.workers, m.inFlight, m.batches, m.busyNow()
	return s
}

// behind counts a document as one that the stage has behind it.
func (m *stageMeter) behind(d Document) {
	a := amountOf(d)
	m.behindDocuments.Add(a.Documents)
	m.behindBytes.Add(a.Bytes)
}

// sample fills in the part of stage i of a sample.
func (m *stageMeter) sample(s *sample, i int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s.busy[i], s.queued[i], s.documents[i] = m.busyNow(), m.queued.Load(), m.documents.Load()
	s.behind[i] = Amount{m.behindDocuments.Load(), m.behindBytes.Load()}
}

func (m *stageMeter) busyNow() time.Duration {
	if m.inFlight == 0 {
		return m.busy
	}
	return m.busy + time.Duration(m.inFlight)*time.Since(m.epoch) - m.began
}

// watch says that so many workers run the stage from now on.
func (m *stageMeter) watch(workers int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.workers = workers
	m.queued.Store(0) // what was queued when an earlier flow ended is gone
}
