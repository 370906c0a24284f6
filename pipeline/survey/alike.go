package survey

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/pipeline/catalog"
	"github.com/kedge/kedge/pipeline/failure"
	"github.com/kedge/kedge/pipeline/folding"
	"github.com/kedge/kedge/pipeline/store"
)

// Alike looks for places at a store that it does not tell apart, because it takes
// different names for one (package folding).
type Alike struct {
	Catalog catalog.Reader
	Store   store.Store
	Side    string // "source" or "destination", for messages
	// File is where what memory does not hold is put meanwhile, PageRows how many rows
	// are read at a time.
	File     string
	PageRows int
	// SamePrefix: source and destination give the same URIs, so that no row says that
	// its document is there.
	SamePrefix bool
}

// Find finds them. It looks through the whole catalog. Where there are too many, or rows
// name the store's own place by another spelling, it is a failure.RefusedError.
func (a Alike) Find(ctx context.Context) (*folding.Groups, error) {
	s, side := a.Store, a.Side
	groups, err := folding.Find(ctx, a.File, func(ctx context.Context, tell func(folding.Claim) error) error {
		return catalog.Each(ctx, a.Catalog, catalog.Selection{}, a.PageRows, func(d catalog.Document) error {
			if err := otherSpelling(ctx, s, side, d); err != nil {
				return err
			}
			uri, err := s.URI(d.Key)
			if err != nil {
				return nil // it can have no place there
			}
			return tell(folding.Claim{Place: uri, Key: d.Key, Settled: !d.NoURI && d.URI == uri && !a.SamePrefix})
		})
	})
	if errors.Is(err, folding.ErrTooMany) {
		mend := "choose another destination"
		if side == "source" {
			mend = "move with --nodelete, and remove the source yourself"
		}
		return nil, failure.Refused("the %s, %s, takes names that differ only in case for one, and in the catalog %v: %s", side, s.Place(), err, mend)
	}
	if err != nil {
		if refused := (*failure.RefusedError)(nil); errors.As(err, &refused) {
			return nil, refused
		}
		return nil, fmt.Errorf("look for places that the %s does not tell apart: %w", side, err)
	}
	return groups, nil
}

// otherSpelling refuses a row that names the store's own place by another spelling
// (rows at /data/Archive, a store at /data/archive). Its payload lies among the
// store's own, where it would be overwritten or deleted as another document's.
func otherSpelling(ctx context.Context, s store.Store, side string, d catalog.Document) error {
	if d.NoURI || strings.HasPrefix(d.URI, s.Prefix()) || !strings.HasPrefix(d.URI, s.Scheme()) {
		return nil
	}
	if own := folding.Name(s.Prefix()); own == s.Scheme() || !strings.HasPrefix(folding.Name(d.URI), own) {
		return nil
	}
	theirs, err := s.Stat(ctx, d.URI)
	if drivers.KindOf(err) == drivers.NotFound {
		return nil // nothing to be lost, or another place
	}
	if uri, uerr := s.URI(d.Key); err == nil && uerr == nil && s.Capabilities().Identifies {
		ours, err := s.Stat(ctx, uri)
		if drivers.KindOf(err) == drivers.NotFound || err == nil && ours.Identity != theirs.Identity {
			return nil // a folder above tells the two names apart
		}
	}
	if cerr := context.Cause(ctx); cerr != nil {
		return cerr
	}
	return failure.Refused("the %s, %s, takes names that differ only in case for one, and the catalog names documents in it by another spelling, such as %s: write the configuration's place as these rows have it", side, s.Place(), d.URI)
}

// Folded is what is known of stores that take different names for one (package folding).
// There two documents can have one place without their URIs saying so: the second would
// overwrite the first, and who deletes the one deletes the other.
type Folded struct {
	// Destination are the places at the destination that it does not tell apart, Source
	// those at the source. Both are nil where names are told apart.
	Destination, Source *folding.Groups
	// Folds: the destination does not tell names apart; SourceFolds: the source.
	Folds, SourceFolds bool
}
