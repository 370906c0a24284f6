package survey

import (
	"path"
	"slices"
	"strings"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/pipeline/catalog"
	"github.com/kedge/kedge/pipeline/folding"
	"github.com/kedge/kedge/pipeline/store"
)

// spellings are the beginnings of the places that the documents of a prefix may have.
func spellings(s store.Store, prefix string) []string {
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

// Places are all where the payload of a URI may be in a store, the URI's own first.
func Places(s store.Store, uri string) []string {
	if placer := s.Capabilities().Placer; placer != nil {
		return append([]string{uri}, placer.OtherPlaces(uri)...)
	}
	return []string{uri}
}

// Meet says whether two URIs of a store may be one payload's.
func Meet(s store.Store, a, b string) bool {
	if a == b {
		return true
	}
	places := Places(s, a)
	return slices.ContainsFunc(Places(s, b), func(place string) bool { return slices.Contains(places, place) })
}

// ComesTo is the key whose own place is where Anchore puts the document with an
// awkward one; ok is false where there is none.
func ComesTo(tail string) (plain drivers.Key, awkward, ok bool) {
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

// Normal makes one of the spellings that may name the same place: those that
// differ in empty or "." or ".." parts.
func Normal(uri string) string {
	scheme, rest, ok := strings.Cut(uri, "://")
	if !ok {
		return uri
	}
	return scheme + "://" + path.Clean("/"+rest)
}

// Name is the name of all spellings of a place that some store may take for one.
func Name(uri string) string { return folding.Name(Normal(uri)) }

// PlaceOf is the place that a row of a store's scheme names: its URI without what the
// driver makes from the key, or, where it was made otherwise, its first part.
func PlaceOf(s store.Store, d catalog.Document) string {
	if uri, err := s.URI(d.Key); err == nil {
		if place, ok := strings.CutSuffix(d.URI, strings.TrimPrefix(uri, s.Prefix())); ok {
			return place
		}
	}
	rest := strings.TrimPrefix(d.URI, s.Scheme())
	first, _, _ := strings.Cut(strings.TrimPrefix(rest, "/"), "/")
	return d.URI[:len(d.URI)-len(rest)] + rest[:len(rest)-len(strings.TrimPrefix(rest, "/"))] + first + "/"
}
