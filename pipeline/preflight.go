package pipeline

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/pipeline/catalog"
	"github.com/kedge/kedge/pipeline/failure"
	"github.com/kedge/kedge/pipeline/folding"
	"github.com/kedge/kedge/pipeline/probe"
	"github.com/kedge/kedge/pipeline/survey"
)

// refuse finds the reasons not to begin at all. Only a probe is written, and
// removed again.
func (m *migration) refuse(ctx context.Context) error {
	if err := m.refuseUntried(ctx); err != nil {
		return err
	}
	if err := m.refuseVolatile(ctx); err != nil {
		return err
	}
	if _, err := os.Lstat(m.Checkpoint); errors.Is(err, fs.ErrNotExist) {
		// The first run, certainly: whatever refuses it leaves no file behind.
		if err := m.survey(ctx); err != nil {
			return err
		}
	}
	found, err := probe.Pair{Source: m.src, Destination: m.dst, Key: m.probeKey(), KeepSource: m.KeepSource}.Probe(ctx)
	if err != nil {
		return err
	}
	m.since, m.alike.folds = found.Since, found.Folds || m.alike.folds
	return m.findAlike(ctx)
}

// refuseUntried finds those reasons that can be found without writing anything,
// and begins to read the catalog.
func (m *migration) refuseUntried(ctx context.Context) error {
	if m.src.Place() == m.dst.Place() {
		return failure.Refused("source and destination are the same place, %s: nothing to migrate", m.src.Place())
	}
	if err := m.refuseCheckpoint(); err != nil {
		return err
	}
	for _, bucket := range m.Buckets {
		some, err := m.cat.Page(ctx, catalog.Selection{Buckets: []string{bucket}}, catalog.Position{}, 1)
		if err != nil {
			return err
		}
		if len(some) == 0 {
			return fmt.Errorf("--bucket %s: the catalog has no document in a bucket of that name", bucket)
		}
	}
	if m.purging() && m.route.SamePrefix() {
		return failure.Refused("source and destination give the same URIs, such as %s…: the catalog cannot say which of them holds a document", m.src.Prefix())
	}
	var err error
	m.snapshot, err = m.cat.Snapshot(ctx)
	return err
}

// refuseCheckpoint refuses a checkpoint inside of an archive, where it would be
// a foreign file.
func (m *migration) refuseCheckpoint() error {
	path, err := filepath.Abs(m.Checkpoint)
	if err != nil {
		return fmt.Errorf("find the checkpoint's folder: %w", err)
	}
	for _, s := range []Store{m.src, m.dst} {
		if strings.HasPrefix("file://"+path, s.Prefix()) {
			return failure.Refused("the checkpoint %s lies inside of the archive %s, which must hold nothing else: choose another --checkpoint", path, s.Place())
		}
	}
	return nil
}

// probeKey is where the probe is put; no user of Anchore has such a name. It is
// the same for every run between the two stores, so that a run takes away what a
// killed one left.
func (m *migration) probeKey() drivers.Key {
	return drivers.Key{UserID: "kedge-probe", Bucket: "kedge-probe", ArchiveID: RecordIdentity(m.Options).Fingerprint}
}

// alike is what is known of stores that take different names for one (package
// folding). There two documents can have one place without their URIs saying so:
// the second would overwrite the first, and who deletes the one deletes the other.
type alike struct {
	// dest are the places at the destination that it does not tell apart, source
	// those at the source. Both are nil where names are told apart.
	dest, source *folding.Groups
	// folds: the destination does not tell names apart; sourceFolds: the source.
	folds, sourceFolds bool
}

// findAlike finds the documents whose places a store does not tell apart, before
// anything is moved. It looks through the whole catalog, whatever buckets are asked
// for, but only where a store was found to fold names.
func (m *migration) findAlike(ctx context.Context) (err error) {
	if m.round.since > 0 {
		return nil // the round before has
	}
	if m.alike.folds && !m.purging() {
		if m.alike.dest, err = m.alikeAt(ctx, m.dst, "destination"); err != nil {
			return err
		}
	}
	if m.KeepSource {
		return nil // nothing is deleted there
	}
	if m.alike.sourceFolds, err = m.sourceFolds(ctx); err != nil || !m.alike.sourceFolds {
		return err
	}
	m.alike.source, err = m.alikeAt(ctx, m.src, "source")
	return err
}

// alikeAt finds the places at a store that it does not tell apart.
func (m *migration) alikeAt(ctx context.Context, s Store, side string) (*folding.Groups, error) {
	groups, err := survey.Alike{
		Catalog: m.cat, Store: s, Side: side, File: m.Checkpoint + ".places", PageRows: m.limits.PageRows, SamePrefix: m.route.SamePrefix(),
	}.Find(ctx)
	if err == nil {
		m.Log.WarnContext(ctx, "the "+side+" takes names that differ only in case, or in the form of their letters, for one",
			"place", s.Place(), "places_that_several_documents_have", groups.Len())
	}
	return groups, err
}

// askedOfSource is how many rows at most are looked at to find out whether the
// source folds names.
const askedOfSource = 16

// sourceFolds asks the source for documents that it has under other spellings of
// their names. Nothing is written there. When nothing tells, it is taken to fold.
func (m *migration) sourceFolds(ctx context.Context) (bool, error) {
	page, err := m.cat.Page(ctx, m.selection, catalog.Position{}, askedOfSource)
	if err != nil || len(page) == 0 {
		return false, err
	}
	for _, d := range page {
		if d.NoURI || !m.route.Selected(d) {
			continue
		}
		uri := d.URI
		if m.purging() {
			uri, _ = m.src.URI(d.Key) // selected only if the source can hold it
		}
		if _, err := m.src.Stat(ctx, uri); err != nil {
			if cerr := context.Cause(ctx); cerr != nil {
				return false, cerr
			}
			continue // told when its turn comes
		}
		folds, known, err := folding.Of(ctx, m.src, uri)
		if err != nil || known {
			return folds, err
		}
	}
	return true, nil
}

// volatile lists the places on which the deletion of sources would rely and that
// may not keep what they are given.
func (m *migration) volatile(ctx context.Context) (list []failure.Volatile, err error) {
	reasons, err := m.cat.Volatile(ctx)
	if err != nil {
		return nil, err
	}
	for _, reason := range reasons {
		list = append(list, failure.Volatile{Role: "catalog", Place: m.cat.Place(), Reason: reason})
	}
	if reason := m.dst.Capabilities().Volatile; reason != "" {
		list = append(list, failure.Volatile{Role: "destination", Place: m.dst.Place(), Reason: reason})
	}
	return list, nil
}

// refuseVolatile refuses to delete sources for places that may not keep what they
// are given.
func (m *migration) refuseVolatile(ctx context.Context) error {
	list, err := m.volatile(ctx)
	if err != nil {
		return err
	}
	if err := failure.RefuseVolatile(m.Log, !m.KeepSource && !m.AllowVolatile, list...); err != nil {
		return err
	}
	failure.WarnVolatileCheckpoint(m.Log, m.Checkpoint)
	return nil
}
