// Package watch lets people watch a run from afar, and has a report written when the
// run is over, if the flags ask for that. Package observe makes what is shown.
package watch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/kedge/kedge/cmd/kedge/internal/ending"
	"github.com/kedge/kedge/cmd/kedge/internal/observe"
	"github.com/kedge/kedge/cmd/kedge/internal/summary"
	"github.com/kedge/kedge/drivers/metrics"
	"github.com/kedge/kedge/pipeline"
	"github.com/kedge/kedge/pipeline/journal"
	"github.com/kedge/kedge/pipeline/tree"
)

// Flags are the flags of a command that can be watched from afar, and that
// leaves a report.
type Flags struct {
	Listen string `placeholder:"ADDRESS" help:"Serve the progress over HTTP while the command runs: a live page at /, /progress (JSON), /metrics (Prometheus), /healthz. 127.0.0.1:9187 or just 9187 is seen from this machine only; any other address, such as 0.0.0.0:9187, from elsewhere too, without a password."`
	Report string `placeholder:"FILE.html" help:"Write a report when all is over, also after a failure or an interruption: one HTML file with plots that can be mailed. An existing file is overwritten."`
}

// Watch is a run that is watched, or that nobody looks at.
type Watch struct {
	flags    Flags
	log      *slog.Logger
	stop     <-chan struct{}
	recorder *observe.Recorder // nil when nobody looks
	server   *observe.Server   // nil without --listen
}

// Begin begins to show a run, of which now tells at any moment. It fails where
// that cannot be done, before anything else is. The caller must close it.
func (flags Flags) Begin(ctx context.Context, stop <-chan struct{}, log *slog.Logger, now func() observe.Progress) (*Watch, error) {
	w := &Watch{flags: flags, log: log, stop: stop}
	if flags.Report != "" {
		if err := observe.CheckReport(flags.Report); err != nil {
			return nil, err
		}
	}
	if flags.Listen == "" && flags.Report == "" {
		return w, nil
	}
	w.recorder = observe.Record(func() observe.Progress { return w.stopping(now()) })
	if flags.Listen == "" {
		return w, nil
	}
	address, err := observe.Address(flags.Listen)
	if err == nil {
		w.server, err = observe.Listen(ctx, address, w.recorder, log)
	}
	if err != nil {
		w.recorder.Close()
		return nil, err
	}
	return w, nil
}

// stopping says so when the run was asked to stop.
func (w *Watch) stopping(p observe.Progress) observe.Progress {
	select {
	case <-w.stop:
		if p.State == observe.Running || p.State == observe.Starting {
			p.State, p.Reason = observe.Stopping, "interrupted: what is in flight is being finished"
		}
	default:
	}
	return p
}

// Over shows how the run ended, and writes the report.
func (w *Watch) Over(last observe.Progress, err error, r observe.Report) {
	if w.recorder == nil {
		return
	}
	last = ended(last, err)
	w.recorder.End(last)
	if w.flags.Report == "" {
		return
	}
	r.State, r.Reason = last.State, last.Reason
	if err := observe.WriteReport(w.flags.Report, r, w.recorder); err != nil {
		w.log.Error("the report could not be written", "reason", err.Error())
		return
	}
	w.log.Info("report written", "path", w.flags.Report)
}

// ended is the progress of a run that ended with a command's error.
func ended(p observe.Progress, err error) observe.Progress {
	p.Reason, p.Paused, p.RemainingSeconds = "", []observe.Outage{}, nil
	switch {
	case err == nil:
		p.State = observe.Complete
		return p
	case ending.IsInterrupted(err), errors.Is(err, context.Canceled):
		p.State = observe.Interrupted
	default:
		p.State = observe.Failed
	}
	p.Reason = err.Error()
	return p
}

// Close ends the showing. A run that did not get as far as to be over ended with
// err.
func (w *Watch) Close(err error) {
	if w.recorder == nil {
		return
	}
	w.recorder.End(ended(w.recorder.Progress(), err))
	if w.server != nil {
		if err := w.server.Close(); err != nil {
			w.log.Warn("serving progress ended badly", "reason", err.Error())
		}
	}
	w.recorder.Close()
}

// Documents is what is known of a run over documents.
type Documents struct {
	run      observe.Run
	progress *pipeline.Progress
	course   observe.Course

	mu     sync.Mutex
	taskID int64
}

