package tree

import (
	"context"
	"time"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/pipeline"
)

// outages are those of the stores that do not answer at present.
func (m *migration) outages() (list []drivers.Outage) {
	for _, s := range []Store{m.Source, m.Destination} {
		if watched, ok := s.(drivers.Watched); ok {
			if o, out := watched.Outage(); out {
				list = append(list, o)
			}
		}
		if m.alone {
			break
		}
	}
	return list
}

// gaveUp gives the error of a run of which a store has been given up, nil while
// none has. What else the run met then is only the echo of it.
func (m *migration) gaveUp() error {
	for _, o := range m.outages() {
		if o.GaveUp {
			return &pipeline.GaveUpError{Outage: &o, Last: o.Last.Error()}
		}
	}
	return nil
}

// outagePatience is how long a run that was asked to stop waits for a store that
// does not answer, before it stops at once.
const outagePatience = 2 * time.Second

// stopInOutage ends a run by giveUp when it is asked to stop while a store does
// not answer, so that what is in flight cannot be finished. It returns with ctx.
func (m *migration) stopInOutage(ctx context.Context, giveUp context.CancelCauseFunc) {
	select {
	case <-ctx.Done():
		return
	case <-m.stop:
	}
	tick := time.NewTicker(outagePatience)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if len(m.outages()) > 0 {
			giveUp(pipeline.ErrStalled)
			return
		}
	}
}
