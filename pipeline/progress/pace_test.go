package progress

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/kedge/kedge/drivers"
)

// madeUp is a made-up run: each document costs a time and each of its bytes another.
type madeUp struct {
	pace           pace
	at             time.Time
	passed, whole  Amount
	document, byte time.Duration
}

// sample is that of a run with one stage.
func (m *madeUp) sample(at time.Time) sample {
	s := sample{at: at}
	s.behind[StagePut], s.documents[StagePut], s.busy[StagePut] = m.passed, m.passed.Documents, time.Second
	return s
}

// goOn takes samples until so much has passed, of documents with so many bytes.
func (m *madeUp) goOn(documents int64, bytes func() int64) (left time.Duration) {
	last := m.at
	for range documents {
		n := bytes()
		m.at = m.at.Add(m.document + time.Duration(n)*m.byte)
		m.passed.Add(Amount{1, n})
		for m.at.Sub(last) >= sampleInterval {
			last = last.Add(sampleInterval)
			m.pace.take(m.sample(last), false)
		}
	}
	return m.pace.left(m.sample(m.at), m.whole)
}

// What is left is told right in the tenth part of a run, whether documents or
// bytes take the time, and where small documents come before large ones.
func TestWhatIsLeft(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	even := func(n int64) func() int64 { return func() int64 { return n } }
	between := func(low, high int64) func() int64 { return func() int64 { return low + random.Int64N(high-low) } }
	for _, c := range []struct {
		name           string
		document, byte time.Duration
		first, rest    func() int64
		restBytes      int64 // on average
	}{
		{"documents, all equal", 20 * time.Millisecond, 0, even(4000), even(4000), 4000},
		{"bytes, all equal", 0, time.Microsecond, even(20000), even(20000), 20000},
		{"both, any length", 10 * time.Millisecond, time.Microsecond, between(1, 40000), between(1, 40000), 20000},
		{"documents take the time, short ones first", 20 * time.Millisecond, 0, between(100, 5000), even(500000), 500000},
		{"bytes take the time, short ones first", 0, time.Microsecond, between(1000, 50000), even(200000), 200000},
		{"no bytes are known", 20 * time.Millisecond, 0, even(0), even(0), 0},
	} {
		const documents, first = 10000, 1000
		m := madeUp{at: time.Unix(1e9, 0), document: c.document, byte: c.byte}
		m.whole.Documents = documents
		// The whole is counted before: what comes first has its length, too.
		lengths := make([]int64, first)
		for i := range lengths {
			lengths[i] = c.first()
			m.whole.Bytes += lengths[i]
		}
		m.whole.Bytes += (documents - first) * c.restBytes
		next := 0
		told := m.goOn(first, func() int64 { next++; return lengths[next-1] })
		began := m.at
		m.goOn(documents-first, c.rest)
		if really := m.at.Sub(began); told < really*9/10 || told > really*11/10 {
			t.Errorf("%s: told that %v is left, it was %v", c.name, told, really)
		}
	}
}

func TestWhatIsLeftFollowsAChangeOfPace(t *testing.T) {
	m := madeUp{at: time.Unix(1e9, 0), document: 10 * time.Millisecond, whole: Amount{Documents: 100000}}
	m.goOn(50000, func() int64 { return 0 }) // 500 s
	m.document = 30 * time.Millisecond
	if told := m.goOn(20000, func() int64 { return 0 }); told < 800*time.Second || told > 950*time.Second {
		t.Errorf("told that %v is left, it is 900 s as things are", told)
	}
}

func TestNothingIsToldTooEarly(t *testing.T) {
	m := madeUp{at: time.Unix(1e9, 0), document: 10 * time.Millisecond, whole: Amount{Documents: 1000}}
	if told := m.goOn(50, func() int64 { return 0 }); told >= 0 {
		t.Errorf("after half a second: %v", told)
	}
}

// The time in which a run waits for a store is not its pace, and however long a
// run goes on, what is remembered of it is bounded.
func TestPausesAndLongRuns(t *testing.T) {
	m := madeUp{at: time.Unix(1e9, 0), document: 10 * time.Millisecond, whole: Amount{Documents: 2000000}}
	m.goOn(500000, func() int64 { return 0 })
	m.at = m.at.Add(time.Hour)
	m.pace.take(m.sample(m.at), true)
	told := m.goOn(500000, func() int64 { return 0 })
	if told < 9900*time.Second || told > 10100*time.Second {
		t.Errorf("told that %v is left, it is 10000 s", told)
	}
	if len(m.pace.marks) >= maxMarks || len(m.pace.window) > windowSamples {
		t.Errorf("%d marks and %d samples are remembered", len(m.pace.marks), len(m.pace.window))
	}
}

