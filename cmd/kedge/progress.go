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

// run migrates or purges, and shows how far it has come.
func (a *app) run(ctx context.Context, interrupted *interrupts, o pipeline.Options) (pipeline.Result, error) {
	w := a.show(interrupted)
	defer w.close()
	w.follow(&o)
	return pipeline.Run(ctx, interrupted.stop, o)
}

// showing shows how far a run has come, in the way that fits.
type showing struct {
	app      *app
	mode     string
	progress *pipeline.Progress
	board    board
	view     *view
}

// show makes the showing of a run; the caller closes it when the run is over.
func (a *app) show(interrupted *interrupts) *showing {
	return &showing{app: a, mode: a.progressMode(), board: board{stopping: interrupted.asked}}
}

// follow has a run shown, besides what its options have done with it already.
func (w *showing) follow(o *pipeline.Options) {
	if o.Progress == nil {
		o.Progress = new(pipeline.Progress)
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
func (w *showing) started(s pipeline.Start) {
	w.board.title = "Purge"
	if s.TaskID != 0 {
		w.board.title = fmt.Sprintf("Migration task %d", s.TaskID)
		if !w.app.globals.Quiet {
			tellStart(w.app.stderr, s)
		}
	}
	w.app.telling.Store(&statusSource{w.told, w.attributes})
	if w.mode == progressLive {
		w.view = w.app.screen.show(os.Getenv("NO_COLOR") == "", func(width, height int) status {
			return w.board.compose(w.progress.Snapshot(), width, height)
		})
	}
}

// counted tells what the run is about, once that is known.
func (w *showing) counted(t pipeline.Total) {
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

// report prints the line of the moment.
func (w *showing) report(s pipeline.Snapshot) {
	w.app.tellProgress("progress", plainLine(s), progressAttributes(s))
}

// told is the whole status, for who asks.
func (w *showing) told() string {
	s := w.progress.Snapshot()
	const width, height = wideBoard, tallBoard
	st := w.board.compose(s, width, height)
	lines := []string{fmt.Sprintf("%.1f%% done, %s", percentOf(st.done, st.total), st.beside)}
	for _, line := range st.lines {
		lines = append(lines, fit(line.text, 2*width))
	}
	return strings.Join(lines, "\n")
}

func (w *showing) attributes() []slog.Attr { return progressAttributes(w.progress.Snapshot()) }

// close ends the view. It may be called again.
func (w *showing) close() {
	w.app.telling.Store(nil)
	if w.view != nil {
		w.view.close()
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
