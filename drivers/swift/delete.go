package swift

import (
	"context"
	"net/http"
)

// Delete removes an object, a large one with its segments; one that is not
// there is no error, and one that an older version would follow is left
// (kind InvalidKey, see versions.go). An object at another place than the URI says, where Anchore
// puts and which other documents may come to as well, is removed only if kedge has
// put it there, or if the caller has said which payload is meant
// (drivers.WithMeant); else it is left with an error of kind InvalidKey.
func (s *Store) Delete(ctx context.Context, uri string) error {
	own, err := s.locate("delete", uri)
	if err != nil {
		return err
	}
	doomed := []location{own}
	if len(s.places(uri, own)) > 1 {
		if doomed, err = s.deletable(ctx, uri, own); err != nil {
			return err
		}
	}
	for _, at := range doomed {
		if err := s.deleteAt(ctx, uri, at); err != nil {
			return err
		}
	}
	return nil
}

// deleteAt removes what is at a place, for good.
func (s *Store) deleteAt(ctx context.Context, uri string, at location) error {
	h, err := s.head(ctx, at)
	switch {
	case isMissing(err):
		return nil
	case err != nil && statusOf(err) != http.StatusConflict:
		return s.fail("delete", uri, err)
	case isLarge(h) || err != nil:
		large, err := s.largeAt(ctx, at)
		if err != nil {
			return s.fail("delete", uri, err)
		}
		if large != nil {
			return s.guarded(ctx, uri, at, func() error { return s.deleteLarge(ctx, uri, large) })
		}
	}
	return s.guarded(ctx, uri, at, func() error {
		if err := s.removeAll(ctx, []location{at}); err != nil {
			return s.fail("delete", uri, err)
		}
		return nil
	})
}
