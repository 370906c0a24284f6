package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/kedge/kedge/pipeline"
)

// progressInterval is how often a line is printed where there is no live view.
const progressInterval = 10 * time.Second

// The ways to show progress, as --progress names them.
const (
	progressAuto  = "auto"
	progressLive  = "live"
	progressPlain = "plain"
	progressNone  = "none"
)

// progressMode says how progress is shown here.
func (a *app) progressMode() string {
	can := a.screen != nil && os.Getenv("TERM") != "dumb"
	switch mode := a.globals.Progress; {
	case a.globals.Quiet:
		return progressNone
	case mode == progressAuto && can, mode == progressLive && can:
		return progressLive
	case mode == progressLive:
		a.log.Warn("--progress live needs a terminal at standard error: a line every ten seconds is printed instead")
		return progressPlain
	case mode == progressAuto:
		return progressPlain
	default:
		return mode
	}
}

// showing shows how far a run has come, in the way that fits.
type showing struct {
	app  *app
	mode string
	// stopping says that the run was asked to stop.
	stopping func() bool
	view     *view
}

// show makes the showing of a run; the caller closes it when the run is over.
func (a *app) show(interrupted *interrupts) showing {
	return showing{app: a, mode: a.progressMode(), stopping: interrupted.asked}
}

// begin begins the view, and lets the status be asked for: what compose makes for
// so many columns and lines, and the same as fields of a record.
func (w *showing) begin(compose func(width, height int) status, attributes func() []slog.Attr) {
	w.app.telling.Store(&statusSource{
		text:       func() string { return strings.Join(compose(wideBoard, tallBoard).text(), "\n") },
		attributes: attributes,
	})
	if w.mode == progressLive {
		w.view = w.app.screen.show(os.Getenv("NO_COLOR") == "", compose)
	}
}

// close ends the view. It may be called again.
func (w *showing) close() {
	w.app.telling.Store(nil)
	if w.view != nil {
		w.view.close()
	}
}

// run migrates or purges, and shows how far it has come.
func (a *app) run(ctx context.Context, interrupted *interrupts, o pipeline.Options) (pipeline.Result, error) {
	w := a.showMigration(interrupted)
	defer w.close()
	w.follow(&o)
	return pipeline.Run(ctx, interrupted.stop, o)
}

// audit audits, and shows how far it has come.
func (a *app) audit(ctx context.Context, interrupted *interrupts, o pipeline.AuditOptions) (pipeline.AuditResult, error) {
	w := a.showMigration(interrupted)
	defer w.close()
	w.board.title = "Audit"
	w.show()
	o.Progress = w.progress
	if w.mode == progressPlain {
		o.Report, o.ReportEvery = w.report, progressInterval
	}
	return pipeline.Audit(ctx, interrupted.stop, o)
}

func (a *app) showMigration(interrupted *interrupts) *migrationShowing {
	return &migrationShowing{showing: a.show(interrupted), progress: new(pipeline.Progress), board: board{stopping: interrupted.asked}}
}

// migrationShowing is that of a migration, a purge or an audit.
type migrationShowing struct {
	showing
	progress *pipeline.Progress
	board    board
}

// follow has a run shown, besides what its options have done with it already.
func (w *migrationShowing) follow(o *pipeline.Options) {
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
	if w.mode == progressPlain {
		o.Report, o.ReportEvery = w.report, progressInterval
	}
}

// started tells what the run is about, and begins the view.
func (w *migrationShowing) started(s pipeline.Start) {
	w.board.title = "Purge"
	if s.TaskID != 0 {
		w.board.title = fmt.Sprintf("Migration task %d", s.TaskID)
		if !w.app.globals.Quiet {
			tellStart(w.app.stderr, s)
		}
	}
	w.show()
}

// show begins the view.
func (w *migrationShowing) show() {
	w.begin(func(width, height int) status { return w.board.compose(w.progress.Snapshot(), width, height) },
		func() []slog.Attr { return progressAttributes(w.progress.Snapshot()) })
}

// report prints the line of the moment.
func (w *migrationShowing) report(s pipeline.Snapshot) {
	w.app.tellProgress("progress", plainLine(s), progressAttributes(s))
}

// counted tells what the run is about, once that is known.
func (w *migrationShowing) counted(t pipeline.Total) {
	if !w.app.globals.Quiet {
		tellTotal(w.app.stderr, t)
	}
}

// tellStart tells that a migration begins, or goes on.
func tellStart(out io.Writer, s pipeline.Start) {
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

// tellTotal tells what a migration is about.
func tellTotal(out io.Writer, t pipeline.Total) {
	fmt.Fprintf(out, "Migration task %d: %d documents, %s to be moved\n", t.TaskID, t.Documents, byteCount(t.Bytes))
	for _, place := range t.Elsewhere {
		fmt.Fprintf(out, "Elsewhere: %d documents (%s) are at %s, neither in the source nor in the destination\n", place.Documents, byteCount(place.Bytes), place.Place)
	}
}

// statusSource tells the status of what is running, for people and for
// programs.
type statusSource struct {
	text       func() string
	attributes func() []slog.Attr
}

// tellStatus prints how far the command has come.
func (a *app) tellStatus() {
	source := a.telling.Load()
	if source == nil {
		a.tellProgress("status", "kedge: nothing is under way that could be told of", nil)
		return
	}
	a.tellProgress("status", source.text(), source.attributes())
}

// tellProgress prints a text, or, where log lines are for programs, a record.
func (a *app) tellProgress(message, text string, attributes []slog.Attr) {
	if a.globals.LogFormat == "json" {
		a.log.LogAttrs(context.Background(), slog.LevelInfo, message, attributes...)
		return
	}
	fmt.Fprintln(a.stderr, text)
}
