package progress

import "time"

// sampleInterval is how often a run's progress is sampled, and windowSamples how
// many samples what is told of the present looks back on.
const (
	sampleInterval = 250 * time.Millisecond
	windowSamples  = 40
)

// perStage has something for each stage.
type perStage[T any] [stageCount]T

// sample is what is measured over time, at one moment.
type sample struct {
	at        time.Time
	carried   int64                   // bytes
	behind    perStage[Amount]        // what each stage has behind it
	documents perStage[int64]         // and how many of these it has done
	busy      perStage[time.Duration] // and how long its workers were at it
	queued    perStage[int64]
	// What the stores and the database have answered.
	source, destination, commits answers
}

// weights say which part of the work on a document is each stage's, by how long
// the stage's workers take for one. With them what the stages have behind them
// is one number that grows evenly, also while the first stages run ahead of the
// last ones, until what is between them is full.
type weights perStage[float64]

func (s sample) weights() (w weights) {
	var sum float64
	for i := range w {
		if s.documents[i] > 0 {
			w[i] = s.busy[i].Seconds() / float64(s.documents[i])
		}
		sum += w[i]
	}
	for i := range w {
		if sum > 0 {
			w[i] /= sum
		}
	}
	return w
}

// way is a number of documents, and of bytes, the parts of documents included.
type way struct{ documents, bytes float64 }

// of adds up what the stages have behind them.
func (w weights) of(behind perStage[Amount]) (sum way) {
	for i := range w {
		sum.documents += w[i] * float64(behind[i].Documents)
		sum.bytes += w[i] * float64(behind[i].Bytes)
	}
	return sum
}

// answers are so many, that took so long all together.
type answers struct {
	count int64
	sum   time.Duration
	// inFlight are the operations in flight at that moment, those that are held
	// back included, and limit is how many there may be.
	inFlight, limit int64
}

// share is how much of what there may be in flight is.
func (a answers) share() float64 {
	if a.limit == 0 {
		return 0
	}
	return float64(a.inFlight) / float64(a.limit)
}

func answersOf(s Side) answers {
	if s.Store == nil {
		return answers{}
	}
	l := s.Meter.Measurements().Latency
	return answers{count: l.Count, sum: l.Sum, inFlight: s.Ops.InFlight(), limit: s.Ops.Limit()}
}

// pace remembers samples: the last ones all, and of the time before so few that
// their number is bounded.
type pace struct {
	window []sample
	// marks are the run's way, oldest first, each at least spacing after the one
	// before.
	marks   []mark
	spacing time.Duration
	// worked is for how long the run has gone on, without the time in which it
	// waited for a store.
	worked time.Duration
	last   time.Time
}

// mark says how far a run had come after so much work.
type mark struct {
	worked time.Duration
	behind perStage[Amount]
}

// maxMarks bounds the marks; when there are so many, every second one goes.
const maxMarks = 128

// take takes in a sample; paused says that the run is waiting for a store.
func (p *pace) take(s sample, paused bool) {
	if len(p.window) == windowSamples {
		p.window = append(p.window[:0], p.window[1:]...)
	}
	p.window = append(p.window, s)
	if !paused && !p.last.IsZero() {
		p.worked += s.at.Sub(p.last)
	}
	p.last = s.at
	if len(p.marks) > 0 && p.worked < p.marks[len(p.marks)-1].worked+p.spacing {
		return
	}
	p.marks = append(p.marks, mark{p.worked, s.behind})
	if len(p.marks) == maxMarks {
		kept := p.marks[:0]
		for i := 0; i < maxMarks; i += 2 {
			kept = append(kept, p.marks[i])
		}
		p.marks = kept
		p.spacing = max(2*p.spacing, 2*sampleInterval)
	}
}

// before gives the sample with which the present is compared.
func (p *pace) before(now sample) sample {
	if len(p.window) == 0 {
		return now
	}
	return p.window[0]
}

// share is the mean of what of tells of the last samples.
func (p *pace) share(of func(sample) float64) (mean float64) {
	for _, s := range p.window {
		mean += of(s) / float64(len(p.window))
	}
	return mean
}

// What is left is told from at least leastWork, and from the last third of the
// run, or recentWork if that is more.
const (
	leastWork  = time.Second
	recentWork = time.Minute
)

// left tells how long it takes until so much is done, negative if that is not
// known. Documents and their bytes both take time; how much each of them, is what
// fits the run's course best.
func (p *pace) left(now sample, whole Amount) time.Duration {
	if len(p.marks) == 0 {
		return -1
	}
	first, last := 0, p.marks[len(p.marks)-1]
	for back := max(recentWork, p.worked/3); first < len(p.marks)-1 && p.marks[first+1].worked < last.worked-back; {
		first++
	}
	weights := now.weights()
	var steps []step
	var passed way
	var took float64
	for i := first + 1; i < len(p.marks); i++ {
		before, after := weights.of(p.marks[i-1].behind), weights.of(p.marks[i].behind)
		s := step{way{after.documents - before.documents, after.bytes - before.bytes}, (p.marks[i].worked - p.marks[i-1].worked).Seconds()}
		passed.documents, passed.bytes, took = passed.documents+s.documents, passed.bytes+s.bytes, took+s.seconds
		steps = append(steps, s)
	}
	if took < leastWork.Seconds() {
		return -1
	}
	document, byt := costs(steps)
	fits := document*passed.documents + byt*passed.bytes
	if fits <= 0 {
		return -1
	}
	behind := weights.of(now.behind)
	rest := document*max(0, float64(whole.Documents)-behind.documents) + byt*max(0, float64(whole.Bytes)-behind.bytes)
	return time.Duration(rest / fits * took * float64(time.Second))
}

// step is a part of a run's course, and how long it took.
type step struct {
	way
	seconds float64
}

// costs gives what a document and what a byte takes in seconds, as the method of
// least squares has it, neither of them negative. Where the steps do not tell
// them apart, because every document is as long as the next, each takes half of
// the time.
func costs(steps []step) (document, byt float64) {
	var dd, db, bb, dt, bt float64
	var all step
	for _, s := range steps {
		dd, db, bb = dd+s.documents*s.documents, db+s.documents*s.bytes, bb+s.bytes*s.bytes
		dt, bt = dt+s.documents*s.seconds, bt+s.bytes*s.seconds
		all.documents, all.bytes, all.seconds = all.documents+s.documents, all.bytes+s.bytes, all.seconds+s.seconds
	}
	const apart = 0.01
	determinant := dd*bb - db*db
	switch {
	case all.documents <= 0:
		return 0, 0
	case all.bytes <= 0:
		return all.seconds / all.documents, 0
	case determinant < apart*dd*bb:
		return all.seconds / all.documents / 2, all.seconds / all.bytes / 2
	}
	document, byt = (dt*bb-bt*db)/determinant, (bt*dd-dt*db)/determinant
	switch {
	case document <= 0:
		return 0, all.seconds / all.bytes
	case byt <= 0:
		return all.seconds / all.documents, 0
	}
	return document, byt
}
