package pipeline

import (
	"context"
	"time"

	"github.com/kedge/kedge/drivers"
)

// outages are those of the stores that do not answer at present.
func outages(stores ...Store) (list []drivers.Outage) {
	for _, s := range stores {
		if o, ok := s.outage(); ok {
			list = append(list, o)
		}
	}
	return list
}

// gaveUp gives the error of a run of which a store has been given up, nil while
// none has. What else the run met then is only the echo of it: nothing of a
// batch may be recorded before this was looked at, so that its documents do not
// count as failed.
func gaveUp(stores ...Store) error {
	for _, o := range outages(stores...) {
		if o.GaveUp {
			return &GaveUpError{Outage: &o, Last: o.Last.Error()}
		}
	}
	return nil
}

// outagePatience is how long a run that was asked to stop waits for a store that
// does not answer, before it stops at once.
const outagePatience = 2 * time.Second

// stopInOutage ends a run by giveUp when it is asked to stop while a store does
// not answer, so that what is in flight cannot be finished. It returns with ctx.
func stopInOutage(ctx context.Context, stop <-chan struct{}, giveUp context.CancelCauseFunc, stores ...Store) {
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
		if len(outages(stores...)) > 0 {
			giveUp(ErrStalled)
			return
		}
	}
}
