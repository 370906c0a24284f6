package pipeline

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/pipeline/catalog"
	"github.com/kedge/kedge/pipeline/failure"
	"github.com/kedge/kedge/pipeline/folding"
	"github.com/kedge/kedge/pipeline/survey"
)

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
	if m.alike.folds && !m.Purge {
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
	groups, err := folding.Find(ctx, m.Checkpoint+".places", func(ctx context.Context, tell func(folding.Claim) error) error {
		return catalog.Each(ctx, m.cat, m.limits.PageRows, func(d catalog.Document) error {
			if err := otherSpelling(ctx, s, side, d); err != nil {
				return err
			}
			uri, err := s.URI(d.Key)
			if err != nil {
				return nil // it can have no place there
			}
			return tell(folding.Claim{Place: uri, Key: d.Key, Settled: !d.NoURI && d.URI == uri && !m.samePrefix()})
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
		if refused := (*RefusedError)(nil); errors.As(err, &refused) {
			return nil, refused
		}
		return nil, fmt.Errorf("look for places that the %s does not tell apart: %w", side, err)
	}
	m.Log.WarnContext(ctx, "the "+side+" takes names that differ only in case, or in the form of their letters, for one",
		"place", s.Place(), "places_that_several_documents_have", groups.Len())
	return groups, nil
}

// otherSpelling refuses a row that names the store's own place by another spelling
// (rows at /data/Archive, a store at /data/archive). Its payload lies among the
// store's own, where it would be overwritten or deleted as another document's.
func otherSpelling(ctx context.Context, s Store, side string, d catalog.Document) error {
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
	if cerr := cancelled(ctx); cerr != nil {
		return cerr
	}
	return failure.Refused("the %s, %s, takes names that differ only in case for one, and the catalog names documents in it by another spelling, such as %s: write the configuration's place as these rows have it", side, s.Place(), d.URI)
}

// askedOfSource is how many rows at most are looked at to find out whether the
// source folds names.
const askedOfSource = 16

// sourceFolds asks the source for documents that it has under other spellings of
// their names. Nothing is written there. When nothing tells, it is taken to fold.
func (m *migration) sourceFolds(ctx context.Context) (bool, error) {
	selection := catalog.Selection{Prefix: m.src.Prefix(), Buckets: m.Buckets}
	switch {
	case m.Purge:
		selection.Prefix = m.dst.Prefix()
	case m.Elsewhere == ElsewhereMove:
		selection.Prefix = m.src.Scheme()
	}
	page, err := m.cat.Page(ctx, selection, catalog.Position{}, askedOfSource)
	if err != nil || len(page) == 0 {
		return false, err
	}
	for _, d := range page {
		if d.NoURI || !m.selected(d) {
			continue
		}
		uri := d.URI
		if m.Purge {
			uri, _ = m.src.URI(d.Key) // selected only if the source can hold it
		}
		if _, err := m.src.Stat(ctx, uri); err != nil {
			if cerr := cancelled(ctx); cerr != nil {
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

// heldByAnother says why a document's place at the destination is another one's.
func (m *migration) heldByAnother(dest string) error {
	holder, ok := m.alike.dest.Holder(dest)
	if !ok {
		return nil
	}
	return fmt.Errorf("its place at the destination, %s, is also that of the document %s, %s: the destination takes names that differ only in case, or in the form of their letters, for one, and putting it would overwrite that document", dest, holder.Key, holder.Place)
}

// overAnother says why a document that has the place of others too, because the
// destination does not tell their names apart, must not be put there: something else
// is there, and it may be one of these. Their rows need not say so, as where source
// and destination give the same URIs.
func (m *migration) overAnother(ctx context.Context, it *item) error {
	if len(m.alike.dest.Of(it.dest)) == 0 || m.harmless(ctx, it) {
		return cancelled(ctx)
	}
	return fmt.Errorf("something else is at its place at the destination, %s, which takes names that differ only in case, or in the form of their letters, for one: putting it might overwrite another document", it.dest)
}

// namedAlike says whether another document's row names the file that an item's
// source is, because the source does not tell the two names apart.
func (m *migration) namedAlike(ctx context.Context, it *item) (bool, error) {
	uri, err := m.src.URI(it.doc.Key)
	if err != nil {
		return false, nil
	}
	var keys []drivers.Key
	for _, c := range m.alike.source.Of(uri) {
		if c.Key != it.doc.Key {
			keys = append(keys, c.Key)
		}
	}
	if len(keys) == 0 {
		return false, nil
	}
	rows, err := m.cat.Rows(ctx, keys)
	if err != nil {
		return false, err
	}
	for _, row := range rows {
		if !row.NoURI && survey.Name(row.URI) == survey.Name(it.doc.URI) {
			return true, nil
		}
	}
	return false, nil
}
