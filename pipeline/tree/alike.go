package tree

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/kedge/kedge/pipeline/failure"
	"github.com/kedge/kedge/pipeline/folding"
)

// namesProbe is where it is tried whether the destination tells names apart. Those of
// repositories and tags are ASCII.
const namesProbe = ownFiles + "Probe/link"

// findAlike finds the names of the registry, of repositories and tags above all,
// that the destination does not tell apart: App and app, v1 and V1. All that lies
// below the second of them would get mixed with the first's, and the second's tag
// would overwrite the first's. It lists both sides, but only where the destination
// was found to fold names. What the destination lists has its place already, also
// where the source has it no more.
func (m *migration) findAlike(ctx context.Context) error {
	uri, err := m.Destination.PathURI(namesProbe)
	if err != nil {
		return err
	}
	listed := false // under its own name
	folds, err := folding.Try(ctx, m.Destination, uri, func(ctx context.Context) error {
		path, err := firstListed(ctx, m.Destination, ownFiles) // the folder itself must be read
		listed = path == namesProbe
		return err
	})
	if err != nil || !folds {
		return err
	}
	m.taken, err = folding.Find(ctx, m.Checkpoint+".places", func(ctx context.Context, tell func(folding.Claim) error) error {
		for _, s := range []Store{m.Source, m.Destination} {
			// Not the blobs: their names are digits.
			ranges := append(inside(nil), split(root, "", repositories, []string{blobsRoot})...)
			for _, r := range ranges {
				if r.prefix == blobsRoot {
					continue
				}
				if err := eachName(ctx, s, r, func(name string) error {
					return tell(folding.Claim{Place: name, Settled: s == m.Destination})
				}); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if errors.Is(err, folding.ErrTooMany) {
		return failure.Refused("the destination, %s, takes names that differ only in case for one, and in the registry %v: choose another destination", m.Destination.Place(), err)
	}
	if err != nil {
		return fmt.Errorf("look for names that the destination does not tell apart: %w", err)
	}
	if m.taken.Len() > 0 && !listed {
		// What it lists does not tell whose place that is.
		return failure.Refused("the destination, %s, takes names that differ only in case, or in the form of their letters, for one, and lists them in another spelling than they were put; the registry has %d such names: choose another destination", m.Destination.Place(), m.taken.Len())
	}
	m.Log.WarnContext(ctx, "the destination takes names that differ only in case, or in the form of their letters, for one",
		"place", m.Destination.Place(), "names_that_are_one", m.taken.Len())
	return nil
}

// eachName calls fn with every path of a range and with the folders above it, these
// once for neighbours.
func eachName(ctx context.Context, s Store, r keyRange, fn func(name string) error) error {
	l := list(ctx, s, r, "")
	defer l.close()
	before := ""
	for {
		e, ok, err := l.peek()
		if err != nil || !ok {
			return err
		}
		l.take()
		if own(e.path) {
			continue
		}
		for i, c := range e.path {
			if c == '/' && !strings.HasPrefix(before, e.path[:i+1]) {
				if err := fn(e.path[:i]); err != nil {
					return err
				}
			}
		}
		if err := fn(e.path); err != nil {
			return err
		}
		before = e.path
	}
}

// isTaken fails a file below a name that is another one's at the destination.
func (m *migration) isTaken(ctx context.Context, it *item) (bool, error) {
	if m.taken.Len() == 0 {
		return false, nil
	}
	for i := range len(it.path) + 1 {
		if i < len(it.path) && it.path[i] != '/' {
			continue
		}
		if holder, other := m.taken.Holder(it.path[:i]); other {
			return true, it.fail(ctx, failure.ClassPlaceTaken, fmt.Errorf("the destination takes %s and %s, which has that place, for one name: putting it would mix the two or overwrite the other", it.path[:i], holder.Place))
		}
	}
	return false, nil
}
