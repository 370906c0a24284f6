package survey

import (
	"context"
	"slices"
	"strings"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/pipeline/catalog"
	"github.com/kedge/kedge/pipeline/store"
)

// Sharing says who else may have his payload at one of a document's places at the
// source.
type Sharing uint8

// The kinds of sharing.
const (
	SharedByNone  Sharing = iota
	SharedByRow           // a row with another key that still names it
	SharedUnknown         // nobody can tell
)

// SharingOf looks for rows with other keys than the document's whose payload is where
// the document's is. Of two documents that come to one place it is only the last that
// was put: where the document's payload is still the one of its row (same), a row with
// another digest has nothing there. To be asked only when it is settled. Errors are the
// catalog's.
func (s *Settlement) SharingOf(ctx context.Context, cat catalog.Catalog, src store.Store, d catalog.Document, same bool) (Sharing, error) {
	claims := s.Source
	if claims == nil {
		return SharedByNone, nil
	}
	places := Places(src, d.URI)
	tail := d.UserID + "/" + d.Bucket + "/" + d.ArchiveID
	plain, awkward, ok := ComesTo(tail)
	var keys []drivers.Key
	switch {
	case awkward && len(places) == 1:
		return SharedByNone, nil // nobody else comes to such a name
	case claims.Crowded, awkward && !ok:
		return SharedUnknown, nil
	case awkward:
		keys = append(keys, plain)
	case len(places) > 1 && !slices.ContainsFunc(places[1:], func(place string) bool { return strings.HasSuffix(place, tail) }):
		return SharedUnknown, nil // all documents with that prefix come to one place
	}
	for _, place := range places {
		for _, row := range claims.Rows[place] {
			keys = append(keys, row.Key)
		}
	}
	if len(keys) == 0 {
		return SharedByNone, nil
	}
	rows, err := cat.Rows(ctx, keys)
	for _, row := range rows {
		if row.Key == d.Key || row.NoURI || !Meet(src, row.URI, d.URI) {
			continue
		}
		if !same || row.Digest == "" || d.Digest == "" || row.Digest == d.Digest {
			return SharedByRow, err
		}
	}
	return SharedByNone, err
}
