package drivertest

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"

	"github.com/kedge/kedge/drivers"
)

// listed is how many payloads are put; what is left of them when a tenth is
// deleted is still more than a page of a listing holds.
const listed = 1250

// list lists a store and demands that nothing is listed twice.
func (s *store) list() map[string]drivers.Info {
	s.Helper()
	found := map[string]drivers.Info{}
	err := s.d.(drivers.Lister).List(s.ctx, func(uri string, info drivers.Info) error {
		if _, ok := found[uri]; ok {
			s.Errorf("list: %q twice", uri)
		}
		found[uri] = info
		return nil
	})
	if err != nil {
		s.Fatalf("list: %v", err)
	}
	return found
}

// testList checks that a Lister lists exactly what was put.
func testList(t *testing.T, b Backend) {
	s := open(t, b)
	lister, ok := s.d.(drivers.Lister)
	if !ok {
		return
	}
	if found := s.list(); len(found) != 0 {
		t.Errorf("an empty store lists %d payloads", len(found))
	}
	bodies := map[string][]byte{}
	var uris []string
	for i := range listed {
		id := fmt.Sprintf("image %d/+&%%41\"<é>", i)
		uri, err := s.d.URI(drivers.Key{UserID: fmt.Sprintf("user%d", i%3), Bucket: fmt.Sprintf("bucket_%d", i%2), ArchiveID: id})
		if err != nil {
			t.Fatal(err)
		}
		bodies[uri] = randomBytes(byte(i), i%257)
		uris = append(uris, uri)
	}
	var wg sync.WaitGroup
	for w := range 16 {
		wg.Go(func() {
			for i := w; i < len(uris); i += 16 {
				body := bodies[uris[i]]
				if _, err := s.d.Put(s.ctx, uris[i], drivers.InMemory(body, md5Hex(body))); err != nil {
					t.Errorf("put: %v", err)
				}
			}
		})
	}
	wg.Wait()
	for i, uri := range uris {
		if i%10 == 9 {
			if err := s.delete(uri); err != nil {
				t.Error(err)
			}
			delete(bodies, uri)
		}
	}
	found := s.list()
	for uri, info := range found {
		body, ok := bodies[uri]
		if !ok {
			t.Errorf("list: %q, which was not put", uri)
			continue
		}
		s.checkInfo("list", info, md5Hex(body), int64(len(body)))
	}
	for uri := range bodies {
		if _, ok := found[uri]; !ok {
			t.Errorf("list: %q is missing", uri)
		}
	}
	s.checkRanges(found)
	enough, calls := errors.New("enough"), 0
	err := lister.List(s.ctx, func(string, drivers.Info) error {
		if calls++; calls == 3 {
			return enough
		}
		return nil
	})
	if !errors.Is(err, enough) || calls != 3 {
		t.Errorf("list: stopped after 3 of %d calls with %v", calls, err)
	}
}

// checkRanges checks that ranges of a listing are together the whole, each in its order.
func (s *store) checkRanges(found map[string]drivers.Info) {
	s.Helper()
	if !s.d.Capabilities().ListsRanges {
		return
	}
	uris := slices.Sorted(maps.Keys(found))
	bounds := []string{"", uris[0], uris[1], uris[len(uris)/2] + "x", uris[len(uris)-1], uris[len(uris)-1] + "x", ""}
	var got []string
	for i, last := range bounds[1:] {
		after := bounds[i]
		err := s.d.(drivers.Ranger).ListRange(s.ctx, after, last, func(uri string, info drivers.Info) error {
			if uri <= after || last != "" && uri > last {
				s.Errorf("list from %q to %q: %q", after, last, uri)
			}
			if info != found[uri] {
				s.Errorf("list from %q to %q: %q is %v, in the whole listing %v", after, last, uri, info, found[uri])
			}
			got = append(got, uri)
			return nil
		})
		if err != nil {
			s.Errorf("list from %q to %q: %v", after, last, err)
		}
	}
	if !slices.Equal(got, uris) {
		s.Errorf("ranges list %d payloads, the whole has %d; the first that differs is %q", len(got), len(uris), firstDifference(got, uris))
	}
}

// testTwoStores checks that stores with different prefixes on one backend do
// not get in each other's way.
func testTwoStores(t *testing.T, b Backend) {
	if b.OpenBeside == nil {
		return
	}
	one := open(t, b)
	two := use(t, b, b.OpenBeside(t, one.d))
	if one.d.Prefix() == two.d.Prefix() || one.d.Place() == two.d.Place() {
		t.Fatalf("two stores with prefix %q and %q, place %q and %q", one.d.Prefix(), two.d.Prefix(), one.d.Place(), two.d.Place())
	}
	a, z := one.uri("same key"), two.uri("same key")
	if a == z {
		t.Fatalf("both stores have the URI %q", a)
	}
	one.put(a, []byte("in one"))
	two.misses(z)
	two.put(z, []byte("in two, longer"))
	one.holds(a, []byte("in one"))
	two.holds(z, []byte("in two, longer"))
	if _, ok := one.d.(drivers.Lister); ok {
		for s, uri := range map[*store]string{one: a, two: z} {
			found := s.list()
			if _, ok := found[uri]; !ok || len(found) != 1 {
				t.Errorf("%s lists %v", s.d.Place(), found)
			}
		}
	}
	if err := one.d.Delete(one.ctx, a); err != nil {
		t.Error(err)
	}
	one.misses(a)
	two.holds(z, []byte("in two, longer"))
}
