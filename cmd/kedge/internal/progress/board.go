package progress

import (
	"fmt"
	"log/slog"
	"math"
	"strings"
	"time"

	"github.com/kedge/kedge/cmd/kedge/internal/liveview"
	"github.com/kedge/kedge/cmd/kedge/internal/observe"
	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/pipeline"
)

// board makes the statuses of a migration or a purge.
type board struct {
	// title says what is going on, as in "Migration task 3".
	title    string
	stopping func() bool
}

// Widths in columns and heights in lines from which on there is room for more.
const (
	wideBoard = 110
	tallBoard = 18
)

// compose makes the status that fits into so many columns and lines.
func (b board) compose(s pipeline.Snapshot, at observe.CourseState, width, height int) liveview.Status {
	stopping := b.stopping()
	st := liveview.Status{Done: s.Done.Documents, Total: s.Total.Documents, Beside: leftText(s.Left)}
	if s.Began.IsZero() {
		st.Beside = "documents are being counted"
		return st
	}
	st.Add(liveview.Strong, "%s, %s so far", b.heading(s, at.Phase), sinceText(s.At.Sub(s.Began)))
	for _, line := range at.Lines() {
		st.Add(liveview.Strong, "%s", line)
	}
	if at.Phase == observe.Waiting {
		st.Beside = "waiting for the next round"
	}
	if stopping {
		st.Beside = "stopping"
		st.Add(liveview.Warn, "interrupted: finishing what is in flight")
	}
	st.Add(liveview.Plain, "%s", doneText(s, ""))
	st.Add(liveview.Plain, "%s documents/s (average %s), %s (average %s)",
		rate(s.Now.DocumentsPerSecond), rate(s.Average.DocumentsPerSecond),
		bytesPerSecond(s.Now.BytesPerSecond), bytesPerSecond(s.Average.BytesPerSecond))
	if height >= tallBoard && s.Destination.Name != "" {
		b.stages(&st, s, width)
	}
	if why := limitText(s); why != "" {
		st.Add(liveview.Warn, "%s", why)
	}
	failures := liveview.Plain
	if s.Failed > 0 {
		failures = liveview.Bad
	}
	st.Add(failures, "%d retries, %s", s.Retries, failuresText(s))
	for _, o := range s.Paused {
		st.Add(liveview.Warn, "%s", pauseText(roleOf(s, o), s.At, o))
	}
	return st
}

// heading says what is going on, and between which drivers.
func (b board) heading(s pipeline.Snapshot, phase observe.Phase) string {
	title := b.title
	if s.Destination.Name != "" {
		title += fmt.Sprintf(", %s -> %s", s.Source.Name, s.Destination.Name)
	}
	if phase != "" && phase != observe.Moving {
		title += ", " + string(phase)
	}
	return title
}

// stages adds a line a stage, and one for the stores.
func (b board) stages(st *liveview.Status, s pipeline.Snapshot, width int) {
	limit, _ := s.Limit()
	head := "stage        in work   queued    busy"
	if width >= wideBoard {
		head += strings.Repeat(" ", 24) + "  documents   a batch takes"
	}
	st.Add(liveview.Quiet, "%s", head)
	for _, stage := range s.Stages {
		t := liveview.Plain
		if stage.Name == limit {
			t = liveview.Warn
		}
		row := fmt.Sprintf("%-11s %3d of %-3d %6d    %3.0f%%  %s", stage.Name, stage.InFlight, stage.Workers, stage.Queued,
			100*stage.BusyShare, gauge(stage.BusyShare, 20))
		if width >= wideBoard {
			row += fmt.Sprintf("   %10d   %s", stage.Documents, stage.Latency.Mean().Round(time.Millisecond))
		}
		st.Add(t, "%s", row)
	}
	st.Add(liveview.Quiet, "operations in flight: source %d of %d, destination %d of %d",
		s.Source.InFlight, s.Source.Limit, s.Destination.InFlight, s.Destination.Limit)
}

// gauge is a small bar.
func gauge(share float64, columns int) string {
	full := int(math.Round(share * float64(columns)))
	return strings.Repeat("#", full) + strings.Repeat(".", columns-full)
}

// plainLine is a status in one line, the parts always in the same order.
func plainLine(s pipeline.Snapshot, at observe.CourseState) string {
	parts := []string{
		doneText(s, fmt.Sprintf(" done (%.1f%%)", liveview.Percent(s.Done.Documents, s.Total.Documents))),
		fmt.Sprintf("now %s/s, %s", rate(s.Now.DocumentsPerSecond), bytesPerSecond(s.Now.BytesPerSecond)),
		fmt.Sprintf("average %s/s, %s", rate(s.Average.DocumentsPerSecond), bytesPerSecond(s.Average.BytesPerSecond)),
		leftText(s.Left),
		fmt.Sprintf("%d retries", s.Retries),
		failuresText(s),
	}
	if why := limitText(s); why != "" {
		parts = append(parts, why)
	}
	if at.Phase != "" && at.Phase != observe.Moving {
		parts = append(parts, string(at.Phase))
	}
	for _, o := range s.Paused {
		parts = append(parts, pauseText(roleOf(s, o), s.At, o))
	}
	return strings.Join(parts, "; ")
}

