package pipeline

import (
	"context"
	"time"

	"github.com/kedge/kedge/pipeline/concurrency"
)

// changeMargin is how far back a round looks for changed rows before the last change that
// the one before has seen: the clocks of Anchore's hosts may differ, and a row may become
// visible long after its time was taken.
const changeMargin = 10 * time.Minute

// Follow copies (Options.Job is Copy) in rounds until stop is closed, or for one round
// where o.FollowEvery is 0. The first round goes through the whole catalog. A later one
// asks the database whether the table was changed at all, and only then for the rows that
// were; between rounds nobody is kept from the migration lock. Its result is that of the
// last round.
func Follow(ctx context.Context, stop <-chan struct{}, o Options) (Result, error) {
	m := newMigration(o, stop)
	pulse, err := m.cat.Pulse(ctx)
	if err != nil {
		return m.result, err
	}
	for {
		result, err := m.run(ctx)
		if o.Round != nil && result.TaskID != 0 {
			o.Round(result.Round)
		}
		if err != nil || o.FollowEvery == 0 || result.Interrupted {
			return result, err
		}
		next, err := m.untilChanged(ctx, pulse)
		if err != nil || concurrency.Closed(stop) {
			return result, err
		}
		pulse = next
		m = m.nextRound(stop)
	}
}

// followAtLeast is how often a round looks for changed rows though the database says
// that there are none: what it counts may come late, or never.
const followAtLeast = 15 * time.Minute

// followShare is how many times as long as a round has taken the next one waits at least,
// so that looking for changes is a small part of what the database does.
const followShare = 10

// untilChanged returns when the catalog may have changed, or the run is to stop, with the
// catalog's new pulse.
func (m *migration) untilChanged(ctx context.Context, before string) (pulse string, err error) {
	every := m.FollowEvery
	if m.round.since > 0 {
		every = max(every, min(followShare*m.round.looked, followAtLeast))
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-m.stop:
			return before, nil
		case <-ctx.Done():
			return before, context.Cause(ctx)
		case <-tick.C:
		}
		pulse, err = m.cat.Pulse(ctx)
		late := time.Since(m.round.Ended) > followAtLeast
		if err != nil || late || pulse == "" || pulse != before || m.result.Failed+m.round.Changed > 0 {
			return pulse, err
		}
	}
}

// nextRound makes the run of the next round: it knows what this one has found out of the
// catalog and the stores.
func (m *migration) nextRound(stop <-chan struct{}) *migration {
	o := m.Options
	o.WaitForLock, o.Progress, o.Started = true, m.progress, nil
	next := newMigration(o, stop)
	next.settled, next.alike, next.pace, next.rest = m.settled, m.alike, m.pace, m.rest
	latest := m.round.Began.Unix()
	if seen := m.round.latest; seen > m.round.since {
		latest = min(latest, seen)
	}
	next.round.since = max(latest-int64(changeMargin/time.Second), 1)
	return next
}
