package folding

import (
	"cmp"
	"context"
	"crypto/md5"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/pipeline/spread"
)

// maxClaims bounds how many places are kept in mind that a store does not tell
// apart.
const maxClaims = 100_000

// ErrTooMany says that more places fold onto others than are kept in mind.
var ErrTooMany = fmt.Errorf("more than %d names differ from others only in case, or in the form of their letters", maxClaims)

// Claim is a place that something has at a store, or is to have.
type Claim struct {
	Place string
	Key   drivers.Key // of a document
	// Settled: it is there already.
	Settled bool
}

// Groups are sets of places whose names differ only in what a store may fold. The
// nil Groups are empty. Safe for concurrent use.
type Groups struct{ claims map[[16]byte][]Claim }

func sumOf(place string) [16]byte { return md5.Sum([]byte(Name(place))) }

// Find finds the groups among the claims that each tells. It calls each twice; each
// must tell the same both times, and may tell a place more than once. Names are
// compared in files in the folder, which Find makes and removes. The error is
// ErrTooMany where there are too many to be held in memory.
func Find(ctx context.Context, folder string, each func(ctx context.Context, tell func(Claim) error) error) (_ *Groups, err error) {
	// What a killed run has left.
	if err := os.RemoveAll(folder); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	files, err := spread.Over(folder, "places", func(put func([16]byte, []byte) error) error {
		return each(ctx, func(c Claim) error {
			spelled := md5.Sum([]byte(c.Place))
			return put(sumOf(c.Place), spelled[:8])
		})
	})
	if err != nil {
		return nil, err
	}
	found := make(map[[16]byte]map[string]Claim)
	for _, file := range files {
		if err := repeated(file, found); err != nil {
			return nil, err
		}
	}
	if len(found) == 0 {
		return nil, nil
	}
	return gather(ctx, found, each)
}

// record is a place: the sum of its folded name, and the beginning of that of its
// own.
type record [16 + 8]byte

// repeated notes the folded names in a file that have several spellings.
func repeated(file string, found map[[16]byte]map[string]Claim) error {
	content, err := os.ReadFile(filepath.Clean(file))
	if err != nil {
		return err
	}
	records := make([]record, len(content)/len(record{}))
	for i := range records {
		records[i] = record(content[i*len(record{}):])
	}
	slices.SortFunc(records, func(a, b record) int { return cmp.Compare(string(a[:]), string(b[:])) })
	for i := 1; i < len(records); i++ {
		if sum := [16]byte(records[i][:16]); records[i] != records[i-1] && sum == [16]byte(records[i-1][:16]) {
			if found[sum] = map[string]Claim{}; len(found) > maxClaims {
				return ErrTooMany
			}
		}
	}
	return nil
}

// gather reads the claims of these folded names.
func gather(ctx context.Context, found map[[16]byte]map[string]Claim, each func(context.Context, func(Claim) error) error) (*Groups, error) {
	n := 0
	err := each(ctx, func(c Claim) error {
		group := found[sumOf(c.Place)]
		if group == nil {
			return nil
		}
		before, known := group[c.Place]
		if !known {
			if n++; n > maxClaims {
				return ErrTooMany
			}
		}
		c.Settled = c.Settled || before.Settled
		group[c.Place] = c
		return nil
	})
	if err != nil {
		return nil, err
	}
	g := &Groups{claims: make(map[[16]byte][]Claim, len(found))}
	for sum, group := range found {
		for _, c := range group {
			g.claims[sum] = append(g.claims[sum], c)
		}
		slices.SortFunc(g.claims[sum], settledFirst)
	}
	return g, nil
}

// settledFirst is the order of a group's claims.
func settledFirst(a, b Claim) int {
	switch {
	case a.Settled == b.Settled:
		return cmp.Compare(a.Place, b.Place)
	case a.Settled:
		return -1
	}
	return 1
}

// Of gives the claims of a place's group, among them the place's own; nil for most
// places.
func (g *Groups) Of(place string) []Claim {
	if g == nil {
		return nil
	}
	return g.claims[sumOf(place)]
}

// Holder gives the claim that owns what the store takes this place for: a settled
// one, else the first by name, in whatever order they come. ok is false where the
// place is that claim's own, or belongs to no group.
func (g *Groups) Holder(place string) (c Claim, ok bool) {
	group := g.Of(place)
	if len(group) == 0 || group[0].Place == place {
		return Claim{}, false
	}
	return group[0], true
}

// Len counts the groups.
func (g *Groups) Len() int {
	if g == nil {
		return 0
	}
	return len(g.claims)
}
