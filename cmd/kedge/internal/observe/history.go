package observe

import (
	"math"
	"slices"
	"time"
)

// maxPoints bounds the history: when it is full, every second point goes and
// the others are from then on twice as far apart, so that it always reaches
// from the run's beginning to its end.
const maxPoints = 600

// history is a run's course: sums at moments that are about equally far apart.
// It is not safe for concurrent use.
type history struct {
	step   time.Duration // between points at least
	points []Progress
	// newest is the last moment seen; it may be one more than the points.
	newest Progress
}

// add takes note of a moment that is later than those before.
func (h *history) add(p Progress) {
	if !h.newest.At.IsZero() && !p.At.After(h.newest.At) {
		return
	}
	h.newest = p
	if n := len(h.points); n > 0 && p.At.Sub(h.points[n-1].At) < h.step-h.step/20 {
		return
	}
	h.points = append(h.points, slim(p))
	if len(h.points) < maxPoints {
		return
	}
	kept := h.points[:0]
	for i := 0; i < len(h.points); i += 2 {
		kept = append(kept, h.points[i])
	}
	clear(h.points[len(kept):])
	h.points, h.step = kept, 2*h.step
}

// slim drops what the history does not need, so that a point is some hundreds of
// bytes.
func slim(p Progress) Progress {
	s := Progress{At: p.At, ElapsedSeconds: p.ElapsedSeconds, passed: p.passed}
	for _, stage := range p.Stages {
		s.Stages = append(s.Stages, Stage{Name: stage.Name, Workers: stage.Workers, BusySeconds: stage.BusySeconds})
	}
	s.Source, s.Destination = p.Source.slim(), p.Destination.slim()
	return s
}

func (s Side) slim() Side {
	return Side{InFlight: s.InFlight, Bytes: s.Bytes, Latency: Histogram{Count: s.Latency.Count, Sum: s.Latency.Sum}}
}

// Series are a run's course as columns, one value for each of Seconds; NaN where
// there is none.
type Series struct {
	// Seconds are counted from the run's beginning.
	Seconds             []float64
	DocumentsPerSecond  []float64
	Source, Destination SideSeries
	// Busy are the stages' busy shares, from 0 to 1.
	Busy []StageSeries
}

// SideSeries is the course of a store: bytes read and written a second,
// operations in flight, and how many seconds they took on average.
type SideSeries struct{ BytesPerSecond, InFlight, Latency []float64 }

// StageSeries is the course of a stage.
type StageSeries struct {
	Name  string
	Share []float64
}

// series derives the columns. Rates are those between one point and the next.
func (h *history) series() Series {
	points := h.points
	if n := len(points); n > 0 && h.newest.At.After(points[n-1].At) {
		// The last stretch may be short: it takes the last point's place, so that
		// its rates are not those of a moment.
		points = append(slices.Clone(points[:max(1, n-1)]), h.newest)
	}
	var s Series
	if len(points) == 0 {
		return s
	}
	last := points[len(points)-1]
	for _, stage := range last.Stages {
		s.Busy = append(s.Busy, StageSeries{Name: stage.Name})
	}
	before := Progress{At: points[0].At.Add(-time.Duration(points[0].ElapsedSeconds * float64(time.Second)))}
	for i, p := range points {
		passed := p.At.Sub(before.At).Seconds()
		rate := func(now, then float64) float64 {
			if i == 0 || passed <= 0 {
				return math.NaN() // what stood there at the beginning is earlier runs' work
			}
			return max(0, (now-then)/passed)
		}
		s.Seconds = append(s.Seconds, p.ElapsedSeconds)
		s.DocumentsPerSecond = append(s.DocumentsPerSecond, rate(float64(p.passed), float64(before.passed)))
		s.Source.add(p.Source, before.Source, rate)
		s.Destination.add(p.Destination, before.Destination, rate)
		for n := range s.Busy {
			now, then := p.stage(s.Busy[n].Name), before.stage(s.Busy[n].Name)
			s.Busy[n].Share = append(s.Busy[n].Share, min(1, rate(now.BusySeconds, then.BusySeconds)/float64(max(1, now.Workers))))
		}
		before = p
	}
	s.backfill()
	return s
}

// backfill gives the first moment the rates of the stretch that begins there.
func (s *Series) backfill() {
	columns := [][]float64{s.DocumentsPerSecond, s.Source.BytesPerSecond, s.Destination.BytesPerSecond}
	for _, stage := range s.Busy {
		columns = append(columns, stage.Share)
	}
	for _, column := range columns {
		if len(column) > 1 {
			column[0] = column[1]
		}
	}
}

func (s *SideSeries) add(now, before Side, rate func(now, then float64) float64) {
	s.BytesPerSecond = append(s.BytesPerSecond, rate(float64(now.Bytes), float64(before.Bytes)))
	s.InFlight = append(s.InFlight, float64(now.InFlight))
	latency := math.NaN()
	if n := now.Latency.Count - before.Latency.Count; n > 0 {
		latency = max(0, (now.Latency.Sum-before.Latency.Sum)/float64(n))
	}
	s.Latency = append(s.Latency, latency)
}
