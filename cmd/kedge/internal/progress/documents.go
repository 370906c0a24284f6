package progress

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"github.com/kedge/kedge/cmd/kedge/internal/liveview"
	"github.com/kedge/kedge/cmd/kedge/internal/observe"
	"github.com/kedge/kedge/pipeline"
	"github.com/kedge/kedge/pipeline/audit"
)

// Run does what the options say, and shows how far it has come.
func (t *Teller) Run(ctx context.Context, stop <-chan struct{}, o pipeline.Options) (pipeline.Result, error) {
	w := t.documents(stop)
	defer w.Close()
	w.follow(&o)
	if o.Job == pipeline.Copy {
		return pipeline.Follow(ctx, stop, o)
	}
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

// What the tasks of runs are called.
const (
	MigrationTask = "Migration task"
	copyTask      = "Copy task"
	rollbackTask  = "Rollback task"
)

var tasks = map[pipeline.Job]string{pipeline.Migrate: MigrationTask, pipeline.Copy: copyTask, pipeline.Rollback: rollbackTask}

// documents shows a run over documents, or an audit.
type documents struct {
	showing
	progress *pipeline.Progress
	course   observe.Course
	board    board
	// task names what the run is, as in "Migration task".
	task string
}

// follow has a run shown, besides what its options have done with it already.
func (w *documents) follow(o *pipeline.Options) {
	if o.Progress == nil {
		o.Progress = w.progress
	}
	w.progress, o.Counted, w.task = o.Progress, w.counted, tasks[o.Job]
	w.course.Follow(o)
	tell := o.Started
	o.Started = func(s pipeline.Start) {
		if tell != nil {
			tell(s)
		}
		w.started(s)
	}
	o.Startable, o.Round = w.startable(o.Startable), w.round(o.Round)
	if w.mode == plain {
		o.Report, o.ReportEvery = w.report, Interval
	}
}

// startable tells when Anchore can be started, after what else is told.
func (w *documents) startable(tell func(failed, sources int64)) func(failed, sources int64) {
	return func(failed, sources int64) {
		tell(failed, sources)
		if s := w.course.Now().CanStart; !w.teller.Quiet {
			w.teller.print("anchore can be started", s.String(), []slog.Attr{slog.Int64("failed", failed), slog.Int64("sources_left", sources)})
		}
	}
}

// round tells how a round of copying ended, after what else is told.
func (w *documents) round(tell func(pipeline.Round)) func(pipeline.Round) {
	return func(r pipeline.Round) {
		tell(r)
		if c := w.course.Now().Copies; c != nil && !w.teller.Quiet {
			w.teller.print("round ended", observe.RoundText(r, *c), append([]slog.Attr{
				slog.Int64("round", r.Number), slog.Int64("copied", r.Copied), slog.Int64("unchanged", r.Unchanged),
				slog.Int64("changed", r.Changed), slog.Int64("failed", r.Failed),
			}, copiesAttributes(*c)...))
		}
	}
}

// started tells what the run is about, and begins the view.
func (w *documents) started(s pipeline.Start) {
	w.board.title = "Purge"
	if s.TaskID != 0 {
		w.board.title = fmt.Sprintf("%s %d", w.task, s.TaskID)
		if !w.teller.Quiet {
			TellStart(w.teller.Stderr, w.task, s)
		}
	}
	w.show()
}

// show begins the view.
func (w *documents) show() {
	w.begin(func(width, height int) liveview.Status {
		return w.board.compose(w.progress.Snapshot(), w.course.Now(), width, height)
	}, func() []slog.Attr { return progressAttributes(w.progress.Snapshot(), w.course.Now()) })
}

// report prints the line of the moment.
func (w *documents) report(s pipeline.Snapshot) {
	at := w.course.Now()
	w.teller.print("progress", plainLine(s, at), progressAttributes(s, at))
}

// counted tells what the run is about, once that is known.
func (w *documents) counted(t pipeline.Total) {
	if !w.teller.Quiet {
		TellTotal(w.teller.Stderr, w.task, t)
	}
}

// TellStart tells that a task begins, or goes on.
func TellStart(out io.Writer, task string, s pipeline.Start) {
	done, lower := "moved", strings.ToLower(task[:1])+task[1:]
	if task == copyTask {
		done = "copied"
	}
	switch {
	case s.Resumed && s.Documents > 0:
		fmt.Fprintf(out, "Resuming %s %d: %d of %d documents were %s before\n", lower, s.TaskID, s.Moved, s.Documents, done)
	case s.Resumed:
		fmt.Fprintf(out, "Resuming %s %d: %d documents were %s before\n", lower, s.TaskID, s.Moved, done)
	default:
		fmt.Fprintf(out, "%s %d begins with counting its documents\n", task, s.TaskID)
	}
	if s.Copies > 0 {
		fmt.Fprintf(out, "There is a record of %s\n", observe.Number(s.Copies, "copy", "copies"))
	}
	fmt.Fprintf(out, "Checkpoint: %s\n", s.Checkpoint)
}

// TellTotal tells what a task is about.
func TellTotal(out io.Writer, task string, t pipeline.Total) {
	what := "moved"
	if task == copyTask {
		what = "copied"
	}
	fmt.Fprintf(out, "%s %d: %d documents, %s to be %s\n", task, t.TaskID, t.Documents, observe.ByteCount(t.Bytes), what)
	for _, place := range t.Elsewhere {
		fmt.Fprintf(out, "Elsewhere: %d documents (%s) are at %s, neither in the source nor in the destination\n", place.Documents, observe.ByteCount(place.Bytes), place.Place)
	}
}
