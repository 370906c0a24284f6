package survey

import (
	"context"
	"errors"

	"github.com/kedge/kedge/pipeline/catalog"
	"github.com/kedge/kedge/pipeline/store"
)

// maxClaims bounds how many rows with awkward keys are kept in mind.
const maxClaims = 20_000

// Claims are the rows whose payloads Anchore puts elsewhere than their URIs say
// because of their keys ("k?1" and "./k" both at "k"), by these places. Another
// document's payload may be there: the place is deleted when no row names it any more.
type Claims struct {
	Rows map[string][]catalog.Document
	// Crowded: there are more than can be kept in mind.
	Crowded bool
}

var errCrowded = errors.New("enough")

// lookForClaims looks through the catalog for them, where the store's driver knows
// of such places; nil else.
func lookForClaims(ctx context.Context, snapshot catalog.Snapshot, s store.Store) (*Claims, error) {
	placer := s.Capabilities().Placer
	if placer == nil {
		return nil, nil
	}
	c := &Claims{Rows: make(map[string][]catalog.Document)}
	kept := 0
	err := snapshot.Awkward(ctx, s.Scheme(), func(d catalog.Document) error {
		for _, place := range placer.OtherPlaces(d.URI) {
			if kept++; kept > maxClaims {
				return errCrowded
			}
			c.Rows[place] = append(c.Rows[place], d)
		}
		return nil
	})
	if errors.Is(err, errCrowded) {
		return &Claims{Crowded: true}, nil
	}
	return c, err
}
