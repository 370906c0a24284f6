package canary

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/kedge/kedge/drivers"
)

// Document is one that is moved, and whose source is, or was, deleted.
type Document struct {
	// Name is how messages call it.
	Name string
	// Key and Row are its primary key in a catalog; empty without one.
	Key drivers.Key
	Row string
	// Source and Destination are its URIs.
	Source, Destination string
	// Back is the URI at the source under which it may be put back, "" where it must not be.
	Back string
	// Place is the destination, as its driver names it.
	Place string
	// MD5, in lower-case hex, and Bytes are of the payload at the destination; "" and -1
	// where that is not known.
	MD5   string
	Bytes int64
}

// Options say what is watched.
type Options struct {
	Source, Destination drivers.Driver
	// File is where the canary's payload is kept.
	File string
	// Patience is how long after the first deletion the destination is asked at least, before
	// all is said to be well. For a fifth of it nothing else is deleted. 0: nothing waits.
	Patience time.Duration
	// Wanted says whether a document is still to be at the destination: somebody may have
	// deleted or replaced it meanwhile. nil: always.
	Wanted func(ctx context.Context, d Document) (bool, error)
	Log    *slog.Logger
}

// Watch watches over the deletions of one run. Safe for concurrent use.
type Watch struct {
	Options
	// turn is held by whoever has the canary in work.
	turn chan struct{}

	mu      sync.Mutex
	canary  Document  // of which it is known that deleting its source has left it
	proved  time.Time // when that was known; zero before
	began   time.Time // when its source was deleted
	looked  int       // how many of the later looks there were
	removed int64
	sample  sample
	lost    error
}

// New makes a Watch, which has not deleted anything.
func New(o Options) *Watch {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Watch{Options: o, turn: make(chan struct{}, 1)}
}

// laterLooks are when, after the first deletion, the destination is asked again for the
// canary and the sample; then each time as long as the last of them after the one before.
var laterLooks = []time.Duration{time.Second, 3 * time.Second, 10 * time.Second, 30 * time.Second, 100 * time.Second, 5 * time.Minute}

// due is when the n-th of the later looks is due, after the first deletion.
func due(n int) time.Duration {
	if n < len(laterLooks) {
		return laterLooks[n]
	}
	last := laterLooks[len(laterLooks)-1]
	return last * time.Duration(n-len(laterLooks)+2)
}

// First has one document's source deleted before all others of the run, and says which of
// the list that was; -1 where an earlier call has, so that all of them may be deleted.
// remove deletes the source of the document at an index, and says whether it is gone.
// Whoever calls meanwhile waits. A LostError says that nothing more may be deleted.
func (w *Watch) First(ctx context.Context, list []Document, remove func(ctx context.Context, i int) (gone bool)) (int, error) {
	if known, err := w.known(); known || err != nil || len(list) == 0 {
		return -1, err
	}
	select {
	case w.turn <- struct{}{}:
		defer func() { <-w.turn }()
	case <-ctx.Done():
		return -1, context.Cause(ctx)
	}
	if known, err := w.known(); known || err != nil {
		return -1, err
	}
	i, held, err := w.choose(ctx, list)
	if err != nil || i < 0 {
		return -1, err
	}
	_, there := w.Source.Stat(drivers.WithMeant(ctx, drivers.Meant{MD5: held.MD5}), held.Source)
	if !remove(ctx, i) {
		return i, nil // nothing was deleted, and nothing is known
	}
	if err := w.settle(ctx, held); err != nil {
		return i, err
	}
	if there == nil { // else it shows nothing that nothing was deleted
		w.mu.Lock()
		w.canary, w.proved = held, time.Now()
		w.mu.Unlock()
	}
	return i, nil
}

// known says whether the canary is proved, or that it, or a document since, is lost.
func (w *Watch) known() (bool, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return !w.proved.IsZero(), w.lost
}

