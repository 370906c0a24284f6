package swift

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"

	ncw "github.com/ncw/swift/v2"

	"github.com/kedge/kedge/drivers"
)

// isLarge says by an object's headers whether it is made of segments.
func isLarge(h ncw.Headers) bool { return isStatic(h) || h["X-Object-Manifest"] != "" }

func isStatic(h ncw.Headers) bool {
	return strings.EqualFold(h["X-Static-Large-Object"], "true")
}

// largeObject is an object that consists of others. nil stands for any object
// that does not, and for none.
type largeObject struct {
	loc      location
	static   bool
	segments []location
	// shared says that some of the segments may be more than this object's.
	shared bool
}

// names is the set of the segments.
func (l *largeObject) names() map[location]bool {
	set := map[location]bool{}
	if l != nil {
		for _, one := range l.segments {
			set[one] = true
		}
	}
	return set
}

// largeAt looks what is stored at a place and, if that is a large object, what
// it consists of.
func (s *Store) largeAt(ctx context.Context, loc location) (*largeObject, error) {
	h, err := s.head(ctx, loc)
	if isMissing(err) {
		return nil, nil
	}
	if err != nil && statusOf(err) != http.StatusConflict { // a broken one can be replaced
		return nil, err
	}
	switch {
	case h["X-Object-Manifest"] != "":
		return s.dynamicAt(ctx, loc, h["X-Object-Manifest"])
	case isStatic(h):
		return s.staticAt(ctx, loc)
	}
	return nil, nil
}

// staticAt reads a static large object's manifest. Segments that are large
// objects themselves are named, not what they consist of.
func (s *Store) staticAt(ctx context.Context, loc location) (*largeObject, error) {
	_, text, err := s.do(ctx, request{
		method: http.MethodGet, container: loc.container, object: loc.name,
		query: url.Values{"multipart-manifest": {"get"}}, slow: true,
	})
	if isMissing(err) {
		return nil, nil // deleted meanwhile
	}
	if err != nil {
		return nil, err
	}
	var entries []struct {
		Name string `json:"name"`
	}
	if err := json.Unmarshal(text, &entries); err != nil {
		return nil, errors.New("the object's manifest is not JSON: " + err.Error())
	}
	large := &largeObject{loc: loc, static: true}
	for _, entry := range entries {
		container, name, ok := strings.Cut(strings.TrimLeft(entry.Name, "/"), "/")
		if !ok { // data within the manifest
			continue
		}
		large.segments = append(large.segments, location{container, name})
		large.shared = large.shared || !s.mayOwn(loc, location{container, name})
	}
	return large, nil
}

// dynamicAt lists the segments of a dynamic large object: all objects whose
// names begin as its manifest says.
func (s *Store) dynamicAt(ctx context.Context, loc location, manifest string) (*largeObject, error) {
	if plain, err := url.PathUnescape(manifest); err == nil {
		manifest = plain
	}
	container, prefix, _ := strings.Cut(strings.TrimLeft(manifest, "/"), "/")
	large := &largeObject{loc: loc}
	if prefix == "" || !s.mayOwn(loc, location{container, prefix}) {
		large.shared = true
		return large, nil
	}
	err := s.each(ctx, container, prefix, func(one item) error {
		if at := (location{container, one.Name}); at != loc {
			large.segments = append(large.segments, at)
		}
		return nil
	})
	if err != nil && !isMissing(err) {
		return nil, err
	}
	return large, nil
}

// mayOwn says whether a segment can be one object's alone. In the container of
// documents, only what lies beneath the object's own name is: another name may
// be another document's. Segments of ours belong to the object they are named
// after.
func (s *Store) mayOwn(loc, segment location) bool {
	switch {
	case segment.container == s.segments && strings.HasPrefix(segment.name, segmentRoot):
		return strings.HasPrefix(segment.name, segmentPrefix(loc))
	case segment.container == loc.container, segment.container == s.container:
		return strings.Contains("/"+segment.name, "/"+loc.name+"/")
	}
	return true
}

// removeReplaced removes the segments of a large object in whose place another
// payload is now. It does what it can: the new payload is stored, and an error
// would say that it is not. Segments of ours that stay are found by
// AbortUploads.
func (s *Store) removeReplaced(ctx context.Context, old *largeObject) {
	if old == nil || old.shared {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), abortTimeout)
	defer cancel()
	for range 3 {
		if s.removeAll(ctx, old.segments) == nil {
			return
		}
	}
}

// deleteLarge removes a large object and its segments: these first, so that a
// deletion which was interrupted can be completed by another.
func (s *Store) deleteLarge(ctx context.Context, uri string, large *largeObject) error {
	if large.shared {
		return &drivers.Error{
			Op: "delete", URI: uri, Kind: drivers.InvalidKey,
			Err:  errors.New("this large object has segments that may be other documents' as well"),
			Mend: "delete it by hand",
		}
	}
	var err error
	if large.static {
		err = s.deleteStatic(ctx, large.loc)
	} else if err = s.removeAll(ctx, large.segments); err == nil {
		err = s.removeAll(ctx, []location{large.loc})
	}
	if err != nil {
		return s.fail("delete", uri, err)
	}
	return nil
}

// deleteStatic has the server delete a static large object with its segments.
func (s *Store) deleteStatic(ctx context.Context, loc location) error {
	_, text, err := s.do(ctx, request{
		method: http.MethodDelete, container: loc.container, object: loc.name,
		query: url.Values{"multipart-manifest": {"delete"}}, headers: ncw.Headers{"Accept": "application/json"}, slow: true,
	})
	if isMissing(err) {
		return nil
	}
	if err != nil {
		return err
	}
	result, err := readBulk(text)
	if err != nil {
		return err
	}
	if len(result.Errors) > 0 {
		return bulkError(result.Errors[0][1])
	}
	return result.failure()
}
