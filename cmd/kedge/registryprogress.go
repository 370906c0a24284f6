package main

import (
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/kedge/kedge/pipeline/tree"
)

// treeShowing shows how far a run over a registry's storage has come, as it was
// told last: every two seconds.
type treeShowing struct {
	showing
	title string
	began time.Time

	mu      sync.Mutex
	last    tree.Snapshot
	at      time.Time // when last was told
	rate    float64   // files a second, of late
	printed time.Time // when the last plain line was printed
}

// showTree makes the showing of a run; the caller closes it when the run is
// over.
func (a *app) showTree(interrupted *interrupts, title string) *treeShowing {
	now := time.Now()
	return &treeShowing{showing: a.show(interrupted), title: title, began: now, at: now, printed: now}
}

// started tells what the run is about, and begins the view.
func (w *treeShowing) started(s tree.Start) {
	w.last.Counts = s.Counts
	if !w.app.globals.Quiet {
		if s.Resumed {
			fmt.Fprintf(w.app.stderr, "Resuming pass %d: %d files were moved before\n", s.Pass, s.Counts.Moved())
		} else {
			fmt.Fprintf(w.app.stderr, "Pass %d\n", s.Pass)
		}
		fmt.Fprintf(w.app.stderr, "Checkpoint: %s\n", s.Checkpoint)
	}
	w.begin()
}

// begin begins the view.
func (w *treeShowing) begin() {
	w.showing.begin(func(int, int) status { return w.compose() }, w.attributes)
}

// report takes in how far the run has come.
func (w *treeShowing) report(s tree.Snapshot) {
	w.mu.Lock()
	now := time.Now()
	w.rate = float64(s.Counts.Moved()-w.last.Counts.Moved()) / max(now.Sub(w.at).Seconds(), 0.001)
	w.last, w.at = s, now
	due := w.mode == progressPlain && now.Sub(w.printed) >= progressInterval
	if due {
		w.printed = now
	}
	w.mu.Unlock()
	if due {
		w.app.tellProgress("progress", strings.Join(w.compose().text(), "; "), w.attributes())
	}
}

// compose makes the status of the moment.
func (w *treeShowing) compose() status {
	w.mu.Lock()
	defer w.mu.Unlock()
	moved := w.last.Counts.Moved()
	st := status{done: min(moved, w.last.Files), total: w.last.Files, beside: "files are being counted"}
	if w.last.Files > 0 {
		st.beside = leftText(w.left())
	}
	st.add(toneStrong, "%s: %s, %s so far", w.title, w.last.Phase, sinceText(time.Since(w.began)))
	if w.stopping() {
		st.beside = "stopping"
		st.add(toneWarn, "interrupted: finishing what is in flight")
	}
	st.add(tonePlain, "%d files done, %s files/s, %s written", moved, rate(w.rate), byteCount(w.last.Counts.BytesWritten))
	if w.last.Counts.Deleted > 0 {
		st.add(tonePlain, "%d files deleted at the source", w.last.Counts.Deleted)
	}
	if w.last.Failed > 0 {
		st.add(toneBad, "%d files failed", w.last.Failed)
	}
	for _, o := range w.last.Paused {
		st.add(toneWarn, "%s", pauseText("store", time.Now(), o))
	}
	return st
}

// left is how long the files that are left take, negative if that is not known.
// w.mu is held.
func (w *treeShowing) left() time.Duration {
	if left := w.last.Files - w.last.Counts.Moved(); w.rate > 0 {
		return time.Duration(float64(max(left, 0)) / w.rate * float64(time.Second))
	}
	return -1
}

func (w *treeShowing) attributes() []slog.Attr {
	w.mu.Lock()
	defer w.mu.Unlock()
	return []slog.Attr{
		slog.String("phase", w.last.Phase), slog.Int64("files_done", w.last.Counts.Moved()), slog.Int64("files_total", w.last.Files),
		slog.Float64("files_per_second", rounded(w.rate)), slog.Int64("bytes_read", w.last.Counts.BytesRead), slog.Int64("bytes_written", w.last.Counts.BytesWritten),
		slog.Int64("deleted", w.last.Counts.Deleted), slog.Int64("failed", w.last.Failed), slog.String("waiting_for", waitedFor(w.last.Paused)),
	}
}