func TestTheBottleneckIsNamed(t *testing.T) {
	second := func(n float64) time.Duration { return time.Duration(n * float64(time.Second)) }
	type shares map[Stage]float64
	stages := func(busy shares) (list []StageState) {
		for s := range stageCount {
			list = append(list, StageState{Name: s.String(), BusyShare: busy[s]})
		}
		return list
	}
	var queue [stageCount]int64
	for s := range queue {
		queue[s] = 1
	}
	p := new(Progress)
	p.run.Source.Store = named("db")
	p.run.Destination.Store = named("s3")
	shared := new(Progress)
	shared.run.Destination.Store = p.run.Destination.Store
	shared.pace.window = []sample{{destination: answers{inFlight: 32, limit: 32}}, {destination: answers{inFlight: 24, limit: 32}}}
	limited := new(Progress)
	limited.run.Destination = Side{Store: named("s3"), Limits: "--max-ops 50"}
	for _, c := range []struct {
		name       string
		p          *Progress
		stages     []StageState
		queued     [stageCount]int64
		now        sample
		stage, why string
	}{
		{"the busiest", p, stages(shares{StageFetch: 0.6, StageRecompress: 0.1, StagePut: 0.9, StageVerify: 0.3, StageCommit: 0.1}), queue,
			sample{destination: answers{count: 100, sum: second(8.4), inFlight: 10}}, "put", "s3 answers in 84 ms"},
		{"the source", p, stages(shares{StageFetch: 0.9, StageRecompress: 0.1, StagePut: 0.3, StageVerify: 0.3, StageCommit: 0.1}), queue,
			sample{source: answers{count: 4, sum: second(6)}}, "fetch", "db answers in 1.5 s"},
		{"the database", p, stages(shares{StageFetch: 0.1, StageRecompress: 0.1, StagePut: 0.3, StageVerify: 0.3, StageCommit: 1}), queue,
			sample{commits: answers{count: 10, sum: second(0.05)}}, "commit", "the database takes 5.0 ms for a batch"},
		{"nothing is waiting for it", p, stages(shares{StageFetch: 0.1, StageRecompress: 0.1, StagePut: 0.9, StageVerify: 0.1, StageCommit: 0.1}), [stageCount]int64{}, sample{}, "", ""},
		{"nobody is busy", p, stages(shares{StageFetch: 0.4, StageRecompress: 0.1, StagePut: 0.4, StageVerify: 0.1, StageCommit: 0.1}), queue, sample{}, "", ""},
		{"nobody is busy, but a store is full", shared, stages(shares{StageFetch: 0.6, StageRecompress: 0.1, StagePut: 0.4, StageVerify: 0.45, StageCommit: 0.1}), [stageCount]int64{},
			sample{destination: answers{count: 100, sum: second(2)}}, "verify", "s3 answers in 20 ms"},
		{"limits", limited, stages(shares{StageFetch: 0.1, StageRecompress: 0.1, StagePut: 1, StageVerify: 0.3, StageCommit: 0.1}), queue,
			sample{destination: answers{count: 100, sum: second(1), inFlight: 32}}, "put", "s3 is held back by --max-ops 50"},
		{"a limit that is not reached", limited, stages(shares{StageFetch: 0.1, StageRecompress: 0.1, StagePut: 1, StageVerify: 0.3, StageCommit: 0.1}), queue,
			sample{destination: answers{count: 100, sum: second(300), inFlight: 32}}, "put", "s3 answers in 3.0 s"},
	} {
		c.now.at, c.now.queued = time.Unix(10, 0), c.queued
		got := c.p.findBottleneck(sample{at: time.Unix(0, 0), destination: answers{inFlight: c.now.destination.inFlight}}, c.now, c.stages)
		if got.stage != c.stage || got.why != c.why {
			t.Errorf("%s: %+v", c.name, got)
		}
	}
}

// namedDriver is a driver of which only the name is asked for.
type namedDriver struct {
	drivers.Driver
	name string
}

func named(name string) drivers.Driver { return namedDriver{name: name} }
func (d namedDriver) Name() string     { return d.name }
