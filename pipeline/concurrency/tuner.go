package concurrency

import "time"

// tuner finds out how many operations a store is worth having in flight. It
// climbs the hill of throughput: after a window of time in which all that were
// allowed were in flight, it tries more of them and keeps what brings more; where
// more brings nothing, it tries fewer, and keeps what costs nothing; where
// neither does, it rests for longer and longer. When a store turns operations
// away or lets them time out, it goes down by a third at once and from there up
// slowly.
//
// It does no more than compute: time is what it is told. Not safe for concurrent
// use.
type tuner struct {
	least, most int // of what is tried; a store that is strained gets down to one
	limit       int

	// The window that is under way, and what was done in it.
	begun   time.Time
	work    float64
	ended   int
	starved time.Duration // for how long fewer than limit were in flight

	trial trial
	// base is the limit that is to be beaten, and rate its throughput.
	base int
	rate float64
	// rest is how many windows pass until something is tried again, and pause how
	// many passed the last time.
	rest, pause int
	// strained is a limit that was too much for the store, 0 if none was: for wary
	// windows nothing as high is tried, the next time for twice as many.
	strained       int
	wary, wariness int
	worst          int       // the last limit that was too much, however long ago
	relieved       time.Time // the store is not blamed again for what was sent before
}

// trial is what is being tried.
type trial int

const (
	trialNone trial = iota
	trialMore
	trialFewer
)

const (
	// window is the least time, and windowOperations how many operations for each
	// that is in flight, after which throughput is compared.
	window           = 2 * time.Second
	windowOperations = 8
	// gains is how much more throughput more operations must bring, and costs how
	// much less fewer may.
	gains = 1.05
	loses = 0.98
	// longestPause is how many windows a rest has at most.
	longestPause = 64
	shortPause   = 4
	longestWary  = 128
	shortWary    = 8
)

// newTuner begins with a limit that is known to suit the driver.
func newTuner(limit, most int) *tuner {
	return &tuner{least: max(1, limit/4), most: max(limit, most), limit: limit, base: limit, pause: shortPause}
}

// done counts an operation that was worth so much work (a number of documents of
// a usual size). idle is for how long, since the last call, more operations were
// allowed than there were. It says whether the limit has changed.
func (t *tuner) done(now time.Time, work float64, idle time.Duration) bool {
	if t.begun.IsZero() {
		t.begun = now
	}
	t.work += work
	t.ended++
	t.starved += idle
	passed := now.Sub(t.begun)
	if passed < window || t.ended < windowOperations*t.limit {
		return false
	}
	rate := t.work / passed.Seconds()
	full := t.starved < passed/5
	before := t.limit
	if full {
		t.judge(rate)
	} else {
		// Something else holds the run back: nothing can be learnt.
		t.back()
	}
	t.restart(now)
	return t.limit != before
}

// restart begins a window.
func (t *tuner) restart(now time.Time) {
	t.begun, t.work, t.ended, t.starved = now, 0, 0, 0
}

// judge compares the throughput of a window with what it was before.
func (t *tuner) judge(rate float64) {
	if t.wary--; t.wary <= 0 {
		t.strained = 0
	}
	switch t.trial {
	case trialMore:
		if rate >= t.rate*gains {
			t.settle(rate)
			t.pause = shortPause
			t.more()
			return
		}
		t.fewer()
	case trialFewer:
		if rate >= t.rate*loses {
			t.settle(max(t.rate, rate)) // small losses do not add up
			t.pause = shortPause
			t.fewer()
			return
		}
		t.back()
		t.rest = t.pause
		t.pause = min(2*t.pause, longestPause)
	default:
		t.rate = rate
		if t.rest--; t.rest <= 0 {
			t.more()
		}
	}
}

// settle makes the present limit the one that is to be beaten.
func (t *tuner) settle(rate float64) {
	t.base, t.rate, t.trial = t.limit, rate, trialNone
}

// more tries a limit a quarter above the base, but none that was too much for the
// store lately.
func (t *tuner) more() {
	next := t.base + max(1, t.base/4)
	if t.strained > 0 {
		next = min(next, t.strained-1)
	}
	if next = min(next, t.most); next <= t.base {
		t.fewer()
		return
	}
	t.limit, t.trial = next, trialMore
}

// fewer tries a limit a fifth below the base.
func (t *tuner) fewer() {
	next := max(t.least, t.base-max(1, t.base/5))
	if next >= t.base {
		t.back()
		t.rest = t.pause
		t.pause = min(2*t.pause, longestPause)
		return
	}
	t.limit, t.trial = next, trialFewer
}

// back goes back to the base.
func (t *tuner) back() { t.limit, t.trial = t.base, trialNone }

// strain says that the store turned an operation away or did not answer in time.
// It says whether the limit has changed.
func (t *tuner) strain(now time.Time) bool {
	if now.Before(t.relieved) {
		return false
	}
	before := t.limit
	if t.wariness = min(2*t.wariness, longestWary); t.base > t.worst {
		t.wariness = shortWary
	}
	t.strained, t.worst, t.wary = t.limit, t.limit, t.wariness
	t.limit = max(1, t.limit*2/3)
	t.relieved = now.Add(window)
	t.base, t.trial, t.rest, t.pause = t.limit, trialNone, shortPause, shortPause
	t.restart(now)
	return t.limit != before
}
