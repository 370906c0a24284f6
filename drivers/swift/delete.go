package swift

import (
	"context"
	"errors"
	"net/http"

	"github.com/kedge/kedge/drivers"
)

// Delete removes an object, a large one with its segments; one that is not
// there is no error. Only the object under the URI's own name is removed: one
// that Anchore has put where the name was cut is other documents' as well, and
// is left with an error of kind InvalidKey.
func (s *Store) Delete(ctx context.Context, uri string) error {
	loc, err := s.locate("delete", uri)
	if err != nil {
		return err
	}
	h, err := s.head(ctx, loc)
	switch {
	case isMissing(err):
		return s.confirmGone(ctx, uri)
	case err != nil && statusOf(err) != http.StatusConflict:
		return s.fail("delete", uri, err)
	case isLarge(h) || err != nil:
		large, err := s.largeAt(ctx, loc)
		if err != nil {
			return s.fail("delete", uri, err)
		}
		if large != nil {
			return s.deleteLarge(ctx, uri, large)
		}
	}
	if err := s.removeAll(ctx, []location{loc}); err != nil {
		return s.fail("delete", uri, err)
	}
	return nil
}

// confirmGone says that nothing is left of a URI without an object of its own.
func (s *Store) confirmGone(ctx context.Context, uri string) error {
	cut, differs := cutPlace(uri)
	if !differs {
		return nil
	}
	_, err := s.headCut(ctx, cut)
	switch {
	case isMissing(err):
		return nil
	case err != nil:
		return s.fail("delete", uri, err)
	}
	return &drivers.Error{
		Op: "delete", URI: uri, Kind: drivers.InvalidKey,
		Err:  errors.New("its payload is at " + scheme + cut.container + "/" + cut.name + ", a place that is shared with other documents; not deleted"),
		Mend: "delete that by hand once no document needs it",
	}
}
