package summary

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/kedge/kedge/cmd/kedge/internal/ending"
	"github.com/kedge/kedge/cmd/kedge/internal/observe"
	"github.com/kedge/kedge/pipeline"
)

// Migration is what there is to tell of a migration that is over, or of a rollback.
type Migration struct {
	pipeline.Result
	// Course says when Anchore could be started.
	Course observe.CourseState
	// Back: it is a rollback.
	Back bool
	// Err is what ended it, nil where it came to its end.
	Err       error
	NoDelete  bool
	Elsewhere pipeline.Elsewhere
	// Configuration is the destination's section, indented, which Anchore needs now;
	// "" where nothing is to be said of it.
	Configuration string
	// Next are the commands for what comes next.
	Next []Suggestion
}

// Conclude prints the result and turns it into the command's error.
func (m Migration) Conclude(out Output) error {
	if m.TaskID == 0 {
		return neverBegan(m.Err)
	}
	if err := out.result(m.Err, func() any { return m.form() }, m.write); err != nil {
		return err
	}
	if err := interrupted(m.Err, m.Interrupted); err != nil {
		return err
	}
	switch {
	case m.Err != nil:
		return ending.Incomplete("%w; %s", m.Err, again(m.Err))
	case m.Failed > 0:
		return ending.Incomplete("%d documents stay behind; mend what can be mended and run the same command again", m.Failed)
	case len(m.Result.Elsewhere) > 0 && m.Elsewhere != pipeline.ElsewhereIgnore:
		return ending.Incomplete("documents elsewhere were not moved; move them with --elsewhere=move, or leave them with --elsewhere=ignore")
	}
	return nil
}

func (m Migration) write(w io.Writer) {
	r := m.Result
	task := "Migration task"
	if m.Back {
		task = "Rollback task"
	}
	fmt.Fprintf(w, "\n%s %d: %s\n", task, r.TaskID, r.State)
	fmt.Fprintf(w, "  moved      %s documents\n", movedOf(r.Counts.Moved, r.Documents))
	if r.Counts.AlreadyThere > 0 {
		fmt.Fprintf(w, "  there      %d of them had been moved when a run was interrupted\n", r.Counts.AlreadyThere)
	}
	if r.Counts.Adopted > 0 {
		fmt.Fprintf(w, "  adopted    %d of them: their rows named the source again, where nothing was, and the destination held them; the database is older than their deletion\n", r.Counts.Adopted)
	}
	writeCopied(w, m)
	if n := skipped(r); n > 0 {
		fmt.Fprintf(w, "  skipped    %d documents that are elsewhere\n", n)
	}
	fmt.Fprintf(w, "  read       %s\n", observe.ByteCount(r.Counts.BytesRead))
	fmt.Fprintf(w, "  written    %s%s\n", observe.ByteCount(r.Counts.BytesWritten), shareOfRead(r))
	fmt.Fprintf(w, "  this run   %s\n", ranOf(r))
	if r.Counts.NoDigest > 0 {
		fmt.Fprintf(w, "  no digest  %d documents had none in the catalog: nothing could tell whether their bytes were right\n", r.Counts.NoDigest)
	}
	writeFailures(w, r)
	for _, p := range r.Elsewhere {
		fmt.Fprintf(w, "  elsewhere  %d documents (%s) at %s: not moved\n", p.Documents, observe.ByteCount(p.Bytes), p.Place)
	}
	writeFiles(w, r)
	if r.State == "complete" || r.Failed > 0 {
		if m.NoDelete && !m.Back {
			fmt.Fprintln(w, "The source still holds its data (--nodelete). Delete it with kedge purge when all is well.")
		}
		if m.Configuration != "" {
			what := "migration"
			if m.Back {
				what = "rollback"
			}
			fmt.Fprintf(w, "After this %s, your anchore-engine config.yaml MUST have the following configuration options added before starting up again:\n%s\n", what, m.Configuration)
		}
	}
	writeNext(w, m.Next)
}

// writeFiles names what is kept for later runs.
func writeFiles(w io.Writer, r pipeline.Result) {
	if r.Record != "" {
		fmt.Fprintf(w, "  record     %s\n", r.Record)
	}
	if r.Checkpoint != "" {
		fmt.Fprintf(w, "  checkpoint %s\n", r.Checkpoint)
	}
}

// writeNext writes the commands for what comes next.
func writeNext(w io.Writer, next []Suggestion) {
	if len(next) > 0 {
		fmt.Fprintln(w, "Next")
	}
	for _, s := range next {
		fmt.Fprintf(w, "  %s:\n    %s\n", s.Purpose, s.Command)
	}
}