// progressAttributes is a status as fields of a log record. docs/progress.md
// lists them.
func progressAttributes(s pipeline.Snapshot, at observe.CourseState) []slog.Attr {
	limit, why := s.Limit()
	failures := make(map[string]int64, len(s.Failures))
	for _, f := range s.Failures {
		failures[f.Class] = f.Count
	}
	attributes := []slog.Attr{
		slog.Int64("documents_done", s.Done.Documents), slog.Int64("documents_total", s.Total.Documents),
		slog.Int64("bytes_done", s.Done.Bytes), slog.Int64("bytes_total", s.Total.Bytes),
		slog.Float64("documents_per_second", rounded(s.Now.DocumentsPerSecond)), slog.Float64("bytes_per_second", rounded(s.Now.BytesPerSecond)),
		slog.Float64("average_documents_per_second", rounded(s.Average.DocumentsPerSecond)), slog.Float64("average_bytes_per_second", rounded(s.Average.BytesPerSecond)),
		slog.Float64("seconds_left", max(-1, rounded(s.Left.Seconds()))),
		slog.Int64("retries", s.Retries), slog.Int64("failed", s.Failed), slog.Any("failures", failures),
		slog.String("limit", limit), slog.String("limit_reason", why),
	}
	attributes = append(attributes, slog.String("waiting_for", waitedFor(s.Paused)), slog.String("phase", string(at.Phase)), slog.Bool("can_start", at.CanStart != nil))
	if at.Copies != nil {
		attributes = append(attributes, copiesAttributes(*at.Copies)...)
	}
	return attributes
}

// copiesAttributes are what there is to say of copies, as fields of a log record.
func copiesAttributes(c observe.Copies) []slog.Attr {
	known := func(seconds *float64) float64 {
		if seconds == nil {
			return -1
		}
		return rounded(*seconds)
	}
	return []slog.Attr{
		slog.Int64("copies", c.InAll), slog.Int64("copies_missing", c.Missing), slog.Float64("behind_seconds", known(c.BehindSeconds)),
		slog.Float64("rows_per_second", rounded(c.RowsPerSecond)), slog.Float64("cutover_seconds", known(c.CutoverSeconds)),
	}
}

// waitedFor names the stores that a run waits for.
func waitedFor(paused []drivers.Outage) string {
	names := make([]string, len(paused))
	for i, o := range paused {
		names[i] = o.Place
	}
	return strings.Join(names, ", ")
}

// doneText tells how much is done, and of how much when that is known; done
// stands behind the documents then.
func doneText(s pipeline.Snapshot, done string) string {
	if !s.Counted {
		return fmt.Sprintf("%d documents done, %s; how many there are is being counted", s.Done.Documents, observe.ByteCount(s.Done.Bytes))
	}
	return fmt.Sprintf("%d of %d documents%s, %s of %s", s.Done.Documents, s.Total.Documents, done, observe.ByteCount(s.Done.Bytes), observe.ByteCount(s.Total.Bytes))
}

func rounded(f float64) float64 { return math.Round(10*f) / 10 }

func rate(n float64) string {
	if n < 10 {
		return fmt.Sprintf("%.1f", n)
	}
	return fmt.Sprintf("%.0f", n)
}

func bytesPerSecond(n float64) string { return observe.ByteCount(int64(n)) + "/s" }

// leftText says how long it takes yet.
func leftText(left time.Duration) string {
	if left < 0 {
		return "time left not known yet"
	}
	return "about " + sinceText(left) + " left"
}

// sinceText writes a time as roughly as it is worth knowing.
func sinceText(d time.Duration) string {
	switch {
	case d < time.Hour:
		return d.Round(time.Second).String()
	default:
		return strings.TrimSuffix(d.Round(time.Minute).String(), "0s")
	}
}

func limitText(s pipeline.Snapshot) string {
	stage, why := s.Limit()
	if stage == "" {
		return ""
	}
	return stage + " is the limit: " + why
}

// failuresText tells how many documents have failed, by class.
func failuresText(s pipeline.Snapshot) string {
	if s.Failed == 0 {
		return "none failed"
	}
	var classes []string
	for _, f := range s.Failures {
		classes = append(classes, fmt.Sprintf("%s %d", f.Class, f.Count))
	}
	return fmt.Sprintf("%d failed: %s", s.Failed, strings.Join(classes, ", "))
}

// roleOf says which of the stores an outage is of.
func roleOf(s pipeline.Snapshot, o drivers.Outage) string {
	if o.Place == s.Destination.Place && o.Place != s.Source.Place {
		return "destination"
	}
	return "source"
}

func pauseText(role string, now time.Time, o drivers.Outage) string {
	return fmt.Sprintf("waiting for the %s for %s, giving up in %s: %s does not answer", role,
		now.Sub(o.Since).Round(time.Second), max(o.Until.Sub(now), 0).Round(time.Second), o.Place)
}
