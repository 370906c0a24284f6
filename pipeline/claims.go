package pipeline

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/pipeline/catalog"
)

// maxClaims bounds how many rows with awkward keys are kept in mind.
const maxClaims = 20_000

// claims are the rows whose payloads Anchore puts elsewhere than their URIs say
// because of their keys ("k?1" and "./k" both at "k"), by these places. Another
// document's payload may be there: the place is deleted when no row names it any more.
type claims struct {
	rows map[string][]catalog.Document
	// crowded: there are more than can be kept in mind.
	crowded bool
}

var errCrowded = errors.New("enough")

// lookForClaims looks through the catalog for them, where the store's driver knows
// of such places; nil else.
func (m *migration) lookForClaims(ctx context.Context, s Store) (*claims, error) {
	placer := s.Capabilities().Placer
	if placer == nil {
		return nil, nil
	}
	c := &claims{rows: make(map[string][]catalog.Document)}
	kept := 0
	err := m.snapshot.Awkward(ctx, s.Scheme(), func(d catalog.Document) error {
		for _, place := range placer.OtherPlaces(d.URI) {
			if kept++; kept > maxClaims {
				return errCrowded
			}
			c.rows[place] = append(c.rows[place], d)
		}
		return nil
	})
	if errors.Is(err, errCrowded) {
		return &claims{crowded: true}, nil
	}
	return c, err
}

// claimed says why an item must not be put where it is going to be: the payload of
// another row, which Anchore has put there because of its key, is what is there.
func (m *migration) claimed(ctx context.Context, it *item) error {
	c := m.settled.taken
	if c == nil {
		return nil
	}
	places := []string{it.dest}
	if _, awkward, _ := comesTo(it.doc.UserID + "/" + it.doc.Bucket + "/" + it.doc.ArchiveID); !awkward {
		places = placesOf(m.dst, it.dest) // where kedge puts it, below a prefix that is resolved
	}
	var keys []drivers.Key
	for _, place := range places {
		for _, row := range c.rows[place] {
			if row.Key != it.doc.Key {
				keys = append(keys, row.Key)
			}
		}
	}
	if len(keys) == 0 && !c.crowded || m.harmless(ctx, it) {
		return cancelled(ctx)
	}
	if c.crowded {
		return fmt.Errorf("something else is at its place at the destination, %s, and too many documents of the catalog have keys by which they may be there to tell whose it is", it.dest)
	}
	rows, err := m.cat.Rows(ctx, keys)
	if err != nil {
		return err
	}
	for _, row := range rows {
		if !row.NoURI && meet(m.dst, row.URI, it.dest) {
			return fmt.Errorf("its place at the destination, %s, is where Anchore has put the document %s: putting it would overwrite that", it.dest, row.Key)
		}
	}
	return nil
}

// spellings are the beginnings of the places that the documents of a prefix may have.
func spellings(s Store, prefix string) []string {
	list := []string{prefix}
	if placer := s.Capabilities().Placer; placer != nil {
		const tail = "user/bucket/id"
		for _, place := range placer.OtherPlaces(prefix + tail) {
			if head, ok := strings.CutSuffix(place, tail); ok {
				list = append(list, head)
			}
		}
	}
	return list
}

func pairsOf(a, b []string) (pairs [][2]string) {
	for _, x := range a {
		for _, y := range b {
			pairs = append(pairs, [2]string{x, y})
		}
	}
	return pairs
}

// placesOf are all where the payload of a URI may be in a store, the URI's own first.
func placesOf(s Store, uri string) []string {
	if placer := s.Capabilities().Placer; placer != nil {
		return append([]string{uri}, placer.OtherPlaces(uri)...)
	}
	return []string{uri}
}

// meet says whether two URIs of a store may be one payload's.
func meet(s Store, a, b string) bool {
	if a == b {
		return true
	}
	places := placesOf(s, a)
	return slices.ContainsFunc(placesOf(s, b), func(place string) bool { return slices.Contains(places, place) })
}

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
	claims := m.settled.claims
	if claims == nil {
		return sharedByNone, nil
	}
	places := placesOf(m.src, it.doc.URI)
	tail := it.doc.UserID + "/" + it.doc.Bucket + "/" + it.doc.ArchiveID
	plain, awkward, ok := comesTo(tail)
	var keys []drivers.Key
	switch {
	case awkward && len(places) == 1:
		return sharedByNone, nil // nobody else comes to such a name
	case claims.crowded, awkward && !ok:
		return sharedUnknown, nil
	case awkward:
		keys = append(keys, plain)
	case len(places) > 1 && !slices.ContainsFunc(places[1:], func(place string) bool { return strings.HasSuffix(place, tail) }):
		return sharedUnknown, nil // all documents with that prefix come to one place
	}
	for _, place := range places {
		for _, row := range claims.rows[place] {
			keys = append(keys, row.Key)
		}
	}
	if len(keys) == 0 {
		return sharedByNone, nil
	}
	rows, err := m.cat.Rows(ctx, keys)
	for _, row := range rows {
		if row.Key == it.doc.Key || row.NoURI || !meet(m.src, row.URI, it.doc.URI) {
			continue
		}
		if it.earlier || row.Digest == "" || it.doc.Digest == "" || row.Digest == it.doc.Digest {
			return sharedByRow, err
		}
	}
	return sharedByNone, err
}

// comesTo is the key whose own place is where Anchore puts the document with an
// awkward one; ok is false where there is none.
func comesTo(tail string) (plain drivers.Key, awkward, ok bool) {
	cut := strings.NewReplacer("\t", "", "\r", "", "\n", "").Replace(tail)
	if i := strings.IndexAny(cut, "?#"); i >= 0 {
		cut = cut[:i]
	}
	resolved, ok := drivers.ResolveDots(cut)
	if resolved == tail {
		return plain, false, true
	}
	parts := strings.SplitN(resolved, "/", 3)
	if !ok || len(parts) < 3 {
		return plain, true, false
	}
	return drivers.Key{UserID: parts[0], Bucket: parts[1], ArchiveID: parts[2]}, true, true
}
