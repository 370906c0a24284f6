package canary

import (
	"cmp"
	"context"
	"errors"
	"time"
)

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

// Removed takes in whose sources were deleted since, and asks the destination for a sample
// of them where that is due. An error says that nothing more may be deleted.
func (w *Watch) Removed(ctx context.Context, list []Document) error {
	if !w.add(list) {
		_, err := w.known()
		return err
	}
	over, err := w.myTurn(ctx)
	if err != nil {
		return err
	}
	defer over()
	if w.owed != nil { // it is asked again before anything else is deleted
		return nil
	}
	_, err = w.ask(ctx, w.look)
	return err
}

// add takes them in, and says whether a look is due.
func (w *Watch) add(list []Document) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.removed += int64(len(list))
	for _, d := range list {
		w.sample.add(d)
	}
	if len(list) > 0 && w.began.IsZero() {
		w.began = time.Now()
	}
	if w.ended != nil || w.began.IsZero() || time.Since(w.began) < due(w.looked) {
		return false // began is zero while all that was deleted was gone before
	}
	for w.looked++; time.Since(w.began) >= due(w.looked); w.looked++ {
		continue // looks that were missed are one
	}
	return true
}

// End asks the destination a last time, when nothing is going to be deleted any more, but
// not before Patience has passed since the first deletion, unless Stop is closed. If all is
// there after that time, the canary's payload is kept no longer.
func (w *Watch) End(ctx context.Context) error {
	w.mu.Lock()
	began, ended, kept, removed := w.began, w.ended, w.kept, w.removed
	w.mu.Unlock()
	if ended != nil || !kept && removed == 0 {
		return ended
	}
	over := began.Add(w.Patience)
	if rest := time.Until(over); rest > 0 && !closed(w.Stop) {
		w.waits(ctx, rest)
		if err := pause(ctx, w.Stop, rest); err != nil {
			return err
		}
	}
	early := time.Now().Before(over)
	if err := w.lastLook(ctx); err != nil {
		return w.end(err)
	}
	if early {
		return nil // the next run looks again
	}
	return w.forget()
}

// lastLook asks for what is owed too, and takes no trouble for an answer.
func (w *Watch) lastLook(ctx context.Context) error {
	over, err := w.myTurn(ctx)
	if err != nil {
		return err
	}
	defer over()
	if failed, err := w.askAgain(ctx); failed != nil || err != nil {
		return cmp.Or(err, failed)
	}
	return w.look(ctx)
}

// look asks for the canary and the sample.
func (w *Watch) look(ctx context.Context) error {
	w.mu.Lock()
	canary, known, list := w.canary, !w.proved.IsZero(), w.sample.all()
	w.mu.Unlock()
	if known {
		gone, err := w.gone(ctx, canary)
		if err != nil {
			return err
		}
		if gone {
			return w.lose(w.putBack(ctx, w.File))
		}
	}
	for _, d := range list {
		gone, err := w.gone(ctx, d)
		if err != nil {
			return err
		}
		if gone {
			return w.lose(&LostError{Document: d, Others: true})
		}
	}
	return nil
}

// end notes why nothing more may be deleted, if there is an error.
func (w *Watch) end(err error) error {
	var lost *LostError
	if errors.As(err, &lost) { // it is noted
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ended == nil {
		w.ended = err
	}
	return w.ended
}
