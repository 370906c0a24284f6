package observe

import (
	"sync"
	"time"
)

// sampling is how often a run is looked at for its history.
const sampling = time.Second

// Recorder follows a run and keeps its history, whose size does not depend on
// how long the run takes. Its methods are safe for concurrent use.
type Recorder struct {
	now  func() Progress
	stop chan struct{}
	done sync.WaitGroup

	mu      sync.Mutex
	history history
	last    *Progress // how the run ended
	ended   chan struct{}
}

// Record begins to follow a run, of which now tells at any moment and from any
// goroutine. The caller must Close the recorder.
func Record(now func() Progress) *Recorder {
	r := &Recorder{now: now, stop: make(chan struct{}), ended: make(chan struct{}), history: history{step: sampling}}
	r.done.Go(r.follow)
	return r
}

func (r *Recorder) follow() {
	tick := time.NewTicker(sampling)
	defer tick.Stop()
	for {
		r.sample()
		select {
		case <-r.stop:
			return
		case <-r.ended:
			return
		case <-tick.C:
		}
	}
}

// sample adds the present to the history. What was before the first document
// moves is no part of it.
func (r *Recorder) sample() {
	p := r.Progress()
	r.mu.Lock()
	defer r.mu.Unlock()
	if p.State != Starting && r.last == nil {
		r.history.add(p)
	}
}

// Progress is the run at this moment, or how it ended.
func (r *Recorder) Progress() Progress {
	r.mu.Lock()
	last := r.last
	r.mu.Unlock()
	if last != nil {
		return *last
	}
	return r.now()
}

// Series is the run's course up to now.
func (r *Recorder) Series() Series {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.history.series()
}

// End says that the run is over, and how it ended. Later calls do nothing.
func (r *Recorder) End(p Progress) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.last != nil {
		return
	}
	r.last = &p
	r.history.add(p)
	close(r.ended)
}

// Ended is closed when the run is over.
func (r *Recorder) Ended() <-chan struct{} { return r.ended }

// Close ends the following, and waits until it has ended.
func (r *Recorder) Close() {
	close(r.stop)
	r.done.Wait()
}
