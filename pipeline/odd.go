package pipeline

import (
	"context"
	"fmt"
	"path"
	"strings"
)

// maxOdd bounds how many odd rows are kept in mind.
const maxOdd = 10000

// findOdd looks for rows whose place is not made from their key. Anchore makes
// none, but a database may hold what somebody once repaired by hand. Such a
// place may be another document's source or destination, so that nothing there
// is overwritten or deleted.
func (m *migration) findOdd(ctx context.Context) error {
	m.odd = make(map[string]bool)
	schemes := map[string]bool{m.src.Scheme(): m.src.Capabilities().HashedPaths, m.dst.Scheme(): m.dst.Capabilities().HashedPaths}
	for scheme, hashed := range schemes {
		uris, err := m.cat.Odd(ctx, scheme, hashed, maxOdd+1)
		if err != nil {
			return err
		}
		if len(uris) > maxOdd {
			return &RefusedError{fmt.Sprintf("more than %d rows of the catalog name %s… places that are not made from their keys, such as %q: this is not an archive that Anchore wrote", maxOdd, scheme, uris[0])}
		}
		for _, uri := range uris {
			m.odd[normal(uri)] = true
		}
	}
	return nil
}

// normal makes one of the spellings that may name the same place: those that
// differ in empty or "." or ".." parts.
func normal(uri string) string {
	scheme, rest, ok := strings.Cut(uri, "://")
	if !ok {
		return uri
	}
	return scheme + "://" + path.Clean("/"+rest)
}
