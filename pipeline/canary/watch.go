package canary

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
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
	// Meant is the payload that is asked for at the source, nil where the URI tells.
	Meant *drivers.Meant
	// Back is the URI at the source under which it may be put back, "" where it must not be.
	Back string
	// MD5, in lower-case hex, and Bytes are of the payload at the destination; "" and -1
	// where that is not known.
	MD5   string
	Bytes int64
}

// Options say what is watched.
type Options struct {
	Source, Destination drivers.Driver
	// File is where the canary's payload is kept; it ends in Ending.
	File string
	// Patience is how long after the first deletion the destination is asked at least, before
	// all is said to be well. For a fifth of it nothing else is deleted. 0: nothing waits.
	Patience time.Duration
	// Stop, when it is closed, ends waits. nil: never.
	Stop <-chan struct{}
	// Wanted says whether a document is still to be at the destination: somebody may have
	// deleted or replaced it meanwhile. nil: always.
	Wanted func(ctx context.Context, d Document) (bool, error)
	// LooksOnly has Recover tell of what it finds, and change nothing.
	LooksOnly bool
	Log       *slog.Logger
}

// Deletion is how a caller's documents are deleted, each given by its index.
type Deletion struct {
	// Delete deletes the source. An error says that it may be there still.
	Delete func(ctx context.Context, i int) error
	// Leave notes that the source stays, and why.
	Leave func(i int, reason error)
}

// ErrStopped ends a run that was asked to stop while it waited to see what its first
// deletion does. The next run looks after it.
var ErrStopped = fmt.Errorf("stopped before it was known whether the first deletion reaches the destination: %w", context.Canceled)

// Watch watches over the deletions of one run. Safe for concurrent use.
type Watch struct {
	Options
	// turn is held by whoever has the canary in work.
	turn chan struct{}

	mu      sync.Mutex
	kept    bool      // this run has written the file
	canary  Document  // of which it is known that deleting its source has left it
	proved  time.Time // when that was known; zero before
	began   time.Time // when the first source was deleted
	looked  int       // how many of the later looks there were
	removed int64
	sample  sample
	ended   error // why nothing more may be deleted
	// owed is what the destination did not answer because it was in trouble. Nothing more
	// is deleted before it has. It changes only in a turn.
	owed question
}

// question is what the destination is asked. An error says that all is not well, or that
// there was no answer.
type question func(context.Context) error

// New makes a Watch, which has not deleted anything.
func New(o Options) *Watch {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	o.File = filepath.Clean(o.File)
	return &Watch{Options: o, turn: make(chan struct{}, 1)}
}

// First has documents' sources deleted one by one, the shortest document first, until it
// is known of one that the deletion leaves it at the destination, or was known before. It
// gives the indexes of the others, which may be deleted together. Whoever calls meanwhile
// waits. An error, such as a LostError, says that nothing more may be deleted.
func (w *Watch) First(ctx context.Context, list []Document, how Deletion) (rest []int, err error) {
	rest = byLength(list)
	for len(rest) > 0 {
		known, failed, err := w.one(ctx, list[rest[0]], rest[0], how)
		if known || err != nil {
			return rest, err
		}
		rest = rest[1:]
		if failed != nil { // a store is at fault: the others would fail in the same way
			for _, i := range rest {
				how.Leave(i, fmt.Errorf("not tried after another one: %w", failed))
			}
			return nil, nil
		}
	}
	return nil, nil
}

// Known says whether everything may be deleted.
func (w *Watch) Known() bool {
	known, err := w.known()
	return known && err == nil
}

func (w *Watch) known() (bool, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return !w.proved.IsZero(), w.ended
}

// one deletes one source, unless there is no need to any more. failed is a store's fault,
// for which nothing was deleted.
func (w *Watch) one(ctx context.Context, d Document, i int, how Deletion) (known bool, failed, err error) {
	over, err := w.myTurn(ctx)
	if err != nil {
		return false, nil, err
	}
	defer over()
	if failed, err := w.askAgain(ctx); failed != nil || err != nil {
		if failed != nil {
			how.Leave(i, failed)
		}
		return false, failed, err
	}
	if known, err := w.known(); known || err != nil {
		return known, nil, err
	}
	if err := context.Cause(ctx); err != nil {
		return false, nil, err
	}
	held, err := w.keepWhatIsWanted(ctx, d)
	var left leftError
	switch {
	case err == nil:
		failed, err = w.try(ctx, held, i, how)
	case context.Cause(ctx) != nil:
		err = context.Cause(ctx)
	case errors.Is(err, errUnwanted):
		return false, fault(w.deleteUnwanted(ctx, i, how)), nil
	case errors.As(err, &left):
		how.Leave(i, left.error)
		return false, fault(left.error), nil
	}
	if err != nil {
		err = w.end(err) // before another one's turn comes: the file must stay as it is
	}
	return false, failed, err
}

