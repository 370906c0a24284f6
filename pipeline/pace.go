package pipeline

import "time"

// sampleInterval is how often a run's progress is sampled, and windowSamples how
// many samples what is told of the present looks back on.
const (
	sampleInterval = 250 * time.Millisecond
	windowSamples  = 40
)

// sample is what is measured over time, at one moment.
type sample struct {
	at      time.Time
	paced   Amount
	carried int64 // bytes
	busy    [stageCount]time.Duration
	queued  [stageCount]int64
	// What the stores and the database have answered.
	source, destination, commits answers
}

// answers are so many, that took so long all together.
type answers struct {
	count int64
	sum   time.Duration
	// inFlight are the operations in flight at that moment, those that are held
	// back included.
	inFlight int64
}

func answersOf(s side) answers {
	if s.store.Driver == nil {
		return answers{}
	}
	l := s.store.Meter.Measurements().Latency
	return answers{count: l.Count, sum: l.Sum, inFlight: s.ops.inFlight()}
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
	paced  Amount
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
	// What passes before the first document comes through is not its pace.
	if s.paced.Documents == 0 || len(p.marks) > 0 && p.worked < p.marks[len(p.marks)-1].worked+p.spacing {
		return
	}
	p.marks = append(p.marks, mark{p.worked, s.paced})
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

// What is left is told from at least leastWork, and from the last third of the
// run, or recentWork if that is more.
const (
	leastWork  = time.Second
	recentWork = time.Minute
)

// left tells how long it takes until so much has passed, negative if that is not
// known. Documents and their bytes both take time; how much each of them, is what
// fits the run's way best.
func (p *pace) left(now sample, whole Amount) time.Duration {
	if len(p.marks) == 0 {
		return -1
	}
	first := 0
	last := p.marks[len(p.marks)-1]
	for back := max(recentWork, p.worked/3); first < len(p.marks)-1 && p.marks[first+1].worked < last.worked-back; {
		first++
	}
	way := p.marks[first:]
	worked := (last.worked - way[0].worked).Seconds()
	passed := Amount{last.paced.Documents - way[0].paced.Documents, last.paced.Bytes - way[0].paced.Bytes}
	if worked < leastWork.Seconds() || passed.Documents <= 0 {
		return -1
	}
	document, byt := costs(way)
	fits := document*float64(passed.Documents) + byt*float64(passed.Bytes)
	if fits <= 0 {
		return -1
	}
	rest := document*float64(max(0, whole.Documents-now.paced.Documents)) + byt*float64(max(0, whole.Bytes-now.paced.Bytes))
	return time.Duration(rest / fits * worked * float64(time.Second))
}

// costs gives what a document and what a byte takes in seconds, as the method of
// least squares has it, neither of them negative. Where the way does not tell
// them apart, because every document is as long as the next, each takes half of
// the time.
func costs(way []mark) (document, byt float64) {
	var dd, db, bb, dt, bt, t, d, b float64
	for i := 1; i < len(way); i++ {
		took := (way[i].worked - way[i-1].worked).Seconds()
		documents := float64(way[i].paced.Documents - way[i-1].paced.Documents)
		bytes := float64(way[i].paced.Bytes - way[i-1].paced.Bytes)
		dd, db, bb = dd+documents*documents, db+documents*bytes, bb+bytes*bytes
		dt, bt = dt+documents*took, bt+bytes*took
		t, d, b = t+took, d+documents, b+bytes
	}
	const apart = 0.01
	determinant := dd*bb - db*db
	switch {
	case d == 0:
		return 0, 0
	case b == 0:
		return t / d, 0
	case determinant < apart*dd*bb:
		return t / d / 2, t / b / 2
	}
	document, byt = (dt*bb-bt*db)/determinant, (bt*dd-dt*db)/determinant
	switch {
	case document <= 0:
		return 0, t / b
	case byt <= 0:
		return t / d, 0
	}
	return document, byt
}
