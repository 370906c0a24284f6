package pipeline

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"crypto/md5"

	"github.com/kedge/kedge/checkpoint"
	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/internal/crash"
	"github.com/kedge/kedge/pipeline/catalog"
	"github.com/kedge/kedge/pipeline/failure"
	"github.com/kedge/kedge/pipeline/folding"
	"github.com/kedge/kedge/pipeline/survey"
)

// refuse finds the reasons not to begin at all. Only a probe is written, and
// removed again.
func (m *migration) refuse(ctx context.Context) error {
	if err := m.refuseUntried(ctx); err != nil {
		return err
	}
	if _, err := os.Lstat(m.Checkpoint); errors.Is(err, fs.ErrNotExist) {
		// The first run, certainly: whatever refuses it leaves no file behind.
		if err := m.survey(ctx); err != nil {
			return err
		}
	}
	if err := m.probe(ctx); err != nil {
		return err
	}
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
	if m.Purge && m.samePrefix() {
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
// the same for every run of one migration, so that a run takes away what a
// killed one left.
func (m *migration) probeKey() drivers.Key {
	return drivers.Key{UserID: "kedge-probe", Bucket: "kedge-probe", ArchiveID: m.identity().Fingerprint}
}

// probe writes a small payload to the destination and looks for it through the
// source. Two stores may be one place under two names (two addresses of one
// server, a symbolic link, a bind mount), and then deleting the source would
// delete what was moved. It also shows, before the start, that the destination
// can be written and the source can be read.
func (m *migration) probe(ctx context.Context) error {
	key := m.probeKey()
	src, err := m.src.URI(key)
	if err != nil {
		return err
	}
	dst, err := m.dst.URI(key)
	if err != nil {
		return err
	}
	content := []byte("kedge probe " + rand.Text() + "\n")
	sum := md5.Sum(content)
	payload := drivers.InMemory(content, hex.EncodeToString(sum[:]))
	payload.ReadBack = true // as documents are, so that the driver learns what it may leave out
	if _, err := m.dst.Put(ctx, dst, payload); err != nil {
		return fmt.Errorf("the destination cannot be written: %w", err)
	}
	if info, err := m.dst.Stat(ctx, dst); err == nil {
		m.since = info.Modified
	}
	crash.Point("probed")
	same, err := m.holdsAnywhere(ctx, src, content)
	if drivers.KindOf(err) == drivers.Untold {
		same, err = m.holdsByWriting(ctx, src, dst, content)
	}
	if err == nil && !same {
		m.alike.folds, err = m.destinationFolds(ctx, key, dst)
	}
	// Also after an interrupt; but then nobody waits long for a store that is down.
	clean, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(drainPatience, cancel) })()
	if derr := m.dst.Delete(clean, dst); derr != nil && err == nil {
		err = fmt.Errorf("the probe at the destination cannot be removed: %w", derr)
	}
	if err != nil {
		return err
	}
	if same {
		return failure.Refused("source and destination are the same place under two names: what is written to %s appears at %s", m.dst.Place(), m.src.Place())
	}
	return nil
}

// holdsAnywhere is holds for all places that a payload may have at the source: the
// destination may have put it at one that is not the URI's own.
func (m *migration) holdsAnywhere(ctx context.Context, uri string, content []byte) (bool, error) {
	for _, place := range survey.Places(m.src, uri) {
		if same, err := m.holds(ctx, place, content); same || err != nil {
			return same, err
		}
	}
	return false, nil
}

// destinationFolds says whether the destination takes names for one that differ
// only in case, or in the form of their letters. The probe is there under its URI.
func (m *migration) destinationFolds(ctx context.Context, key drivers.Key, uri string) (bool, error) {
	folds, _, err := folding.Of(ctx, m.dst, uri)
	if err != nil || folds {
		return folds, err
	}
	key.Bucket += folding.Accented
	if uri, err = m.dst.URI(key); err != nil {
		return false, nil // no such name can be held
	}
	return folding.Try(ctx, m.dst, uri, nil)
}

// holds says whether the source holds this content.
func (m *migration) holds(ctx context.Context, uri string, content []byte) (bool, error) {
	r, _, err := m.src.Get(ctx, uri)
	if drivers.KindOf(err) == drivers.NotFound {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("the source cannot be read: %w", err)
	}
	defer r.Close()
	found, err := io.ReadAll(io.LimitReader(r, int64(len(content))+1))
	if err != nil {
		return false, fmt.Errorf("the source cannot be read: %w", err)
	}
	return string(found) == string(content), nil
}

// identity tells this migration from others: same catalog, places, filters and
// treatment of the source.
func (m *migration) identity() checkpoint.Identity {
	return Identity(m.Options)
}

// Identity is the identity of the migration that these options describe, for
// naming its checkpoint. It opens nothing.
func Identity(o Options) checkpoint.Identity {
	buckets := slices.Clone(o.Buckets)
	slices.Sort(buckets)
	buckets = slices.Compact(buckets)
	description := fmt.Sprintf("%s -> %s of %s", o.Source.Place(), o.Destination.Place(), o.Catalog.Place())
	if o.Purge {
		description = "purge of " + description
	}
	if len(buckets) > 0 {
		description += fmt.Sprintf(", buckets %q", buckets)
	}
	if o.KeepSource {
		description += ", --nodelete"
	}
	if o.Elsewhere == ElsewhereMove {
		description += ", --elsewhere=move"
	}
	return checkpoint.Identify(description)
}
