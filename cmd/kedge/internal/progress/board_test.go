package progress

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kedge/kedge/cmd/kedge/internal/liveview"
	"github.com/kedge/kedge/cmd/kedge/internal/observe"
	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/pipeline"
	"github.com/kedge/kedge/pipeline/failure"
	"github.com/kedge/kedge/pipeline/progress"
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
	for _, class := range []string{failure.ClassDigest, failure.ClassMissingPayload} {
		s.Failures = append(s.Failures, pipeline.ClassCount{Class: class, Count: 617283})
	}
	for stage := progress.StageFetch; stage <= progress.StageDelete; stage++ {
		s.Stages = append(s.Stages, pipeline.StageState{Name: stage.String(), Workers: 128, InFlight: 128, Queued: 1, BusyShare: 1, Documents: 123456789})
	}
	return s
}

// Nothing that matters is cut off on a terminal of 80 columns, whatever the
// numbers, and there is a line less where there is no room.
func TestTheBoardFits(t *testing.T) {
	b := board{title: "Migration task 12345", stopping: func() bool { return false }}
	behind, cutover := 123456.0, 123456.0
	at := observe.CourseState{
		Phase: observe.Deleting, CanStart: &observe.CanStart{Failed: 123456789, Sources: 123456789},
		Copies: &observe.Copies{Rounds: 1, InAll: 123456789, Missing: 123456789, BehindSeconds: &behind, CutoverSeconds: &cutover, RowsPerSecond: 123456},
	}
	st := b.compose(largest(), at, 80, 24)
	if len(st.Lines) > 22 {
		t.Errorf("%d lines", len(st.Lines))
	}
	for _, line := range st.Lines {
		if len(line.Text) > 79 && !strings.HasPrefix(line.Text, "waiting for") {
			t.Errorf("%d columns: %s", len(line.Text), line.Text)
		}
		if strings.HasPrefix(line.Text, "waiting for") && !strings.HasPrefix(line.Text[:79], "waiting for the destination for 1m30s, giving up in 29m0s: file:///") {
			t.Errorf("it says %s", line.Text)
		}
	}
	if low := b.compose(largest(), observe.CourseState{}, 80, 10); len(low.Lines) > 8 {
		t.Errorf("in a terminal of 10 lines there are %d", len(low.Lines))
	}
	wide := b.compose(largest(), observe.CourseState{}, 200, 50)
	if !slices.ContainsFunc(wide.Lines, func(l liveview.Line) bool { return strings.Contains(l.Text, "a batch takes") }) {
		t.Error("where there is room there is no more told")
	}
}
