package failure

import (
	"cmp"
	"slices"

	"github.com/kedge/kedge/checkpoint"
)

// Group is all failures of one class.
type Group[F any] struct {
	Class    string
	Count    int64
	Examples []F // the first few
}

// maxExamples is how many failures of a class a Group holds.
const maxExamples = 5

// Groups gathers failures by class. Make it before it is used. Not safe for
// concurrent use.
type Groups[F any] map[string]*Group[F]

// Add puts a failure into the group of its class.
func (gs Groups[F]) Add(class string, f F) {
	g := gs[class]
	if g == nil {
		g = &Group[F]{Class: class}
		gs[class] = g
	}
	if g.Count++; len(g.Examples) < maxExamples {
		g.Examples = append(g.Examples, f)
	}
}

// Sorted lists the groups, the most frequent class first.
func (gs Groups[F]) Sorted() (list []Group[F]) {
	for _, g := range gs {
		list = append(list, *g)
	}
	slices.SortFunc(list, func(a, b Group[F]) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Class, b.Class))
	})
	return list
}

// Total is how many failures there are in all groups.
func (gs Groups[F]) Total() (total int64) {
	for _, g := range gs {
		total += g.Count
	}
	return total
}

// Gather reads the failures from a checkpoint, calling each (if it is not
// nil) with every one, and counts them by class.
func Gather(c *checkpoint.Checkpoint, each func(checkpoint.Failure)) (list []Group[checkpoint.Failure], total int64, err error) {
	groups := make(Groups[checkpoint.Failure])
	_, err = c.Failures(nil, func(f checkpoint.Failure) bool {
		groups.Add(f.Class, f)
		if each != nil {
			each(f)
		}
		return true
	})
	return groups.Sorted(), groups.Total(), err
}
