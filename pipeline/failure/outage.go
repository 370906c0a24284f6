package failure

import (
	"context"
	"time"

	"github.com/kedge/kedge/drivers"
)

// Outages are those of the stores that do not answer at present, as far as their
// drivers are watched for that.
func Outages[S any](stores ...S) (list []drivers.Outage) {
	for _, s := range stores {
		if watched, ok := any(s).(drivers.Watched); ok {
			if o, out := watched.Outage(); out {
				list = append(list, o)
			}
		}
	}
	return list
}

// GaveUp gives the error of a run of which a store has been given up, nil while
// none has. What else the run met then is only the echo of it: nothing of a
// batch may be recorded before this was looked at, so that its documents do not
// count as failed.
func GaveUp[S any](stores ...S) error {
	for _, o := range Outages(stores...) {
		if o.GaveUp {
			return &GaveUpError{Outage: &o, Last: o.Last.Error()}
		}
	}
	return nil
}

// outagePatience is how long a run that was asked to stop waits for a store that
// does not answer, before it stops at once.
const outagePatience = 2 * time.Second

// StopInOutage ends a run by giveUp, with ErrStalled, when it is asked to stop while
// a store does not answer, so that what is in flight cannot be finished. It returns
// with ctx.
func StopInOutage[S any](ctx context.Context, stop <-chan struct{}, giveUp context.CancelCauseFunc, stores ...S) {
	select {
	case <-ctx.Done():
		return
	case <-stop:
	}
	tick := time.NewTicker(outagePatience)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if len(Outages(stores...)) > 0 {
			giveUp(ErrStalled)
			return
		}
	}
}

// DrainPatience is how long a run that was asked to stop may go without an
// answer of a store, and without ending a batch, before it stops at once.
const DrainPatience = 15 * time.Second

// Drain notices that nothing moves any more in a run that was asked to stop. The zero
// value is ready. Not safe for concurrent use.
type Drain[T comparable] struct {
	since time.Time
	last  T
}

// Stalled takes in how far the run has come, and says whether it has come no farther
// for longer than DrainPatience.
func (d *Drain[T]) Stalled(come T) bool {
	if d.since.IsZero() || come != d.last {
		*d = Drain[T]{since: time.Now(), last: come}
	}
	return time.Since(d.since) > DrainPatience
}
