package summary

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/kedge/kedge/cmd/kedge/internal/ending"
	"github.com/kedge/kedge/cmd/kedge/internal/observe"
	"github.com/kedge/kedge/pipeline"
)

// Copying is what there is to tell of a copy that is over.
type Copying struct {
	pipeline.Result
	// Course has what all rounds of this run have done.
	Course observe.CourseState
	// Err is what ended it, nil where it came to its end or was asked to stop.
	Err error
	// Follow: it goes on until it is asked to stop, so that this is its end.
	Follow    bool
	Elsewhere pipeline.Elsewhere
	Next      []Suggestion
}

// Conclude prints the result and turns it into the command's error.
func (c Copying) Conclude(out Output) error {
	if c.TaskID == 0 {
		return neverBegan(c.Err)
	}
	if err := out.result(c.Err, func() any { return c.form() }, c.write); err != nil {
		return err
	}
	if err := interrupted(c.Err, c.Interrupted && !c.Follow); err != nil {
		return err
	}
	switch {
	case c.Err != nil:
		return ending.Incomplete("%w; %s", c.Err, again(c.Err))
	case c.Failed > 0:
		return ending.Incomplete("%s could not be copied; mend what can be mended and run the same command again", documents(c.Failed))
	case len(c.Result.Elsewhere) > 0 && c.Elsewhere != pipeline.ElsewhereIgnore:
		return ending.Incomplete("documents elsewhere were not copied; copy them with --elsewhere=move, or leave them with --elsewhere=ignore")
	}
	return nil
}

// state says how the copying ended. Its task stays pending until the cutover.
func (c Copying) state() string {
	switch {
	case c.Err == nil && c.Failed > 0, c.Err != nil && !errors.Is(c.Err, context.Canceled):
		return "failed"
	case c.Err != nil, c.Interrupted:
		return "pending"
	}
	return "complete"
}

// copies are those that all rounds have come to.
func (c Copying) copies() observe.Copies {
	if c.Course.Copies == nil {
		return observe.Copies{}
	}
	return *c.Course.Copies
}

// took is how long all rounds have taken, with the waiting between them.
func (c Copying) took(copies observe.Copies) time.Duration {
	if copies.Began.IsZero() {
		return c.Ended.Sub(c.Began)
	}
	return c.Ended.Sub(copies.Began)
}

func (c Copying) write(w io.Writer) {
	r, copies := c.Result, c.copies()
	fmt.Fprintf(w, "\nCopy task %d: %s\n", r.TaskID, c.state())
	fmt.Fprintf(w, "  copied     %s in this run, in %s\n", documents(copies.Copied), observe.Number(copies.Rounds, "round"))
	fmt.Fprintf(w, "  unchanged  %s among those that the last round looked at\n", documents(r.Round.Unchanged))
	if r.Round.Changed > 0 {
		fmt.Fprintf(w, "  changed    %s while being copied: left to the next round, or to the cutover\n", documents(r.Round.Changed))
	}
	if n := skipped(r); n > 0 {
		fmt.Fprintf(w, "  skipped    %s elsewhere\n", documents(n))
	}
	if copies.CutShort {
		fmt.Fprintf(w, "  copies     %d in all; the last round was cut short: what has no copy yet, the next run copies, or the cutover moves\n", copies.InAll)
	} else {
		fmt.Fprintf(w, "  copies     %d in all; %s without one, to be moved at the cutover\n", copies.InAll, observe.Number(copies.Missing, "row"))
	}
	fmt.Fprintf(w, "  read       %s\n", observe.ByteCount(copies.BytesRead))
	fmt.Fprintf(w, "  written    %s%s\n", observe.ByteCount(copies.BytesWritten), shareOf(copies.BytesWritten, copies.BytesRead))
	fmt.Fprintf(w, "  this run   %s\n", c.took(copies).Round(time.Millisecond))
	if copies.BehindSeconds != nil && !copies.CutShort {
		fmt.Fprintf(w, "  behind     %s: what the services have changed since is not copied yet\n", roughly(*copies.BehindSeconds))
	}
	if copies.CutoverSeconds != nil {
		fmt.Fprintf(w, "  cutover    about %s until Anchore can be started, at %.0f rows a second and with %s to move; sources are deleted after that\n", roughly(*copies.CutoverSeconds), copies.RowsPerSecond, documents(copies.Missing))
	}
	writeFailures(w, r)
	for _, p := range r.Elsewhere {
		fmt.Fprintf(w, "  elsewhere  %s (%s) at %s: not copied\n", documents(p.Documents), observe.ByteCount(p.Bytes), p.Place)
	}
	writeFiles(w, r)
	writeNext(w, c.Next)
}

// documents says how many there are.
func documents(n int64) string { return observe.Number(n, "document") }

// roughly writes a time as roughly as it is worth knowing.
func roughly(seconds float64) string {
	d := time.Duration(seconds * float64(time.Second))
	if d < 10*time.Second {
		return d.Round(100 * time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}

// CopyingForm is a copy's result as scripts read it.
type CopyingForm struct {
	TaskID         int64        `json:"task_id"`
	State          string       `json:"state"`
	Interrupted    bool         `json:"interrupted"`
	Rounds         int64        `json:"rounds"`
	Copied         int64        `json:"copied"`
	Unchanged      int64        `json:"unchanged"`
	Changed        int64        `json:"changed"`
	Failed         int64        `json:"failed"`
	Skipped        int64        `json:"skipped"`
	Copies         int64        `json:"copies"`
	CopiesMissing  int64        `json:"copies_missing"`
	BytesRead      int64        `json:"bytes_read"`
	BytesWritten   int64        `json:"bytes_written"`
	RunSeconds     float64      `json:"run_seconds"`
	BehindSeconds  *float64     `json:"behind_seconds"`
	RowsPerSecond  float64      `json:"rows_per_second"`
	CutoverSeconds *float64     `json:"cutover_seconds"`
	Failures       []Group      `json:"failures"`
	Elsewhere      []Place      `json:"elsewhere"`
	Next           []Suggestion `json:"next"`
	CheckpointPath string       `json:"checkpoint,omitempty"`
	RecordPath     string       `json:"record,omitempty"`
	Error          string       `json:"error,omitempty"`
}

func (c Copying) form() CopyingForm {
	r, copies := c.Result, c.copies()
	out := CopyingForm{
		TaskID: r.TaskID, State: c.state(), Interrupted: r.Interrupted, Rounds: copies.Rounds,
		Copied: copies.Copied, Unchanged: r.Round.Unchanged, Changed: r.Round.Changed, Failed: r.Failed, Skipped: skipped(r),
		Copies: copies.InAll, CopiesMissing: copies.Missing,
		BytesRead: copies.BytesRead, BytesWritten: copies.BytesWritten,
		RunSeconds: c.took(copies).Seconds(), BehindSeconds: copies.BehindSeconds, RowsPerSecond: copies.RowsPerSecond, CutoverSeconds: copies.CutoverSeconds,
		Failures: Groups(r.Failures), Elsewhere: Places(r.Elsewhere), Next: append([]Suggestion{}, c.Next...),
		CheckpointPath: r.Checkpoint, RecordPath: r.Record,
	}
	if c.Err != nil {
		out.Error = c.Err.Error()
	}
	return out
}
