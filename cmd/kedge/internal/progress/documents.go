package progress

import (
	"context"
	"fmt"
	"io"
	"log/slog"

	"github.com/kedge/kedge/cmd/kedge/internal/liveview"
	"github.com/kedge/kedge/cmd/kedge/internal/observe"
	"github.com/kedge/kedge/pipeline"
	"github.com/kedge/kedge/pipeline/audit"
)

// Run migrates or purges, and shows how far it has come.
func (t *Teller) Run(ctx context.Context, stop <-chan struct{}, o pipeline.Options) (pipeline.Result, error) {
	w := t.documents(stop)
	defer w.Close()
	w.follow(&o)
	return pipeline.Run(ctx, stop, o)
}

// Audit audits, and shows how far it has come.
func (t *Teller) Audit(ctx context.Context, stop <-chan struct{}, o audit.Options) (audit.Result, error) {
	w := t.documents(stop)
	defer w.Close()
	w.board.title = "Audit"
	w.show()
	o.Progress = w.progress
	if w.mode == plain {
		o.Report, o.ReportEvery = w.report, Interval
	}
	return audit.Run(ctx, stop, o)
}

func (t *Teller) documents(stop <-chan struct{}) *documents {
	w := &documents{showing: t.show(stop), progress: new(pipeline.Progress)}
	w.board.stopping = w.stopping
	return w
}

// documents shows a migration, a purge or an audit.
type documents struct {
	showing
	progress *pipeline.Progress
	board    board
}

// follow has a run shown, besides what its options have done with it already.
func (w *documents) follow(o *pipeline.Options) {
	if o.Progress == nil {
		o.Progress = w.progress
	}
	w.progress, o.Counted = o.Progress, w.counted
	tell := o.Started
	o.Started = func(s pipeline.Start) {
		if tell != nil {
			tell(s)
		}
		w.started(s)
	}
	if w.mode == plain {
		o.Report, o.ReportEvery = w.report, Interval
	}
}

// started tells what the run is about, and begins the view.
func (w *documents) started(s pipeline.Start) {
	w.board.title = "Purge"
	if s.TaskID != 0 {
		w.board.title = fmt.Sprintf("Migration task %d", s.TaskID)
		if !w.teller.Quiet {
			TellStart(w.teller.Stderr, s)
		}
	}
	w.show()
}

// show begins the view.
func (w *documents) show() {
	w.begin(func(width, height int) liveview.Status { return w.board.compose(w.progress.Snapshot(), width, height) },
		func() []slog.Attr { return progressAttributes(w.progress.Snapshot()) })
}

// report prints the line of the moment.
func (w *documents) report(s pipeline.Snapshot) {
	w.teller.print("progress", plainLine(s), progressAttributes(s))
}

// counted tells what the run is about, once that is known.
func (w *documents) counted(t pipeline.Total) {
	if !w.teller.Quiet {
		TellTotal(w.teller.Stderr, t)
	}
}

// TellStart tells that a migration begins, or goes on.
func TellStart(out io.Writer, s pipeline.Start) {
	switch {
	case s.Resumed && s.Documents > 0:
		fmt.Fprintf(out, "Resuming migration task %d: %d of %d documents were moved before\n", s.TaskID, s.Moved, s.Documents)
	case s.Resumed:
		fmt.Fprintf(out, "Resuming migration task %d: %d documents were moved before\n", s.TaskID, s.Moved)
	default:
		fmt.Fprintf(out, "Migration task %d begins with counting its documents\n", s.TaskID)
	}
	fmt.Fprintf(out, "Checkpoint: %s\n", s.Checkpoint)
}

// TellTotal tells what a migration is about.
func TellTotal(out io.Writer, t pipeline.Total) {
	fmt.Fprintf(out, "Migration task %d: %d documents, %s to be moved\n", t.TaskID, t.Documents, observe.ByteCount(t.Bytes))
	for _, place := range t.Elsewhere {
		fmt.Fprintf(out, "Elsewhere: %d documents (%s) are at %s, neither in the source nor in the destination\n", place.Documents, observe.ByteCount(place.Bytes), place.Place)
	}
}
