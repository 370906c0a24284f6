package preflight

import (
	"context"

	"github.com/kedge/kedge/pipeline/catalog"
	"github.com/kedge/kedge/pipeline/folding"
	"github.com/kedge/kedge/pipeline/store"
	"github.com/kedge/kedge/pipeline/survey"
)

// Alike finds the documents whose places a store does not tell apart, before anything is
// moved; destinationFolds is what the probe has shown. It looks through the whole catalog,
// whatever buckets are asked for, but only where a store was found to fold names.
func (c Check) Alike(ctx context.Context, destinationFolds bool) (found survey.Folded, err error) {
	found.Folds = destinationFolds
	if destinationFolds && !c.Route.Purging {
		if found.Destination, err = c.alikeAt(ctx, c.Route.Destination, "destination"); err != nil {
			return found, err
		}
	}
	if c.KeepSource {
		return found, nil // nothing is deleted there
	}
	if found.SourceFolds, err = c.sourceFolds(ctx); err != nil || !found.SourceFolds {
		return found, err
	}
	found.Source, err = c.alikeAt(ctx, c.Route.Source, "source")
	return found, err
}

// alikeAt finds the places at a store that it does not tell apart.
func (c Check) alikeAt(ctx context.Context, s store.Store, side string) (*folding.Groups, error) {
	groups, err := survey.Alike{
		Catalog: c.Catalog, Store: s, Side: side, File: c.Checkpoint + ".places", PageRows: c.PageRows, SamePrefix: c.Route.SamePrefix(),
	}.Find(ctx)
	if err == nil {
		c.Log.WarnContext(ctx, "the "+side+" takes names that differ only in case, or in the form of their letters, for one",
			"place", s.Place(), "places_that_several_documents_have", groups.Len())
	}
	return groups, err
}

// askedOfSource is how many rows at most are looked at to find out whether the source
// folds names.
const askedOfSource = 16

// sourceFolds asks the source for documents that it has under other spellings of their
// names. Nothing is written there. When nothing tells, it is taken to fold.
func (c Check) sourceFolds(ctx context.Context) (bool, error) {
	src := c.Route.Source
	page, err := c.Catalog.Page(ctx, c.Route.Selection(), catalog.Position{}, askedOfSource)
	if err != nil || len(page) == 0 {
		return false, err
	}
	for _, d := range page {
		if d.NoURI || !c.Route.Selected(d) {
			continue
		}
		uri := d.URI
		if c.Route.Purging {
			uri, _ = src.URI(d.Key) // selected only if the source can hold it
		}
		if _, err := src.Stat(ctx, uri); err != nil {
			if cerr := context.Cause(ctx); cerr != nil {
				return false, cerr
			}
			continue // told when its turn comes
		}
		folds, known, err := folding.Of(ctx, src, uri)
		if err != nil || known {
			return folds, err
		}
	}
	return true, nil
}
