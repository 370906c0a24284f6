package main

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/pipeline"
)

// largest is a snapshot with numbers as large as they come, while the
// destination is down.
func largest() pipeline.Snapshot {
	now := time.Unix(2e9, 0)
	s := pipeline.Snapshot{
		At: now, Began: now.Add(-99*time.Hour - 59*time.Minute), Left: 88*time.Hour + 45*time.Minute,
		Total: pipeline.Amount{Documents: 123456789, Bytes: 1023 << 40}, Done: pipeline.Amount{Documents: 123456788, Bytes: 1022 << 40},
		Now: pipeline.Rates{DocumentsPerSecond: 98765, BytesPerSecond: 1023 << 20}, Average: pipeline.Rates{DocumentsPerSecond: 98765, BytesPerSecond: 1023 << 20},
		Failed: 1234567, Retries: 7654321,
		Source:      pipeline.SideState{Name: "localfs", Place: "file:///source", InFlight: 1024, Limit: 1024},
		Destination: pipeline.SideState{Name: "localfs", Place: "file:///destination", InFlight: 1024, Limit: 1024},
		Paused:      []drivers.Outage{{Place: "file:///destination", Since: now.Add(-90 * time.Second), Until: now.Add(29 * time.Minute)}},
	}
	for _, class := range []string{pipeline.ClassDigest, pipeline.ClassMissingPayload} {
		s.Failures = append(s.Failures, pipeline.ClassCount{Class: class, Count: 617283})
	}
	for stage := pipeline.StageFetch; stage <= pipeline.StageDelete; stage++ {
		s.Stages = append(s.Stages, pipeline.StageState{Name: stage.String(), Workers: 128, InFlight: 128, Queued: 1, BusyShare: 1, Documents: 123456789})
	}
	return s
}

// Nothing that matters is cut off on a terminal of 80 columns, whatever the
// numbers, and there is a line less where there is no room.
func TestTheBoardFits(t *testing.T) {
	b := board{title: "Migration task 12345", stopping: func() bool { return false }}
	st := b.compose(largest(), 80, 24)
	if len(st.lines) > 22 {
		t.Errorf("%d lines", len(st.lines))
	}
	for _, line := range st.lines {
		if len(line.text) > 79 && !strings.HasPrefix(line.text, "waiting for") {
			t.Errorf("%d columns: %s", len(line.text), line.text)
		}
		if strings.HasPrefix(line.text, "waiting for") && !strings.HasPrefix(line.text[:79], "waiting for the destination for 1m30s, giving up in 29m0s: file:///") {
			t.Errorf("it says %s", line.text)
		}
	}
	if low := b.compose(largest(), 80, 10); len(low.lines) > 8 {
		t.Errorf("in a terminal of 10 lines there are %d", len(low.lines))
	}
	wide := b.compose(largest(), 200, 50)
	if !slices.ContainsFunc(wide.lines, func(l line) bool { return strings.Contains(l.text, "a batch takes") }) {
		t.Error("where there is room there is no more told")
	}
}

func TestPercentIsNeverTooMuch(t *testing.T) {
	for _, c := range []struct {
		done, total int64
		want        float64
	}{{0, 0, 0}, {0, 10, 0}, {9999, 10000, 99.9}, {999999, 1000000, 99.9}, {1000000, 1000000, 100}, {1, 3, 33.3}} {
		if got := percentOf(c.done, c.total); got != c.want {
			t.Errorf("%d of %d: %v", c.done, c.total, got)
		}
	}
}

// What a name holds never moves the cursor, and wide characters count as two.
func TestFit(t *testing.T) {
	for _, c := range []struct {
		line  string
		width int
		want  string
	}{
		{"as it is", 20, "as it is"},
		{"cut off here", 8, "cut off~"},
		{"\x1b[2Jevil\n\a\u009b", 20, "?[2Jevil???"},
		{"文書文書文書", 7, "文書文~"},
		{"", 5, ""},
	} {
		if got := fit(c.line, c.width); got != c.want {
			t.Errorf("%q in %d columns: %q", c.line, c.width, got)
		}
	}
}
