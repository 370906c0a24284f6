// Package probe finds out, before anything is moved, what only writing shows of two
// stores: whether they are one place under two names.
//
// Two names may be two addresses of one server, a symbolic link, or a bind mount. No
// comparison of configurations finds that, and whoever then deletes the source deletes
// what was moved. So the package puts a small payload to the destination and looks for
// it through the source, at all places where the source may have it. Some sources do not
// distinguish a payload that is missing from one that may not be read. There it goes the
// other way round: it puts something else at the source, and the destination must still
// hold the probe (untold.go).
//
// The probe also shows that the destination can be written and the source can be read,
// what time it is by the destination's clock, and whether the destination takes names
// for one that differ only in case. The package takes the probe away again, also after an
// interrupt. Its key is the same for every run of one migration, so that a run takes away
// what a killed one left.
package probe

import (
	"context"
	"crypto/md5"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"time"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/internal/crash"
	"github.com/kedge/kedge/pipeline/failure"
	"github.com/kedge/kedge/pipeline/folding"
	"github.com/kedge/kedge/pipeline/store"
	"github.com/kedge/kedge/pipeline/survey"
)

// Pair are the two stores of a migration.
type Pair struct {
	Source, Destination store.Store
	// Key is where the probe is put; no document may have it.
	Key drivers.Key
	// KeepSource: nothing is going to be deleted at the source.
	KeepSource bool
}

// Found is what a probe tells of the destination.
type Found struct {
	// Since is when it was put, by the destination's clock; zero where that is not told.
	Since time.Time
	// Folds: names that differ only in case, or in the form of their letters, are one.
	Folds bool
}

// Probe writes a small payload to the destination and looks for it through the
// source. Where that is found the two are one place, and the migration is refused (a
// failure.RefusedError).
func (p Pair) Probe(ctx context.Context) (found Found, err error) {
	src, err := p.Source.URI(p.Key)
	if err != nil {
		return found, err
	}
	dst, err := p.Destination.URI(p.Key)
	if err != nil {
		return found, err
	}
	content := []byte("kedge probe " + rand.Text() + "\n")
	sum := md5.Sum(content)
	payload := drivers.InMemory(content, hex.EncodeToString(sum[:]))
	payload.ReadBack = true // as documents are, so that the driver learns what it may leave out
	if _, err := p.Destination.Put(ctx, dst, payload); err != nil {
		return found, fmt.Errorf("the destination cannot be written: %w", err)
	}
	if info, err := p.Destination.Stat(ctx, dst); err == nil {
		found.Since = info.Modified
	}
	crash.Point("probed")
	same, err := p.holdsAnywhere(ctx, src, content)
	if drivers.KindOf(err) == drivers.Untold {
		same, err = p.holdsByWriting(ctx, src, dst, content)
	}
	if err == nil && !same {
		found.Folds, err = p.destinationFolds(ctx, dst)
	}
	// Also after an interrupt; but then nobody waits long for a store that is down.
	clean, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(failure.DrainPatience, cancel) })()
	if derr := p.Destination.Delete(clean, dst); derr != nil && err == nil {
		err = fmt.Errorf("the probe at the destination cannot be removed: %w", derr)
	}
	if err != nil {
		return found, err
	}
	if same {
		return found, failure.Refused("source and destination are the same place under two names: what is written to %s appears at %s", p.Destination.Place(), p.Source.Place())
	}
	return found, nil
}

// holdsAnywhere is holds for all places that a payload may have at the source: the
// destination may have put it at one that is not the URI's own.
func (p Pair) holdsAnywhere(ctx context.Context, uri string, content []byte) (bool, error) {
	for _, place := range survey.Places(p.Source, uri) {
		if same, err := p.holds(ctx, place, content); same || err != nil {
			return same, err
		}
	}
	return false, nil
}

// destinationFolds says whether the destination takes names for one that differ
// only in case, or in the form of their letters. The probe is there under its URI.
func (p Pair) destinationFolds(ctx context.Context, uri string) (bool, error) {
	folds, _, err := folding.Of(ctx, p.Destination, uri)
	if err != nil || folds {
		return folds, err
	}
	key := p.Key
	key.Bucket += folding.Accented
	if uri, err = p.Destination.URI(key); err != nil {
		return false, nil // no such name can be held
	}
	return folding.Try(ctx, p.Destination, uri, nil)
}

// holds says whether the source holds this content.
func (p Pair) holds(ctx context.Context, uri string, content []byte) (bool, error) {
	r, _, err := p.Source.Get(ctx, uri)
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
