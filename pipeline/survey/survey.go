package survey

import (
	"context"
	"slices"
	"strings"

	"github.com/kedge/kedge/pipeline/catalog"
	"github.com/kedge/kedge/pipeline/failure"
	"github.com/kedge/kedge/pipeline/store"
)

const (
	// maxOdd bounds how many odd rows are kept in mind.
	maxOdd = 10000
	// maxNested bounds how many places inside of one another are.
	maxNested = 1000
)

// Look looks once through the whole catalog for what could be overwritten or
// deleted by mistake, and refuses the migration or settles what is odd.
//
// A migration begins with it: what it refuses is refused before anything is
// put. A resumed one, which it let pass before, has it going on beside the
// moving. Where it is settled already there is nothing to be done. What is refused
// is a failure.RefusedError. One at a time.
func (s *Settlement) Look(ctx context.Context, snapshot catalog.Snapshot, src, dst store.Store) error {
	if s.Known() {
		return nil
	}
	m := look{snapshot, src, dst}
	forms := m.forms()
	odd := make(map[string]bool)
	nested := make(map[[2]string]bool)
	err := m.snapshot.Places(ctx, forms, func(form int, isOdd bool, place string) error {
		if !isOdd {
			return m.noteNested(nested, forms[form].Scheme, place)
		}
		if odd[Name(place)] = true; len(odd) > maxOdd {
			return failure.Refused("more than %d rows of the catalog name %s… places that are not made from their keys, such as %q: this is not an archive that Anchore wrote", maxOdd, forms[form].Scheme, place)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := m.noteNested(nested, m.src.Scheme(), m.dst.Prefix()); err != nil {
		return err
	}
	if err := m.noteNested(nested, m.dst.Scheme(), m.src.Prefix()); err != nil {
		return err
	}
	if err := m.refuseMeeting(ctx, nested); err != nil {
		return err
	}
	source, err := lookForClaims(ctx, snapshot, m.src)
	if err != nil {
		return err
	}
	destination, err := lookForClaims(ctx, snapshot, m.dst)
	if err != nil {
		return err
	}
	s.settle(odd, source, destination)
	return nil
}

// look is a look through the catalog, for two stores.
type look struct {
	snapshot catalog.Snapshot
	src, dst store.Store
}

// forms are those of the source's rows and the destination's.
func (m look) forms() []catalog.Form {
	form := func(s store.Store) catalog.Form {
		return catalog.Form{Scheme: s.Scheme(), Hashed: s.Capabilities().HashedPaths, Known: []string{s.Prefix()}}
	}
	source, destination := form(m.src), form(m.dst)
	if source.Scheme != destination.Scheme {
		return []catalog.Form{source, destination}
	}
	if m.src.Prefix() != m.dst.Prefix() {
		source.Known = append(source.Known, m.dst.Prefix())
	}
	return []catalog.Form{source}
}

// noteNested notes a place that rows of a scheme name where it is inside of the
// source or the destination, or they are inside of it, so that two documents
// could have one URI: s3://b/ and s3://b/new/ collide for a user named "new".
// What is put must not overwrite a document there, and what is deleted must not
// be one.
func (m look) noteNested(nested map[[2]string]bool, scheme, place string) error {
	for _, s := range []store.Store{m.src, m.dst} {
		if s.Capabilities().HashedPaths || s.Scheme() != scheme {
			continue // MD5s do not meet
		}
		for _, pair := range pairsOf(spellings(s, s.Prefix()), spellings(s, place)) {
			a, b := pair[0], pair[1]
			if len(a) > len(b) {
				a, b = b, a
			}
			if a == b || !strings.HasPrefix(b, a) {
				continue
			}
			if nested[[2]string{a, b}] = true; len(nested) > maxNested {
				return failure.Refused("more than %d places that rows of the catalog name lie inside of %s, such as %s: documents there may have the same names", maxNested, a, b)
			}
		}
	}
	return nil
}

// refuseMeeting refuses nested places of which the one continues the other with
// what may be a user's name.
func (m look) refuseMeeting(ctx context.Context, nested map[[2]string]bool) error {
	if len(nested) == 0 {
		return nil
	}
	users, err := m.snapshot.Users(ctx)
	if err != nil {
		return err
	}
	for pair := range nested {
		outer, inner := pair[0], pair[1]
		extension := strings.TrimPrefix(inner, outer)
		meets := func(user string) bool {
			return strings.HasPrefix(user+"/", extension) || strings.HasPrefix(extension, user+"/")
		}
		if i := slices.IndexFunc(users, meets); i >= 0 {
			return failure.Refused("%s lies inside of %s, and the user %q may have documents there under the same names: choose another prefix", inner, outer, users[i])
		}
	}
	return nil
}