// writeCopied tells what was copied before, and when Anchore could be started.
func writeCopied(w io.Writer, m Migration) {
	if m.CopiedBefore > 0 && m.Back {
		fmt.Fprintf(w, "  stood      %d of them in this run, whose payloads were still there: only their rows were changed\n", m.CopiedBefore)
	} else if m.CopiedBefore > 0 {
		fmt.Fprintf(w, "  copied     %d of them in this run, whose copies had been made before: only their rows were changed\n", m.CopiedBefore)
	}
	if m.CopiesDoubted > 0 {
		fmt.Fprintf(w, "  doubted    %s not there any more as the record has them: what still names the source was moved\n", observe.Number(m.CopiesDoubted, "copy", "copies"))
	}
	if m.Removed > 0 {
		fmt.Fprintf(w, "  removed    %s of documents that are gone\n", observe.Number(m.Removed, "copy", "copies"))
	}
	if took, ok := startable(m); ok {
		fmt.Fprintf(w, "  cutover    Anchore could be started after %s\n", took.Round(time.Millisecond))
	}
}

// startable is how long it took until Anchore could be started.
func startable(m Migration) (took time.Duration, ok bool) {
	if m.Course.CanStart == nil {
		return 0, false
	}
	return max(0, m.Course.CanStart.At.Sub(m.Began)), true
}

// movedOf says how many were moved, and of how many where that is known.
func movedOf(moved, documents int64) string {
	if documents == 0 && moved > 0 {
		return fmt.Sprint(moved)
	}
	return fmt.Sprintf("%d of %d", moved, documents)
}

// skipped counts the documents that were left because they are elsewhere.
func skipped(r pipeline.Result) (n int64) {
	for _, p := range r.Elsewhere {
		n += p.Documents
	}
	return n
}

// shareOfRead tells what compression made of the documents.
func shareOfRead(r pipeline.Result) string { return shareOf(r.Counts.BytesWritten, r.Counts.BytesRead) }

func shareOf(written, read int64) string {
	if read == 0 || read == written {
		return ""
	}
	return fmt.Sprintf(", %.0f%% of what was read", 100*float64(written)/float64(read))
}

// writeFailures names the documents that stay behind, by reason, and the sources
// that are left.
func writeFailures(w io.Writer, r pipeline.Result) {
	if r.Failed > 0 {
		fmt.Fprintf(w, "  failed     %d documents, which stay where they were:\n", r.Failed)
	}
	writeGroups(w, r.Failures)
	if len(r.Left) > 0 {
		fmt.Fprintln(w, "  left       sources of moved documents that are not kedge's to delete, and are left for good; this is not told again:")
		writeGroups(w, r.Left)
		fmt.Fprintln(w, "    When no row of the catalog needs such a place any more, delete it by hand; kedge verify --orphans lists what no row names.")
	}
}

func writeGroups(w io.Writer, groups []pipeline.FailureGroup) {
	for _, g := range groups {
		var examples []string
		for _, f := range g.Examples {
			examples = append(examples, Document(f)+": "+f.Reason)
		}
		writeGroup(w, g.Class, g.Count, examples)
	}
}

// ran is what one run of a migration has done, beside what earlier ones had.
type ran struct {
	documents, bytesRead, bytesWritten int64
	took                               time.Duration
}

func ranOf(r pipeline.Result) ran {
	return ran{
		documents: r.Counts.Moved - r.Before.Moved, bytesRead: r.Counts.BytesRead - r.Before.BytesRead,
		bytesWritten: r.Counts.BytesWritten - r.Before.BytesWritten, took: r.Ended.Sub(r.Began),
	}
}

// rate is so many a second.
func (r ran) rate(n int64) float64 {
	if r.took <= 0 {
		return 0
	}
	return float64(n) / r.took.Seconds()
}

// String tells the run in one line.
func (r ran) String() string {
	return fmt.Sprintf("%d documents in %s: %.0f/s, %s/s read, %s/s written", r.documents, r.took.Round(time.Millisecond),
		r.rate(r.documents), observe.ByteCount(int64(r.rate(r.bytesRead))), observe.ByteCount(int64(r.rate(r.bytesWritten))))
}

