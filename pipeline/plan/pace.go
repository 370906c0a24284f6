package plan

import (
	"time"

	"github.com/kedge/kedge/pipeline/progress"
)

// Pace is how fast the parts of a cutover go here, each as it was measured; 0 is not
// known.
type Pace struct {
	// Begin is how long a run takes before it looks at the first row.
	Begin time.Duration
	// Lists says that the copies are looked for in the destination's listing, and Listed
	// how many payloads of it are read a second. Reads says that they are read back,
	// which nobody has measured.
	Lists, Reads bool
	Listed       float64
	// Walked is how many rows a second are read and compared with the record of copies,
	// Committed how many can be changed.
	Walked, Committed float64
	// Moved is how fast documents without a copy are moved.
	Moved progress.Rates
}

// Rate is so much in that time, by the second; 0 where there was nothing or no time.
func Rate(n int64, took time.Duration) float64 {
	if n <= 0 || took <= 0 {
		return 0
	}
	return float64(n) / took.Seconds()
}

// Meter adds up what was done in which time. The zero Meter has nothing.
type Meter struct {
	n    int64
	took time.Duration
}

// Add adds so much in that time; either may be 0.
func (m *Meter) Add(n int, took time.Duration) {
	m.n += int64(n)
	m.took += took
}

// PerSecond is the rate of all of it, 0 where there was nothing.
func (m *Meter) PerSecond() float64 { return Rate(m.n, m.took) }

// RowsPerSecond is how many rows of copied documents change over a second: reading and
// changing go on side by side, so that the slower one counts. 0 is not known.
func (p Pace) RowsPerSecond() float64 {
	if p.Walked <= 0 || p.Committed <= 0 {
		return 0
	}
	return min(p.Walked, p.Committed)
}

// Cutover is how long a cutover takes until Anchore can be started: the copies, of which
// the record has so many, are looked for, their rows change over, and the rest moves.
// Deleting sources comes after it. Negative where a part of it is not known.
func (p Pace) Cutover(copied int64, rest progress.Amount) time.Duration {
	seconds, known := p.Begin.Seconds(), true
	add := func(n int64, rate float64) {
		if n > 0 && rate > 0 {
			seconds += float64(n) / rate
		}
		known = known && (n <= 0 || rate > 0)
	}
	add(copied, p.RowsPerSecond())
	if p.Lists {
		add(copied, p.Listed)
	}
	if p.Reads && copied > 0 || !known {
		return -1
	}
	moving, ok := p.moving(rest)
	if !ok {
		return -1
	}
	return time.Duration((seconds + moving) * float64(time.Second))
}

// moving is how many seconds documents without a copy take: short ones by their number,
// long ones by their bytes.
func (p Pace) moving(rest progress.Amount) (seconds float64, ok bool) {
	if rest.Documents <= 0 {
		return 0, true
	}
	if r := p.Moved.DocumentsPerSecond; r > 0 {
		seconds = float64(rest.Documents) / r
	}
	if r := p.Moved.BytesPerSecond; r > 0 {
		seconds = max(seconds, float64(rest.Bytes)/r)
	}
	return seconds, seconds > 0
}
