package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/kedge/kedge/cmd/kedge/internal/observe"
	"github.com/kedge/kedge/drivers/metrics"
	"github.com/kedge/kedge/pipeline"
	"github.com/kedge/kedge/pipeline/tree"
)

// watchFlags are the flags of a command that can be watched from afar, and that
// leaves a report.
type watchFlags struct {
	Listen string `placeholder:"ADDRESS" help:"Serve the progress over HTTP while the command runs: a live page at /, /progress (JSON), /metrics (Prometheus), /healthz. 127.0.0.1:9187 or just 9187 is seen from this machine only; any other address, such as 0.0.0.0:9187, from elsewhere too, without a password."`
	Report string `placeholder:"FILE.html" help:"Write a report when all is over, also after a failure or an interruption: one HTML file with plots that can be mailed. An existing file is overwritten."`
}

// watched says what is watched.
func (l *sideLimits) watched(command, source, destination string) observe.Run {
	return observe.Run{Command: command, Version: "kedge " + thisBuild().Version, Source: source, Destination: destination,
		SourceLimits: l.source(), DestinationLimits: l.destination(), Started: time.Now()}
}

// watch is a run that is watched, or that nobody looks at.
type watch struct {
	flags    watchFlags
	app      *app
	stop     <-chan struct{}
	recorder *observe.Recorder // nil when nobody looks
	server   *observe.Server   // nil without --listen
}

// watch begins to show a run, of which now tells at any moment. It fails where
// that cannot be done, before anything else is. The caller must close it.
func (a *app) watch(ctx context.Context, flags watchFlags, interrupted *interrupts, now func() observe.Progress) (*watch, error) {
	w := &watch{flags: flags, app: a, stop: interrupted.stop}
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
		w.server, err = observe.Listen(ctx, address, w.recorder, a.log)
	}
	if err != nil {
		w.recorder.Close()
		return nil, err
	}
	return w, nil
}

// stopping says so when the run was asked to stop.
func (w *watch) stopping(p observe.Progress) observe.Progress {
	select {
	case <-w.stop:
		if p.State == observe.Running || p.State == observe.Starting {
			p.State, p.Reason = observe.Stopping, "interrupted: what is in flight is being finished"
		}
	default:
	}
	return p
}

// over shows how the run ended, and writes the report.
func (w *watch) over(last observe.Progress, err error, r observe.Report) {
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
		w.app.log.Error("the report could not be written", "reason", err.Error())
		return
	}
	w.app.log.Info("report written", "path", w.flags.Report)
}

// ended is the progress of a run that ended with a command's error.
func ended(p observe.Progress, err error) observe.Progress {
	var interrupted *interruptedError
	p.Reason, p.Paused, p.RemainingSeconds = "", []observe.Outage{}, nil
	switch {
	case err == nil:
		p.State = observe.Complete
		return p
	case errors.As(err, &interrupted), errors.Is(err, context.Canceled):
		p.State = observe.Interrupted
	default:
		p.State = observe.Failed
	}
	p.Reason = err.Error()
	return p
}

// close ends the showing. A run that did not get as far as to be over ended with
// err.
func (w *watch) close(err error) {
	if w.recorder == nil {
		return
	}
	w.recorder.End(ended(w.recorder.Progress(), err))
	if w.server != nil {
		if err := w.server.Close(); err != nil {
			w.app.log.Warn("serving progress ended badly", "reason", err.Error())
		}
	}
	w.recorder.Close()
}

// documentWatch is what is known of a run over documents.
type documentWatch struct {
	run      observe.Run
	progress *pipeline.Progress

	mu     sync.Mutex
	taskID int64
}

// follow has the run with these options watched.
func (d *documentWatch) follow(o *pipeline.Options) {
	o.Progress = d.progress
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

func (d *documentWatch) now() observe.Progress {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.run.Documents(d.progress.Snapshot(), d.taskID)
}

// report is what there is to say of a run that ended with err.
func (d *documentWatch) report(from, to pipeline.Store, r pipeline.Result, next []string) observe.Report {
	out := observe.Report{Progress: d.now(), From: from.Place(), To: to.Place(), Resumed: r.Resumed, Ended: r.Ended, Checkpoint: r.Checkpoint, Next: next}
	if r.Checkpoint != "" {
		out.Journal = pipeline.JournalPath(r.Checkpoint)
	}
	out.Began, out.ElapsedSeconds = r.Began, r.Ended.Sub(r.Began).Seconds()
	out.Documents.Failed, out.Documents.Moved, out.Documents.Total = r.Failed, r.Counts.Moved, r.Documents
	out.Failures = []observe.Failures{}
	for _, g := range r.Failures {
		out.Failures = append(out.Failures, observe.Failures{Class: g.Class, Count: g.Count})
		group := observe.Group{Class: g.Class, Count: g.Count}
		for _, e := range g.Examples {
			group.Examples = append(group.Examples, observe.Example{Document: name(e.Bucket, e.UserID, e.ArchiveID), Stage: e.Stage, Reason: e.Reason})
		}
		out.Groups = append(out.Groups, group)
	}
	for _, p := range r.Elsewhere {
		out.Elsewhere = append(out.Elsewhere, observe.Elsewhere(p))
	}
	return out
}

// treeWatch is what is known of a run over a registry's files.
type treeWatch struct {
	run observe.Run

	mu                  sync.Mutex
	source, destination *metrics.Meter
	at, began           time.Time
	earlier             tree.Counts
	last                tree.Snapshot
}

// meters says who counts what the stores do, now that they are open.
func (t *treeWatch) meters(source, destination *metrics.Meter) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.source, t.destination = source, destination
}

func (t *treeWatch) started(s tree.Start) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.began, t.earlier = time.Now(), s.Counts
	t.at, t.last = t.began, tree.Snapshot{Counts: s.Counts}
}

func (t *treeWatch) report(s tree.Snapshot) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.at, t.last = time.Now(), s
}

// now tells of the last report: there is one every two seconds.
func (t *treeWatch) now() observe.Progress {
	t.mu.Lock()
	defer t.mu.Unlock()
	at := t.at
	if t.began.IsZero() {
		at = time.Now()
	}
	return t.run.Files(t.last, at, t.began, t.earlier, t.source, t.destination)
}

// result is what there is to say of a run that is over.
func (t *treeWatch) result(from, to tree.Store, r tree.Result) observe.Report {
	t.report(tree.Snapshot{Files: r.Files, Counts: r.Counts, Failed: r.Failed})
	out := observe.Report{Progress: t.now(), From: from.Place(), To: to.Place(), Resumed: r.Resumed, Ended: r.Ended, Checkpoint: r.Checkpoint}
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
