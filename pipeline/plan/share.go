package plan

import (
	"fmt"
	"slices"

	"github.com/kedge/kedge/pipeline/progress"
)

// Users is how many users a Plan shares out by name.
const Users = 20

const (
	maxBuckets = 1000
	maxUsers   = 10000
)

// Share is the part of one bucket or one user; Name is "" for all others
// together, Others how many these are.
type Share struct {
	Name    string
	Others  int64
	Move    progress.Amount
	Staying int64
}

// SizeClass is the part of the payloads of at most MaxBytes bytes that are longer
// than those of the class before; -1 for no bound, and -2 for those whose length
// is not known.
type SizeClass struct {
	MaxBytes int64
	progress.Amount
}

// sizeBounds are the classes of lengths, in bytes.
var sizeBounds = [...]int64{1 << 10, 10 << 10, 100 << 10, 1 << 20, 10 << 20, 100 << 20, -1, -2}

// otherNames is where the names go that are not kept in mind; no text of a
// database holds a NUL.
const otherNames = "\x00"

// shareOf finds a name's part; beyond so many, that of all others.
func shareOf(shares map[string]*Share, name string, most int) *Share {
	s := shares[name]
	if s == nil && len(shares) >= most {
		name = otherNames
		s = shares[name]
	}
	if s == nil {
		s = &Share{Name: name}
		shares[name] = s
	}
	return s
}

func (p *Plan) sizeClass(bytes int64, known bool) *progress.Amount {
	last := len(sizeBounds) - 1
	if !known {
		return &p.Sizes[last].Amount
	}
	i := slices.IndexFunc(sizeBounds[:], func(bound int64) bool { return bytes <= bound || bound < 0 })
	return &p.Sizes[i].Amount
}

// inOrder sorts shares and keeps so many of them by name.
func inOrder(shares map[string]*Share, most int, compare func(a, b Share) int) (list []Share) {
	var rest Share
	for name, s := range shares {
		if name != otherNames {
			list = append(list, *s)
		}
	}
	slices.SortFunc(list, compare)
	left := list[min(most, len(list)):]
	if others := shares[otherNames]; others != nil {
		left = append(left, *others)
	}
	if len(left) == 0 {
		return list
	}
	for _, s := range left {
		rest.Others++
		rest.Move.Add(s.Move)
		rest.Staying += s.Staying
	}
	return append(list[:min(most, len(list))], rest)
}

// String names a length's class for people.
func (c SizeClass) String() string {
	switch {
	case c.MaxBytes == -2:
		return "not known"
	case c.MaxBytes < 0:
		return fmt.Sprintf("more than %d MiB", sizeBounds[len(sizeBounds)-3]>>20)
	case c.MaxBytes < 1<<20:
		return fmt.Sprintf("up to %d KiB", c.MaxBytes>>10)
	default:
		return fmt.Sprintf("up to %d MiB", c.MaxBytes>>20)
	}
}
