package pipeline

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/kedge/kedge/checkpoint"
	"github.com/kedge/kedge/pipeline/failure"
	"github.com/kedge/kedge/pipeline/survey"
)

// beside is what goes on beside the moving: looking through the catalog where
// that was not done before, and counting what the migration is about.
type beside struct {
	cancel context.CancelFunc
	ended  sync.WaitGroup
	err    error // read after ended
}

// lookBeside begins it, or does it at once where the catalog cannot be read as
// it was while it is changed. before is what earlier runs have done.
func (m *migration) lookBeside(ctx context.Context, before checkpoint.Counts) (*beside, error) {
	if m.purging() || m.round.since > 0 {
		m.snapshot.Close()
		return &beside{cancel: func() {}}, nil // which has done both, or the round before
	}
	if !m.snapshot.Lasting() {
		return &beside{cancel: func() {}}, m.look(ctx, before)
	}
	b := &beside{}
	ctx, b.cancel = context.WithCancel(ctx)
	counted := make(chan struct{})
	b.ended.Go(func() {
		defer close(counted)
		b.err = m.lookAgain(ctx, before)
		// As soon as that can be: the database keeps all old versions of rows for it.
		m.snapshot.Close()
		if b.err != nil && ctx.Err() == nil {
			m.giveUp(b.err)
		}
	})
	if m.result.Resumed {
		return b, nil // the run before has told
	}
	select {
	case <-counted:
	case <-ctx.Done():
	case <-time.After(countPatience):
	}
	return b, nil
}

// countPatience is how long the first document of a new migration waits for the
// count. Most catalogs are counted sooner, and what there is to move, and what
// lies elsewhere, is then told before anything is moved.
const countPatience = time.Second

// lookAttempts is how often the catalog is looked through when that fails, as when
// its session was cut.
const lookAttempts = 5

// lookAgain looks through the catalog, and once more where that fails. What was
// moved before the next attempt is added to what that counts.
func (m *migration) lookAgain(ctx context.Context, before checkpoint.Counts) error {
	again := false
	return m.untilLooked(ctx, func() error {
		if again {
			before, _ = m.progress.Tally()
			next, err := m.cat.Snapshot(ctx)
			if err != nil {
				return err
			}
			m.snapshot.Close()
			m.snapshot = next
		}
		again = true
		return m.look(ctx, before)
	})
}

// findSkipped fails with a SkippedError where the catalog's index led the migration
// past rows.
func (m *migration) findSkipped(ctx context.Context) error {
	return m.untilLooked(ctx, func() error {
		s, err := m.cat.Snapshot(ctx)
		if err != nil {
			return err
		}
		defer s.Close()
		return survey.Skipped(ctx, s, m.selection)
	})
}

// untilLooked looks at the catalog until that does not fail, or is of no use.
func (m *migration) untilLooked(ctx context.Context, look func() error) error {
	for attempt := 1; ; attempt++ {
		err := look()
		var refused *RefusedError
		var skipped *SkippedError
		if err == nil || attempt == lookAttempts || errors.As(err, &refused) || errors.As(err, &skipped) {
			return err
		}
		m.Log.WarnContext(ctx, "the catalog could not be looked through", "attempt", attempt, "reason", err.Error())
		select {
		case <-ctx.Done():
			return err
		case <-time.After(time.Duration(attempt) * time.Second):
		}
	}
}

func (m *migration) look(ctx context.Context, before checkpoint.Counts) error {
	if err := m.survey(ctx); err != nil {
		return err
	}
	return m.count(ctx, before)
}

// survey looks through the whole catalog, unless that was done.
func (m *migration) survey(ctx context.Context) error {
	return m.settled.Look(ctx, m.snapshot, m.src, m.dst)
}

// end waits for it when all is moved. A run that was asked to stop waits for a
// while, one that could not go on does not.
func (b *beside) end(stopped bool, ran error) error {
	if ran != nil {
		b.cancel()
	}
	if stopped {
		defer time.AfterFunc(failure.DrainPatience, b.cancel).Stop()
	}
	b.ended.Wait()
	b.cancel()
	if ran != nil || stopped {
		return ran
	}
	return b.err
}

// count counts what the migration is about, and finds the places elsewhere.
func (m *migration) count(ctx context.Context, before checkpoint.Counts) error {
	moving, elsewhere, err := m.route.Count(ctx, m.snapshot, m.Beside, m.limits.PageRows)
	if err != nil {
		return err
	}
	documents, all := moving.Documents, moving.Bytes
	if !m.route.SamePrefix() {
		documents += before.Moved
		all += before.BytesCounted
	}
	// What the first run counted, unless rows have come since.
	h := m.checkpoint.Header()
	documents, all = max(h.Documents, documents), max(h.Bytes, all)
	m.checkpoint.Recount(documents, all)
	m.progress.Count(Amount{Documents: documents, Bytes: all})
	m.result.Documents, m.result.Elsewhere = documents, elsewhere
	if m.Counted != nil {
		m.Counted(Total{TaskID: m.result.TaskID, Documents: documents, Bytes: moving.Bytes, Elsewhere: elsewhere})
	}
	return nil
}