// OfDocuments makes what a run over documents is followed by.
func OfDocuments(run observe.Run) *Documents {
	return &Documents{run: run, progress: new(pipeline.Progress)}
}

// Follow has the run with these options watched.
func (d *Documents) Follow(o *pipeline.Options) {
	o.Progress = d.progress
	d.course.Follow(o)
	tell := o.Started
	o.Started = func(s pipeline.Start) {
		d.mu.Lock()
		d.taskID = s.TaskID
		d.mu.Unlock()
		if tell != nil {
			tell(s)
		}
	}
}

// Now tells how far the run has come.
func (d *Documents) Now() observe.Progress {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.run.Documents(d.progress.Snapshot(), d.taskID).On(d.course.Now())
}

// Course tells where the run is.
func (d *Documents) Course() observe.CourseState { return d.course.Now() }

// Report is what there is to say of a run that is over.
func (d *Documents) Report(from, to pipeline.Store, r pipeline.Result, next []string) observe.Report {
	out := observe.Report{Progress: d.Now(), From: from.Place(), To: to.Place(), Resumed: r.Resumed, Ended: r.Ended, Checkpoint: r.Checkpoint, Next: next}
	if r.Checkpoint != "" {
		out.Journal = journal.Path(r.Checkpoint)
	}
	out.Began, out.ElapsedSeconds = r.Began, r.Ended.Sub(r.Began).Seconds()
	out.Documents.Failed, out.Documents.Moved, out.Documents.Total = r.Failed, r.Counts.Moved, r.Documents
	out.Failures = []observe.Failures{}
	for _, g := range r.Failures {
		out.Failures = append(out.Failures, observe.Failures{Class: g.Class, Count: g.Count})
		group := observe.Group{Class: g.Class, Count: g.Count}
		for _, e := range g.Examples {
			group.Examples = append(group.Examples, observe.Example{Document: summary.Document(e), Stage: e.Stage, Reason: e.Reason})
		}
		out.Groups = append(out.Groups, group)
	}
	for _, p := range r.Elsewhere {
		out.Elsewhere = append(out.Elsewhere, observe.Elsewhere(p))
	}
	return out
}

// Tree is what is known of a run over a registry's files.
type Tree struct {
	run observe.Run

	mu                  sync.Mutex
	source, destination *metrics.Meter
	at, began           time.Time
	earlier             tree.Counts
	last                tree.Snapshot
}

// OfTree makes what a run over a registry's files is followed by.
func OfTree(run observe.Run) *Tree { return &Tree{run: run} }

// Meters says who counts what the stores do, now that they are open.
func (t *Tree) Meters(source, destination *metrics.Meter) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.source, t.destination = source, destination
}

// Started takes in what earlier runs have done.
func (t *Tree) Started(s tree.Start) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.began, t.earlier = time.Now(), s.Counts
	t.at, t.last = t.began, tree.Snapshot{Counts: s.Counts}
}

// Told takes in how far the run has come.
func (t *Tree) Told(s tree.Snapshot) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.at, t.last = time.Now(), s
}

// Now tells of the last report: there is one every two seconds.
func (t *Tree) Now() observe.Progress {
	t.mu.Lock()
	defer t.mu.Unlock()
	at := t.at
	if t.began.IsZero() {
		at = time.Now()
	}
	return t.run.Files(t.last, at, t.began, t.earlier, t.source, t.destination)
}

// Report is what there is to say of a run that is over.
func (t *Tree) Report(from, to tree.Store, r tree.Result) observe.Report {
	t.Told(tree.Snapshot{Files: r.Files, Counts: r.Counts, Failed: r.Failed})
	out := observe.Report{Progress: t.Now(), From: from.Place(), To: to.Place(), Resumed: r.Resumed, Ended: r.Ended, Checkpoint: r.Checkpoint}
	out.Began, out.ElapsedSeconds = r.Began, r.Ended.Sub(r.Began).Seconds()
	for _, g := range r.Failures {
		out.Failures = append(out.Failures, observe.Failures{Class: g.Class, Count: g.Count})
		group := observe.Group{Class: g.Class, Count: g.Count}
		for _, e := range g.Examples {
			group.Examples = append(group.Examples, observe.Example{Document: fmt.Sprintf("%q", e.Path), Reason: e.Reason})
		}
		out.Groups = append(out.Groups, group)
	}
	return out
}
