package guard

import (
	"context"
	"fmt"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/pipeline/catalog"
	"github.com/kedge/kedge/pipeline/store"
	"github.com/kedge/kedge/pipeline/survey"
)

// Guard knows the stores, the catalog, and what was found of them. Safe for concurrent use.
type Guard struct {
	Catalog             catalog.Catalog
	Source, Destination store.Store
	Settled             *survey.Settlement
	Alike               survey.Folded
}

// Payload is one that is going to be put.
type Payload struct {
	Key drivers.Key
	// Place is its URI at the destination.
	Place string
	// Digest is its MD5, Bytes its length. Neither is known of one that is Streamed.
	Digest   string
	Bytes    int64
	Streamed bool
}

// Harmless says that nothing can be lost by putting it: nothing is there, or what is going
// to be.
func (g Guard) Harmless(ctx context.Context, p Payload) bool {
	info, err := g.Destination.Stat(ctx, p.Place)
	if drivers.KindOf(err) == drivers.NotFound {
		return true
	}
	if err != nil || p.Streamed || info.Bytes != p.Bytes {
		return false
	}
	if info.MD5 != "" {
		return info.MD5 == p.Digest
	}
	digest, err := store.Digest(ctx, g.Destination, p.Place)
	return err == nil && digest == p.Digest
}

// Against says why a payload must not be put; nil where nothing speaks against it. To be
// asked when the catalog has been looked through.
func (g Guard) Against(ctx context.Context, p Payload) error {
	if g.Settled.IsOdd(p.Place) {
		return NamedByAnother(p.Place)
	}
	if err := g.claimed(ctx, p); err != nil {
		return err
	}
	return g.overAnother(ctx, p)
}

// NamedByAnother is why nothing must be put at a place of the destination that another
// document's row names.
func NamedByAnother(place string) error {
	return fmt.Errorf("its place at the destination, %s, is named by the row of another document: putting it would overwrite that", place)
}

// claimed says why a payload must not be put where it is going to be: that of another row,
// which Anchore has put there because of its key, is what is there.
func (g Guard) claimed(ctx context.Context, p Payload) error {
	c := g.Settled.Destination
	if c == nil {
		return nil
	}
	places := []string{p.Place}
	if _, awkward, _ := survey.ComesTo(p.Key.UserID + "/" + p.Key.Bucket + "/" + p.Key.ArchiveID); !awkward {
		places = survey.Places(g.Destination, p.Place) // where kedge puts it, below a prefix that is resolved
	}
	var keys []drivers.Key
	for _, place := range places {
		for _, row := range c.Rows[place] {
			if row.Key != p.Key {
				keys = append(keys, row.Key)
			}
		}
	}
	if len(keys) == 0 && !c.Crowded || g.Harmless(ctx, p) {
		return context.Cause(ctx)
	}
	if c.Crowded {
		return fmt.Errorf("something else is at its place at the destination, %s, and too many documents of the catalog have keys by which they may be there to tell whose it is", p.Place)
	}
	rows, err := g.Catalog.Rows(ctx, keys)
	if err != nil {
		return err
	}
	for _, row := range rows {
		if !row.NoURI && survey.Meet(g.Destination, row.URI, p.Place) {
			return fmt.Errorf("its place at the destination, %s, is where Anchore has put the document %s: putting it would overwrite that", p.Place, row.Key)
		}
	}
	return nil
}

// overAnother says why a document that has the place of others too, because the
// destination does not tell their names apart, must not be put there: something else is
// there, and it may be one of these. Their rows need not say so, as where source and
// destination give the same URIs.
func (g Guard) overAnother(ctx context.Context, p Payload) error {
	if len(g.Alike.Destination.Of(p.Place)) == 0 || g.Harmless(ctx, p) {
		return context.Cause(ctx)
	}
	return fmt.Errorf("something else is at its place at the destination, %s, which takes names that differ only in case, or in the form of their letters, for one: putting it might overwrite another document", p.Place)
}

// Held says why a document's place at the destination is another one's, because the
// destination does not tell their names apart; nil where it is not.
func (g Guard) Held(place string) error {
	holder, ok := g.Alike.Destination.Holder(place)
	if !ok {
		return nil
	}
	return fmt.Errorf("its place at the destination, %s, is also that of the document %s, %s: the destination takes names that differ only in case, or in the form of their letters, for one, and putting it would overwrite that document", place, holder.Key, holder.Place)
}

// OnePlace says whether the destination may take two URIs for one place.
func (g Guard) OnePlace(a, b string) bool {
	return survey.Meet(g.Destination, a, b) || g.Alike.Folds && survey.Name(a) == survey.Name(b)
}
