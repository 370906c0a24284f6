package plan

import (
	"testing"
	"time"

	"github.com/kedge/kedge/pipeline/progress"
)

// A cutover's length is the sum of what is done one after the other, and not known where
// any part of it is not.
func TestTheLengthOfACutover(t *testing.T) {
	t.Parallel()
	known := Pace{Begin: 2 * time.Second, Lists: true, Listed: 10_000, Walked: 5_000, Committed: 2_000, Moved: progress.Rates{DocumentsPerSecond: 100, BytesPerSecond: 1 << 20}}
	without := func(change func(*Pace)) Pace {
		p := known
		change(&p)
		return p
	}
	for _, c := range []struct {
		name   string
		pace   Pace
		copied int64
		rest   progress.Amount
		want   time.Duration
	}{
		{"listed and committed", known, 100_000, progress.Amount{}, 62 * time.Second},
		{"nothing to do", known, 0, progress.Amount{}, 2 * time.Second},
		{"not listed", without(func(p *Pace) { p.Lists, p.Listed = false, 0 }), 100_000, progress.Amount{}, 52 * time.Second},
		{"reading is slower", without(func(p *Pace) { p.Walked = 1_000 }), 100_000, progress.Amount{}, 112 * time.Second},
		{"a rest of many", known, 0, progress.Amount{Documents: 1_000, Bytes: 1 << 20}, 12 * time.Second},
		{"a rest of long ones", known, 0, progress.Amount{Documents: 1_000, Bytes: 50 << 20}, 52 * time.Second},
		{"a rest of unknown length", without(func(p *Pace) { p.Moved.BytesPerSecond = 0 }), 0, progress.Amount{Documents: 1_000}, 12 * time.Second},
		{"all of it", known, 10_000, progress.Amount{Documents: 100}, 9 * time.Second},
		{"a rest at an unknown pace", without(func(p *Pace) { p.Moved = progress.Rates{} }), 10, progress.Amount{Documents: 1}, -1},
		{"commits not measured", without(func(p *Pace) { p.Committed = 0 }), 10, progress.Amount{}, -1},
		{"commits not measured, and none needed", without(func(p *Pace) { p.Committed = 0 }), 0, progress.Amount{Documents: 100}, 3 * time.Second},
		{"reading not measured", without(func(p *Pace) { p.Walked = 0 }), 10, progress.Amount{}, -1},
		{"listing not measured", without(func(p *Pace) { p.Listed = 0 }), 10, progress.Amount{}, -1},
		{"read back", without(func(p *Pace) { p.Lists, p.Reads = false, true }), 10, progress.Amount{}, -1},
		{"read back, and nothing to", without(func(p *Pace) { p.Lists, p.Reads = false, true }), 0, progress.Amount{}, 2 * time.Second},
		{"nothing known", Pace{}, 10, progress.Amount{Documents: 1}, -1},
	} {
		if got := c.pace.Cutover(c.copied, c.rest); got.Round(time.Millisecond) != c.want && (got >= 0 || c.want >= 0) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
	if r := known.RowsPerSecond(); r != 2_000 {
		t.Errorf("%v rows a second", r)
	}
	if r := without(func(p *Pace) { p.Walked = 0 }).RowsPerSecond(); r != 0 {
		t.Errorf("%v rows a second of a walk that was not measured", r)
	}
	if Rate(100, 2*time.Second) != 50 || Rate(0, time.Second) != 0 || Rate(1, 0) != 0 {
		t.Error("a rate is not so much by the second")
	}
}
