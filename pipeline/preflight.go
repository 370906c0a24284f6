package pipeline

import (
	"context"
	"errors"
	"io/fs"
	"os"

	"github.com/kedge/kedge/pipeline/preflight"
)

// preflight is how the reasons not to begin are found.
func (m *migration) preflight() preflight.Check {
	return preflight.Check{
		Route: m.route, Catalog: m.cat, Checkpoint: m.Checkpoint, Migration: RecordIdentity(m.Options).Fingerprint,
		KeepSource: m.KeepSource, AllowVolatile: m.AllowVolatile, PageRows: m.limits.PageRows, Log: m.Log,
	}
}

// refuse finds the reasons not to begin at all. Only a probe is written, and
// removed again.
func (m *migration) refuse(ctx context.Context) error {
	if err := m.refuseUntried(ctx); err != nil {
		return err
	}
	if err := m.preflight().RefuseVolatile(ctx); err != nil {
		return err
	}
	if _, err := os.Lstat(m.Checkpoint); errors.Is(err, fs.ErrNotExist) {
		// The first run, certainly: whatever refuses it leaves no file behind.
		if err := m.survey(ctx); err != nil {
			return err
		}
	}
	found, err := m.preflight().Probe(ctx)
	if err != nil {
		return err
	}
	m.since, m.alike.Folds = found.Since, found.Folds || m.alike.Folds
	if m.round.since > 0 && !m.alike.Folds {
		return nil // the round before has looked for the rest
	}
	m.alike, err = m.preflight().Alike(ctx, m.alike.Folds)
	return err
}

// refuseUntried finds those reasons that can be found without writing anything,
// and begins to read the catalog.
func (m *migration) refuseUntried(ctx context.Context) (err error) {
	if err := m.preflight().Untried(ctx); err != nil {
		return err
	}
	m.snapshot, err = m.cat.Snapshot(ctx)
	return err
}
