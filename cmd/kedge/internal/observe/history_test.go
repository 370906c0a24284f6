package observe

import (
	"math"
	"testing"
	"time"
)

// However long a run takes, its history reaches from its beginning to its end,
// is bounded, and has its rates right.
func TestHistoryOfRunsOfAnyLength(t *testing.T) {
	for _, seconds := range []int64{1, 2, 59, maxPoints - 1, maxPoints, 2*maxPoints + 1, 20 * maxPoints} {
		h := history{step: sampling}
		for at := range seconds + 1 {
			h.add(moment(at))
		}
		h.add(moment(seconds)) // no time has passed: nothing is added
		if len(h.points) > maxPoints {
			t.Errorf("%d seconds: %d points", seconds, len(h.points))
		}
		s := h.series()
		n := len(s.Seconds)
		if n < 2 || n < int(min(seconds, maxPoints/2)) || s.Seconds[0] != 0 || s.Seconds[n-1] != float64(seconds) {
			t.Fatalf("%d seconds: %d points, from %g to %g", seconds, n, s.Seconds[0], s.Seconds[n-1])
		}
		for i := 1; i < n; i++ {
			if s.Seconds[i] <= s.Seconds[i-1] {
				t.Fatalf("%d seconds: the times are not in order: %v", seconds, s.Seconds)
			}
			for what, want := range map[string][2]float64{
				"documents a second": {s.DocumentsPerSecond[i], 100}, "bytes a second": {s.Source.BytesPerSecond[i], 1 << 20},
				"latency": {s.Destination.Latency[i], 0.1}, "in flight": {s.Source.InFlight[i], 3}, "busy": {s.Busy[1].Share[i], 0.5},
			} {
				if math.Abs(want[0]-want[1]) > 0.001*want[1] {
					t.Fatalf("%d seconds: %s at %g s: %g, want %g", seconds, what, s.Seconds[i], want[0], want[1])
				}
			}
		}
	}
	if s := (&history{step: time.Second}).series(); len(s.Seconds) != 0 {
		t.Errorf("a run that has not begun has %d points", len(s.Seconds))
	}
}

func TestConversions(t *testing.T) {
	p := moment(10)
	if p.State != Running || p.ElapsedSeconds != 10 || *p.RemainingSeconds != 3600 || p.Share() != 0.01 || p.Retries() != 4 {
		t.Errorf("%+v", p)
	}
	if p := paused(10); p.State != Paused || len(p.Paused) != 1 || p.State.Healthy() {
		t.Errorf("%+v", p)
	}
	if p.Sizes.Count != 905 || p.Sizes.Sum != 4<<20+9 || p.Sizes.cumulative()[16<<10] != 905 || p.Sizes.cumulative()[1<<10] != 5 {
		t.Errorf("sizes %+v", p.Sizes)
	}
}

func TestWords(t *testing.T) {
	for got, want := range map[string]string{
		groupDigits(0): "0", groupDigits(9999): "9999", groupDigits(1234567): "1\u202f234\u202f567", groupDigits(-123456): "-123\u202f456",
		rate(0.25): "0.2/s", rate(12345.6): "12\u202f346/s", shortCount(2.5e6): "2.5M", shortCount(20000): "20k", shortCount(0.2): "0.2",
		seconds(0.00025): "0.25 ms", seconds(0.084): "84 ms", seconds(2.5): "2.5 s", seconds(3723): "1h2m3s",
		shortBytes(64 << 20): "64 MiB", ByteCount(1536): "1.5 KiB", duration(1.26): "1.3s", percent(0.4215): "42.1%",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