// MigrationForm is a migration's result as scripts read it.
type MigrationForm struct {
	TaskID         int64        `json:"task_id"`
	State          string       `json:"state"`
	Resumed        bool         `json:"resumed"`
	Interrupted    bool         `json:"interrupted"`
	Documents      int64        `json:"documents"`
	Moved          int64        `json:"moved"`
	Failed         int64        `json:"failed"`
	BytesRead      int64        `json:"bytes_read"`
	BytesWritten   int64        `json:"bytes_written"`
	AlreadyThere   int64        `json:"already_there"`
	Adopted        int64        `json:"adopted"`
	CopiedBefore   int64        `json:"copied_before"`
	CopiesDoubted  int64        `json:"copies_doubted"`
	CopiesRemoved  int64        `json:"copies_removed"`
	Startable      *float64     `json:"startable_seconds"`
	Skipped        int64        `json:"skipped"`
	WithoutDigest  int64        `json:"without_digest"`
	RunSeconds     float64      `json:"run_seconds"`
	ThisRun        RunForm      `json:"this_run"`
	Failures       []Group      `json:"failures"`
	Left           []Group      `json:"left"`
	Elsewhere      []Place      `json:"elsewhere"`
	Next           []Suggestion `json:"next"`
	CheckpointPath string       `json:"checkpoint,omitempty"`
	RecordPath     string       `json:"record,omitempty"`
	Error          string       `json:"error,omitempty"`
}

// RunForm is what one run has done, as scripts read it.
type RunForm struct {
	Documents             int64   `json:"documents"`
	BytesRead             int64   `json:"bytes_read"`
	BytesWritten          int64   `json:"bytes_written"`
	DocumentsPerSecond    float64 `json:"documents_per_second"`
	BytesReadPerSecond    float64 `json:"bytes_read_per_second"`
	BytesWrittenPerSecond float64 `json:"bytes_written_per_second"`
}

func (m Migration) form() MigrationForm {
	r, run := m.Result, ranOf(m.Result)
	out := MigrationForm{
		TaskID: r.TaskID, State: string(r.State), Resumed: r.Resumed, Interrupted: r.Interrupted,
		Documents: r.Documents, Moved: r.Counts.Moved, Failed: r.Failed,
		BytesRead: r.Counts.BytesRead, BytesWritten: r.Counts.BytesWritten, WithoutDigest: r.Counts.NoDigest,
		AlreadyThere: r.Counts.AlreadyThere, Adopted: r.Counts.Adopted, Skipped: skipped(r), RunSeconds: run.took.Seconds(), CheckpointPath: r.Checkpoint,
		CopiedBefore: r.CopiedBefore, CopiesDoubted: r.CopiesDoubted, CopiesRemoved: r.Removed, RecordPath: r.Record,
		ThisRun: RunForm{
			run.documents, run.bytesRead, run.bytesWritten, run.rate(run.documents), run.rate(run.bytesRead), run.rate(run.bytesWritten),
		},
		Failures: Groups(r.Failures), Left: Groups(r.Left), Elsewhere: Places(r.Elsewhere),
		Next: append([]Suggestion{}, m.Next...),
	}
	if took, ok := startable(m); ok {
		seconds := took.Seconds()
		out.Startable = &seconds
	}
	if m.Err != nil {
		out.Error = m.Err.Error()
	}
	return out
}

// Purge is what there is to tell of a purge that is over.
type Purge struct {
	pipeline.Result
	Err    error
	DryRun bool
}

// Conclude prints the result and turns it into the command's error.
func (p Purge) Conclude(out Output) error {
	if p.State == "" {
		return neverBegan(p.Err)
	}
	if err := p.print(out); err != nil {
		return errors.Join(p.Err, err)
	}
	switch {
	case p.Err != nil:
		return ended(p.Err)
	case p.Interrupted:
		return ending.Interrupted("interrupted; run the same command again to go on")
	case p.Failed > 0:
		return ending.Incomplete("%d documents could not be purged: nothing of them was deleted", p.Failed)
	}
	return nil
}

func (p Purge) print(out Output) error {
	if out.JSON {
		form := map[string]any{"dry_run": p.DryRun, "documents_at_destination": p.Documents, "deleted": p.Counts.Moved, "failed": p.Failed, "bytes": p.Counts.BytesRead,
			"failures": Groups(p.Failures), "left": Groups(p.Left), "interrupted": p.Interrupted}
		if p.DryRun {
			form["deleted"], form["to_delete"] = 0, p.Counts.Moved
		}
		return out.Line(form)
	}
	done := "deleted"
	if p.DryRun {
		done = "would delete"
	}
	fmt.Fprintf(out, "%s %d documents (%s) at the source, of %d that the catalog places at the destination\n", done, p.Counts.Moved, observe.ByteCount(p.Counts.BytesRead), p.Documents)
	writeFailures(out, p.Result)
	return nil
}
