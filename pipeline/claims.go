package pipeline

import (
	"context"
	"slices"
	"strings"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/pipeline/survey"
)

// meaning is the context for an operation on an item's payload at the source.
func (m *migration) meaning(ctx context.Context, it *item) context.Context {
	if m.src.Capabilities().Placer == nil {
		return ctx
	}
	if it.earlier { // its row tells the destination's digest
		return drivers.WithMeant(ctx, drivers.Meant{})
	}
	return drivers.WithMeant(ctx, drivers.Meant{MD5: it.doc.Digest})
}

// sharing says who else may have his payload at one of an item's places at the
// source.
type sharing uint8

const (
	sharedByNone  sharing = iota
	sharedByRow           // a row with another key that still names it
	sharedUnknown         // nobody can tell
)

// sharingOf looks for rows with other keys than the item's whose payload is where the
// item's is. Of two documents that come to one place it is only the last that was
// put, so that a row with another digest has nothing there.
func (m *migration) sharingOf(ctx context.Context, it *item) (sharing, error) {
	claims := m.settled.Source
	if claims == nil {
		return sharedByNone, nil
	}
	places := survey.Places(m.src, it.doc.URI)
	tail := it.doc.UserID + "/" + it.doc.Bucket + "/" + it.doc.ArchiveID
	plain, awkward, ok := survey.ComesTo(tail)
	var keys []drivers.Key
	switch {
	case awkward && len(places) == 1:
		return sharedByNone, nil // nobody else comes to such a name
	case claims.Crowded, awkward && !ok:
		return sharedUnknown, nil
	case awkward:
		keys = append(keys, plain)
	case len(places) > 1 && !slices.ContainsFunc(places[1:], func(place string) bool { return strings.HasSuffix(place, tail) }):
		return sharedUnknown, nil // all documents with that prefix come to one place
	}
	for _, place := range places {
		for _, row := range claims.Rows[place] {
			keys = append(keys, row.Key)
		}
	}
	if len(keys) == 0 {
		return sharedByNone, nil
	}
	rows, err := m.cat.Rows(ctx, keys)
	for _, row := range rows {
		if row.Key == it.doc.Key || row.NoURI || !survey.Meet(m.src, row.URI, it.doc.URI) {
			continue
		}
		if it.earlier || row.Digest == "" || it.doc.Digest == "" || row.Digest == it.doc.Digest {
			return sharedByRow, err
		}
	}
	return sharedByNone, err
}