// choose keeps the payload of the shortest document of a list; -1 where none of them is
// wanted at the destination any more.
func (w *Watch) choose(ctx context.Context, list []Document) (int, Document, error) {
	for _, i := range byLength(list) {
		held, err := w.keep(ctx, list[i])
		if err == nil {
			return i, held, nil
		}
		if wanted, werr := w.wanted(ctx, list[i]); wanted || werr != nil {
			return -1, Document{}, err
		}
	}
	return -1, Document{}, nil
}

// settle asks for the canary at once, and until its time is over.
func (w *Watch) settle(ctx context.Context, canary Document) error {
	w.mu.Lock()
	if w.removed++; w.began.IsZero() {
		w.began = time.Now()
	}
	w.mu.Unlock()
	until := time.Now().Add(w.Patience / 5)
	for wait := w.Patience / 50; ; wait *= 2 {
		there, err := w.there(ctx, canary)
		if err != nil {
			return err
		}
		if !there {
			return w.lose(w.putBack(ctx, canary))
		}
		if !time.Now().Before(until) {
			return nil
		}
		if err := pause(ctx, nil, min(wait, time.Until(until))); err != nil {
			return err
		}
	}
}

// Removed takes in whose sources were deleted since, and asks the destination for a sample
// of them where that is due. A LostError says that nothing more may be deleted.
func (w *Watch) Removed(ctx context.Context, list []Document) error {
	w.mu.Lock()
	if w.lost != nil {
		defer w.mu.Unlock()
		return w.lost
	}
	w.removed += int64(len(list))
	for _, d := range list {
		w.sample.add(d)
	}
	if w.proved.IsZero() || time.Since(w.began) < due(w.looked) {
		w.mu.Unlock()
		return nil
	}
	for w.looked++; time.Since(w.began) >= due(w.looked); w.looked++ {
		continue // looks that were missed are one
	}
	w.mu.Unlock()
	return w.look(ctx)
}

// End asks the destination a last time, when nothing is going to be deleted any more, but
// not before Patience has passed since the first deletion, unless stop is closed. If all is
// there the canary's payload is kept no longer.
func (w *Watch) End(ctx context.Context, stop <-chan struct{}) error {
	w.mu.Lock()
	began, lost := w.began, w.lost
	w.mu.Unlock()
	if lost != nil || began.IsZero() {
		return lost
	}
	if err := pause(ctx, stop, time.Until(began.Add(w.Patience))); err != nil {
		return err
	}
	if err := w.look(ctx); err != nil {
		return err
	}
	return w.forget()
}

// look asks for the canary and the sample.
func (w *Watch) look(ctx context.Context) error {
	w.mu.Lock()
	canary, known, list := w.canary, !w.proved.IsZero(), w.sample.all()
	w.mu.Unlock()
	if known {
		there, err := w.there(ctx, canary)
		if err != nil {
			return err
		}
		if !there {
			return w.lose(w.putBack(ctx, canary))
		}
	}
	for _, d := range list {
		there, err := w.there(ctx, d)
		if err != nil {
			return err
		}
		if !there {
			lost := &LostError{Document: d, Gone: 1}
			if known {
				w.safe(ctx, canary)
			}
			return w.lose(lost)
		}
	}
	return nil
}

// safe puts the canary back where it is gone too; it is in a file yet.
func (w *Watch) safe(ctx context.Context, canary Document) {
	if there, err := w.there(ctx, canary); err == nil && !there {
		if lost := w.putBack(ctx, canary); lost.Err != nil {
			w.Log.ErrorContext(ctx, "the first document whose source was deleted is lost", "document", canary.Name, "uri", "file://"+w.File, "reason", lost.Err.Error())
		}
	}
}

// lose notes that deletions reach the destination.
func (w *Watch) lose(lost *LostError) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	lost.Removed = w.removed
	if w.lost == nil {
		w.lost = lost
	}
	return w.lost
}

// pause waits; an error is that of ctx.
func pause(ctx context.Context, stop <-chan struct{}, d time.Duration) error {
	if d <= 0 {
		return context.Cause(ctx)
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-stop:
	case <-ctx.Done():
	}
	return context.Cause(ctx)
}
