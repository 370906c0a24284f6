package progress

import (
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/kedge/kedge/cmd/kedge/internal/liveview"
	"github.com/kedge/kedge/cmd/kedge/internal/observe"
	"github.com/kedge/kedge/pipeline/tree"
)

// Tree shows how far a run over a registry's storage has come, as it was
// told last: every two seconds.
type Tree struct {
	showing
	title string
	began time.Time

	mu      sync.Mutex
	last    tree.Snapshot
	at      time.Time // when last was told
	rate    float64   // files a second, of late
	printed time.Time // when the last plain line was printed
}

// Tree makes the showing of a run over a registry's storage; the caller closes it
// when the run is over.
func (t *Teller) Tree(stop <-chan struct{}, title string) *Tree {
	now := time.Now()
	return &Tree{showing: t.show(stop), title: title, began: now, at: now, printed: now}
}

// Started tells what the run is about, and begins the view.
func (w *Tree) Started(s tree.Start) {
	w.last.Counts = s.Counts
	if !w.teller.Quiet {
		if s.Resumed {
			fmt.Fprintf(w.teller.Stderr, "Resuming pass %d: %d files were moved before\n", s.Pass, s.Counts.Moved())
		} else {
			fmt.Fprintf(w.teller.Stderr, "Pass %d\n", s.Pass)
		}
		fmt.Fprintf(w.teller.Stderr, "Checkpoint: %s\n", s.Checkpoint)
	}
	w.Begin()
}

// Begin begins the view.
func (w *Tree) Begin() {
	w.showing.begin(func(int, int) liveview.Status { return w.compose() }, w.attributes)
}

// Report takes in how far the run has come.
func (w *Tree) Report(s tree.Snapshot) {
	w.mu.Lock()
	now := time.Now()
	w.rate = float64(s.Counts.Moved()-w.last.Counts.Moved()) / max(now.Sub(w.at).Seconds(), 0.001)
	w.last, w.at = s, now
	due := w.mode == plain && now.Sub(w.printed) >= Interval
	if due {
		w.printed = now
	}
	w.mu.Unlock()
	if due {
		w.teller.print("progress", strings.Join(w.compose().Text(), "; "), w.attributes())
	}
}

// compose makes the status of the moment.
func (w *Tree) compose() liveview.Status {
	w.mu.Lock()
	defer w.mu.Unlock()
	moved := w.last.Counts.Moved()
	st := liveview.Status{Done: min(moved, w.last.Files), Total: w.last.Files, Beside: "files are being counted"}
	if w.last.Files > 0 {
		st.Beside = leftText(w.left())
	}
	st.Add(liveview.Strong, "%s: %s, %s so far", w.title, w.last.Phase, sinceText(time.Since(w.began)))
	if w.stopping() {
		st.Beside = "stopping"
		st.Add(liveview.Warn, "interrupted: finishing what is in flight")
	}
	st.Add(liveview.Plain, "%d files done, %s files/s, %s written", moved, rate(w.rate), observe.ByteCount(w.last.Counts.BytesWritten))
	if w.last.Counts.Deleted > 0 {
		st.Add(liveview.Plain, "%d files deleted at the source", w.last.Counts.Deleted)
	}
	if w.last.Failed > 0 {
		st.Add(liveview.Bad, "%d files failed", w.last.Failed)
	}
	for _, o := range w.last.Paused {
		st.Add(liveview.Warn, "%s", pauseText("store", time.Now(), o))
	}
	return st
}

// left is how long the files that are left take, negative if that is not known.
// w.mu is held.
func (w *Tree) left() time.Duration {
	if left := w.last.Files - w.last.Counts.Moved(); w.rate > 0 {
		return time.Duration(float64(max(left, 0)) / w.rate * float64(time.Second))
	}
	return -1
}

func (w *Tree) attributes() []slog.Attr {
	w.mu.Lock()
	defer w.mu.Unlock()
	return []slog.Attr{
		slog.String("phase", w.last.Phase), slog.Int64("files_done", w.last.Counts.Moved()), slog.Int64("files_total", w.last.Files),
		slog.Float64("files_per_second", rounded(w.rate)), slog.Int64("bytes_read", w.last.Counts.BytesRead), slog.Int64("bytes_written", w.last.Counts.BytesWritten),
		slog.Int64("deleted", w.last.Counts.Deleted), slog.Int64("failed", w.last.Failed), slog.String("waiting_for", waitedFor(w.last.Paused)),
	}
}