// try deletes the source of a document that is kept, and looks what became of it.
func (w *Watch) try(ctx context.Context, held Document, i int, how Deletion) (failed, err error) {
	w.mu.Lock()
	w.kept = true
	w.mu.Unlock()
	before := w.atSource(ctx, held)
	deleted := how.Delete(ctx, i)
	if deleted == nil {
		w.deletedOne(held, before == nil)
	}
	// Also one whose deletion failed may be gone.
	waits := drivers.KindOf(before) != drivers.NotFound && (deleted == nil || w.atSource(ctx, held) != nil)
	shows := before == nil && deleted == nil // else it shows nothing that it is there
	failed, err = w.ask(ctx, func(ctx context.Context) error {
		there, err := w.settle(ctx, held, waits)
		if err == nil && there && shows {
			w.prove(held)
		}
		return err
	})
	return cmp.Or(failed, fault(deleted)), err
}

// prove notes of which document it is known that the deletion has left it.
func (w *Watch) prove(d Document) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.canary, w.proved = d, time.Now()
}

// deletedOne notes that the source of one document was deleted, if it was there.
func (w *Watch) deletedOne(d Document, wasThere bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.removed++
	w.sample.add(d)
	if wasThere && w.began.IsZero() {
		w.began = time.Now()
	}
}

// atSource asks the source for a document.
func (w *Watch) atSource(ctx context.Context, d Document) error {
	if d.Meant != nil {
		ctx = drivers.WithMeant(ctx, *d.Meant)
	}
	_, err := w.Source.Stat(drivers.WithFresh(ctx), d.Source)
	return err
}

// settle asks for the canary at once, and if it waits, until its time is over. It is there
// at the end, or nobody wants it any more, which shows nothing.
func (w *Watch) settle(ctx context.Context, canary Document, waits bool) (there bool, err error) {
	stop := w.Stop
	until := time.Now()
	if waits {
		until = until.Add(w.Patience / 5)
	}
	for wait := w.Patience / 50; ; wait *= 2 {
		found, err := w.find(ctx, canary)
		switch {
		case err != nil || found == unwanted:
			return false, err
		case found == missing:
			return false, w.lose(w.putBack(ctx, w.File))
		}
		rest := time.Until(until)
		if rest <= 0 {
			return true, nil
		}
		if closed(stop) {
			if rest > time.Second {
				return false, ErrStopped
			}
			stop = nil
		}
		if err := pause(ctx, stop, min(max(wait, time.Millisecond), rest)); err != nil {
			return false, err
		}
	}
}

// certain is how long is waited between the looks after which a document counts as gone:
// somebody who deletes it, payload first, has deleted its row by then.
var certain = []time.Duration{time.Second, 2 * time.Second}

// finding is what a look at the destination finds of a document.
type finding uint8

const (
	present  finding = iota // something is there
	unwanted                // nothing is there, and nobody wants it
	missing                 // nothing is there of what is wanted
)

// find looks for a document at the destination.
func (w *Watch) find(ctx context.Context, d Document) (finding, error) {
	for n := 0; ; n++ {
		_, err := w.Destination.Stat(drivers.WithFresh(ctx), d.Destination)
		if drivers.KindOf(err) != drivers.NotFound {
			if err != nil {
				err = fmt.Errorf("ask the destination for %s, whose source was deleted: %w", d.Name, err)
			}
			return present, err
		}
		if w.Wanted != nil {
			if wanted, err := w.Wanted(ctx, d); err != nil || !wanted {
				return unwanted, err
			}
		}
		if n == len(certain) {
			return missing, nil
		}
		if err := pause(ctx, nil, certain[n]); err != nil {
			return unwanted, err
		}
	}
}

// gone says whether nothing is at the destination of a document that is wanted there.
func (w *Watch) gone(ctx context.Context, d Document) (bool, error) {
	found, err := w.find(ctx, d)
	return found == missing, err
}

// lose notes that deletions reach the destination.
func (w *Watch) lose(lost *LostError) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	lost.Removed = w.removed
	lost.Others = lost.Others || lost.Removed > 1
	var already *LostError
	if errors.As(w.ended, &already) {
		return w.ended
	}
	w.ended = lost
	if lost.Others {
		if err := w.note(lost); err != nil {
			return fmt.Errorf("%w (and that could not be noted for the next run: %w)", lost, err)
		}
	}
	return lost
}

// pause waits, unless stop is closed; an error is that of ctx.
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

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
