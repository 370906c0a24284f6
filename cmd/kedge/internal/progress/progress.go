// Package progress says how far a command has come. On a terminal it draws a view
// again and again. Elsewhere it prints a line every ten seconds. It also prints the
// status when it gets SIGUSR1.
//
// A Teller belongs to the program. A board (board.go) makes what it shows of
// documents, a Tree (tree.go) what it shows of a registry's storage.
package progress

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/kedge/kedge/cmd/kedge/internal/liveview"
)

// Interval is how often a line is printed where there is no live view.
const Interval = 10 * time.Second

// The ways to show progress, as --progress names them.
const (
	auto  = "auto"
	live  = "live"
	plain = "plain"
	none  = "none"
)

// Teller tells how far what is running has come. Its fields are set before it is
// used.
type Teller struct {
	Stderr io.Writer
	// Screen is Stderr where that is a terminal, else nil.
	Screen *liveview.Screen
	Log    *slog.Logger
	// Show is the way that --progress names.
	Show  string
	Quiet bool
	// Records says that log lines are for programs: what is told is logged then.
	Records bool

	// running is what SIGUSR1 asks; nil while nothing is under way.
	running atomic.Pointer[source]
}

// source tells the status of what is running, for people and for programs.
type source struct {
	text       func() string
	attributes func() []slog.Attr
}

// mode says how progress is shown here.
func (t *Teller) mode() string {
	can := t.Screen != nil && os.Getenv("TERM") != "dumb"
	switch {
	case t.Quiet:
		return none
	case t.Show == auto && can, t.Show == live && can:
		return live
	case t.Show == live:
		t.Log.Warn("--progress live needs a terminal at standard error: a line every ten seconds is printed instead")
		return plain
	case t.Show == auto:
		return plain
	default:
		return t.Show
	}
}

// showing shows how far a run has come, in the way that fits.
type showing struct {
	teller *Teller
	mode   string
	// stop is closed when the run is asked to stop.
	stop <-chan struct{}
	view *liveview.View
}

// show makes the showing of a run; the caller closes it when the run is over.
func (t *Teller) show(stop <-chan struct{}) showing {
	return showing{teller: t, mode: t.mode(), stop: stop}
}

// stopping says whether the run was asked to stop.
func (w *showing) stopping() bool {
	select {
	case <-w.stop:
		return true
	default:
		return false
	}
}

// begin begins the view, and lets the status be asked for: what compose makes for
// so many columns and lines, and the same as fields of a record.
func (w *showing) begin(compose func(width, height int) liveview.Status, attributes func() []slog.Attr) {
	w.teller.running.Store(&source{
		text:       func() string { return strings.Join(compose(wideBoard, tallBoard).Text(), "\n") },
		attributes: attributes,
	})
	if w.mode == live {
		w.view = w.teller.Screen.Show(os.Getenv("NO_COLOR") == "", compose)
	}
}

// Close ends the view. It may be called again.
func (w *showing) Close() {
	w.teller.running.Store(nil)
	if w.view != nil {
		w.view.Close()
	}
}

// tellStatus prints how far the command has come.
func (t *Teller) tellStatus() {
	running := t.running.Load()
	if running == nil {
		t.print("status", "kedge: nothing is under way that could be told of", nil)
		return
	}
	t.print("status", running.text(), running.attributes())
}

// print prints a text, or, where log lines are for programs, a record.
func (t *Teller) print(message, text string, attributes []slog.Attr) {
	if t.Records {
		t.Log.LogAttrs(context.Background(), slog.LevelInfo, message, attributes...)
		return
	}
	fmt.Fprintln(t.Stderr, text)
}

// Rows gives a function that is told of how many rows were looked at, and prints
// that now and then.
func (t *Teller) Rows() func(rows int64) {
	last := time.Now()
	return func(rows int64) {
		if now := time.Now(); !t.Quiet && now.Sub(last) >= Interval {
			last = now
			fmt.Fprintf(t.Stderr, "looked at %d rows\n", rows)
		}
	}
}
