package plan

import (
	"cmp"
	"slices"
)

// Place is a place that rows name, with how many do.
type Place struct {
	Place            string
	Documents, Bytes int64
}

// maxPlaces is how many places are told apart.
const maxPlaces = 50

// Places counts rows by the places that they name; beyond maxPlaces, for a common one.
// Make it before it is used. Not safe for concurrent use.
type Places map[string]*Place

// Add counts a row with so many payload bytes.
func (ps Places) Add(name string, bytes int64) {
	if ps[name] == nil && len(ps) >= maxPlaces {
		name = "(other places)"
	}
	if ps[name] == nil {
		ps[name] = &Place{Place: name}
	}
	ps[name].Documents++
	ps[name].Bytes += bytes
}

// Sorted lists these places and others by their names.
func (ps Places) Sorted(others []Place) []Place {
	list := slices.Clone(others)
	for _, p := range ps {
		list = append(list, *p)
	}
	slices.SortFunc(list, func(a, b Place) int { return cmp.Compare(a.Place, b.Place) })
	return list
}
