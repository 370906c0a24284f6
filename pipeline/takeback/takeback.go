package takeback

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/internal/crash"
	"github.com/kedge/kedge/pipeline/catalog"
	"github.com/kedge/kedge/pipeline/copies"
	"github.com/kedge/kedge/pipeline/store"
	"github.com/kedge/kedge/pipeline/survey"
)

// Remover removes what was put in vain. Safe for concurrent use.
type Remover struct {
	Catalog             catalog.Catalog
	Source, Destination store.Store
	Settled             *survey.Settlement
	// Record is the record of copies, nil where there is none. Returning says that it is
	// that of the way back: what it has was put by Anchore.
	Record    *copies.Record
	Returning bool
	// Since is when this pass over the catalog began, by the destination's own clock: when
	// the probe was put. Zero where that is not known.
	Since time.Time
}

// Put is what was put for a document, or may have been.
type Put struct {
	// Row has the document's key and name, and its URI at the source.
	Row catalog.Document
	// Place is its URI at the destination. Shared: it is the document's own at the source,
	// or other rows may have it too, so that nothing is taken back there.
	Place  string
	Shared bool
	// Receipt is what the destination told of the put, Copy what the record of copies has;
	// as far as there are any.
	Receipt drivers.Receipt
	Copy    copies.Copy
}

// Why something is left.
var (
	errReplaced = errors.New("it is not what was put")
	errNamed    = errors.New("a row names it that is not found by its key, or one names a place that begins so (if nobody deleted the row: REINDEX TABLE archive_metadata)")
	errYoung    = errors.New("it is too young to tell whether an earlier run has put it")
	errOlder    = errors.New("nothing shows that this migration has put it")
	errSource   = errors.New("it is the source's own file")
)

// Foreign says of an error of Remove that what is left is surely not kedge's: no other run
// will find that it is.
func Foreign(err error) bool {
	return errors.Is(err, errReplaced) || errors.Is(err, errOlder) || errors.Is(err, errSource)
}

// TakeBack removes what was put for a document that fails for this reason, so that nothing
// is left behind at the destination; not where a row names that place. It gives the
// reason, with what is left where something is.
func (r Remover) TakeBack(ctx context.Context, p Put, reason error) error {
	if p.Shared {
		return reason
	}
	rows, err := r.Catalog.Rows(ctx, []drivers.Key{p.Row.Key})
	if err != nil {
		return left(reason, p, err)
	}
	found := false
	for _, row := range rows {
		if row.URI == p.Place {
			return reason
		}
		found = found || row.Name == p.Row.Name
	}
	if !found {
		// A damaged index leads past rows, and then the row may name this place. Count does
		// not go by an index.
		named, err := r.Catalog.Count(ctx, catalog.Selection{Prefix: p.Place})
		if err == nil && named.Documents > 0 {
			err = errNamed
		}
		if err != nil {
			return left(reason, p, err)
		}
	}
	if err := r.Remove(ctx, p); err != nil {
		return left(reason, p, err)
	}
	return reason
}

func left(reason error, p Put, err error) error {
	return fmt.Errorf("%w; what was put at %s is left there: %w", reason, p.Place, err)
}

// TakeBackRotten takes back the copy of a rotten payload, with this MD5, that was put
// before it was known to be rotten: by a killed run, or by an attempt whose answer was
// lost. Where it cannot be told whether there is one, the reason says so.
func (r Remover) TakeBackRotten(ctx context.Context, p Put, digest string, reason error) error {
	if !r.Destination.Capabilities().TakesUnhashed {
		return reason
	}
	there, err := r.Destination.Stat(ctx, p.Place)
	if err == nil {
		if !r.putSince(there) && !(r.Record != nil && !r.Returning && r.ours(there) == nil) {
			return reason
		}
		var held string
		if held, err = store.Digest(ctx, r.Destination, p.Place); err == nil && held != digest {
			return reason
		}
	}
	switch {
	case drivers.KindOf(err) == drivers.NotFound:
		return reason
	case err != nil:
		return fmt.Errorf("%w; whether a copy of it is left at %s cannot be told: %w", reason, p.Place, err)
	}
	p.Receipt = drivers.Receipt{Version: there.Version, ProvenMD5: there.MD5}
	return r.TakeBack(ctx, p, reason)
}

// Remove removes what this migration has put at a place that no row of the catalog names.
// It fails where somebody else may have put there what there is.
func (r Remover) Remove(ctx context.Context, p Put) error {
	if err := r.Settled.Wait(ctx); err != nil {
		return err
	}
	if r.Settled.IsOdd(p.Place) || r.Returning && p.Copy.State == copies.Copied {
		return nil // another row's; or Anchore's own, which was never put by kedge
	}
	if r.Record != nil && p.Copy.State == copies.Copied {
		// A copy that may have been removed is none.
		if err := r.Record.Doubt([]copies.Copy{p.Copy}).Wait(ctx); err != nil {
			return err
		}
	}
	// Where nothing is, Delete removes what a killed put has left beside the place.
	if err := r.removable(ctx, p); err != nil && drivers.KindOf(err) != drivers.NotFound {
		return err
	}
	return r.Destination.Delete(ctx, p.Place)
}

// removable says why what is at a place must not be removed, as far as the stores tell:
// because somebody has replaced what was put, or because it is the source under another
// name. Kind NotFound where nothing is there.
func (r Remover) removable(ctx context.Context, p Put) error {
	there, err := r.Destination.Stat(ctx, p.Place)
	if err != nil {
		return err
	}
	if crash.Mutated("foreign-copy-removed") {
		return nil
	}
	if r.mayBeServices(p, there) {
		return errYoung
	}
	told, err := r.asPut(ctx, p, there)
	switch {
	case err != nil:
		return err
	case told:
	case p.Copy.State == copies.Intended:
		if err := r.putBefore(ctx, p, there); err != nil {
			return err
		}
	case !r.putSince(there):
		return errOlder
	}
	return r.notTheSource(ctx, p, there)
}

// asPut fails with errReplaced where something tells that it is not what was put. told is
// false where nothing tells either way.
func (r Remover) asPut(ctx context.Context, p Put, there drivers.Info) (told bool, err error) {
	if same, known := p.Copy.Destination.SameVersion(there.Version); known {
		if told = true; !same {
			return true, errReplaced
		}
	}
	for _, mark := range [][2]string{{p.Receipt.Version, there.Version}, {p.Receipt.ProvenMD5, there.MD5}} {
		if mark[0] == "" || mark[1] == "" {
			continue
		}
		if told = true; mark[0] != mark[1] {
			return true, errReplaced
		}
	}
	if digest := p.Copy.Destination.Digest; !told && digest != "" {
		held, err := store.Digest(ctx, r.Destination, p.Place)
		if err != nil {
			return false, err
		}
		if told = true; held != digest {
			return true, errReplaced
		}
	}
	return told, nil
}

// notTheSource fails where what is at the place is the source under another name, as where
// a directory of the one store is mounted inside of the other.
func (r Remover) notTheSource(ctx context.Context, p Put, there drivers.Info) error {
	if !r.Source.Capabilities().Identifies || !r.Destination.Capabilities().Identifies {
		return nil
	}
	source, err := r.Source.Stat(ctx, p.Row.URI)
	switch {
	case drivers.KindOf(err) == drivers.NotFound || drivers.KindOf(err) == drivers.InvalidKey:
		return nil
	case err != nil:
		return fmt.Errorf("whether it is the source's own file cannot be told: %w", err)
	case source.Identity == there.Identity:
		return errSource
	}
	return nil
}
