package concurrency

import (
	"testing"
	"time"
)

// server is a store in virtual time: how many operations a second it does with
// so many in flight.
type server struct {
	t     *testing.T
	now   time.Time
	tuner *tuner
	// rate may change with time.
	rate func(inFlight int, since time.Duration) float64
	// likes is how many in flight the store likes; it turns the others away.
	likes   func(since time.Duration) int
	begun   time.Time
	asked   int
	refused int // times that the tuner went down
}

func newServer(t *testing.T, usual int, rate func(int, time.Duration) float64) *server {
	begun := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	return &server{t: t, now: begun, begun: begun, tuner: newTuner(usual, 256), rate: rate}
}

// run lets the time pass and gives the mean throughput.
func (s *server) run(d time.Duration) float64 {
	from, operations := s.now, 0
	for s.now.Sub(from) < d {
		in := s.tuner.limit
		if in < 1 || in > 256 {
			s.t.Fatalf("%d operations in flight", in)
		}
		s.now = s.now.Add(time.Duration(float64(time.Second) / s.rate(in, s.now.Sub(s.begun))))
		s.asked++
		if s.likes != nil && s.asked%in >= s.likes(s.now.Sub(s.begun)) {
			if s.tuner.strain(s.now) {
				s.refused++
			}
			continue
		}
		operations++
		s.tuner.done(s.now, 1, 0)
	}
	return float64(operations) / s.now.Sub(from).Seconds()
}

// knee is a store that does no more with more than so many in flight; each
// operation takes it a tenth of a second.
func knee(at int) func(int, time.Duration) float64 {
	return func(in int, _ time.Duration) float64 { return 10 * float64(min(in, at)) }
}

// hill is a store that gets slower with more than so many in flight.
func hill(at int) func(int, time.Duration) float64 {
	return func(in int, _ time.Duration) float64 {
		return 10 * float64(min(in, at)) / (1 + float64(max(0, in-at))/float64(at))
	}
}

func TestTheTunerFindsWhatAStoreIsWorth(t *testing.T) {
	for name, c := range map[string]struct {
		rate        func(int, time.Duration) float64
		best        float64
		least, most int
	}{
		"knee at 8":    {knee(8), 80, 8, 16},
		"knee at 32":   {knee(32), 320, 30, 44},
		"knee at 100":  {knee(100), 1000, 92, 140},
		"no knee":      {knee(1000), 2560, 230, 256},
		"hill at 12":   {hill(12), 120, 11, 15},
		"hill at 60":   {hill(60), 600, 55, 70},
		"slow, hill 8": {func(in int, d time.Duration) float64 { return hill(8)(in, d) / 10 }, 8, 8, 12},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, 32, c.rate)
			s.run(40 * time.Minute) // slow stores have long windows
			if got := s.run(20 * time.Minute); got < 0.9*c.best {
				t.Errorf("%.0f operations a second, the best are %.0f", got, c.best)
			}
			if limit := s.tuner.base; limit < c.least || limit > c.most {
				t.Errorf("settled at %d in flight, want %d to %d", limit, c.least, c.most)
			}
		})
	}
}

func TestTheTunerIsQuick(t *testing.T) {
	for name, at := range map[string]int{"down": 12, "up": 128} {
		s := newServer(t, 32, hill(at))
		if got := s.run(time.Minute); got < 0.6*10*float64(at) {
			t.Errorf("%s: %.0f operations a second in the first minute", name, got)
		}
		if got := s.run(time.Minute); got < 0.9*10*float64(at) {
			t.Errorf("%s: %.0f operations a second in the second minute", name, got)
		}
	}
}

// A store that turns away what is more than it likes, and later likes more.
func TestTheTunerGivesWay(t *testing.T) {
	s := newServer(t, 32, knee(1000))
	s.likes = func(since time.Duration) int {
		if since > 10*time.Minute {
			return 60
		}
		return 20
	}
	s.run(2 * time.Minute)
	s.refused = 0
	if got := s.run(8 * time.Minute); got < 0.85*200 {
		t.Errorf("%.0f operations a second of 200", got)
	}
	if s.refused > 12 {
		t.Errorf("%d refusals in eight minutes", s.refused)
	}
	s.run(5 * time.Minute)
	if got := s.run(5 * time.Minute); got < 0.75*600 {
		t.Errorf("%.0f operations a second of the 600 that it likes now", got)
	}
}

// Where other things hold a run back, nothing is learnt.
func TestTheTunerKeepsStillWhenItIsIdle(t *testing.T) {
	u := newTuner(32, 256)
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for range 100_000 {
		now = now.Add(5 * time.Millisecond)
		u.done(now, 1, 3*time.Millisecond)
		if u.limit != 32 {
			t.Fatalf("%d in flight", u.limit)
		}
	}
}

func TestTheTunerComesDownToOne(t *testing.T) {
	u := newTuner(32, 256)
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for range 20 {
		before := u.limit
		u.strain(now)
		u.strain(now) // of what was sent together with it
		if u.limit != max(1, before*2/3) {
			t.Fatalf("%d in flight after %d", u.limit, before)
		}
		now = now.Add(time.Minute)
	}
	if u.limit != 1 {
		t.Errorf("%d in flight", u.limit)
	}
}
