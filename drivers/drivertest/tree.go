package drivertest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/kedge/kedge/drivers"
)

// treePaths are of the kinds that a registry makes, and those whose order is
// easily got wrong: "-" and "." come before "/", which comes before letters.
func treePaths() []string {
	paths := []string{"docker/registry/v2/top", "docker/registry-other/x", "other"}
	for _, name := range []string{"team", "team-a", "team.b", "team0", "team/app", "team/app-x", "team_c"} {
		for _, file := range []string{"_layers/sha256/00/link", "_manifests/revisions/sha256/aa/link", "_manifests/tags/v1/current/link", "_manifests/tags/v1/index/sha256/aa/link", "_manifests/tags/v1.0/current/link"} {
			paths = append(paths, "docker/registry/v2/repositories/"+name+"/"+file)
		}
	}
	for i := range 1200 { // more than a page of a listing
		paths = append(paths, fmt.Sprintf("docker/registry/v2/blobs/sha256/%02x/%040x/data", i%7, i*7919))
	}
	return paths
}

// RunTree checks what package drivers promises of a Tree. open opens a fresh,
// empty one at each call, which RunTree closes.
func RunTree(t *testing.T, open func(tb testing.TB) drivers.Driver) {
	t.Run("Listing", func(t *testing.T) { testTreeListing(t, use(t, Backend{}, open(t))) })
	t.Run("Paths", func(t *testing.T) { testTreePaths(use(t, Backend{}, open(t))) })
	t.Run("Payloads", func(t *testing.T) { testTreePayloads(use(t, Backend{}, open(t))) })
	t.Run("Together", func(t *testing.T) { testTreeTogether(use(t, Backend{}, open(t))) })
}

// pathURI is the URI of a path that the store must take.
func (s *store) pathURI(path string) string {
	s.Helper()
	uri, err := s.d.(drivers.Tree).PathURI(path)
	if err != nil {
		s.Fatalf("PathURI(%q): %v", path, err)
	}
	return uri
}

// listedTree lists a part of a tree.
func (s *store) listedTree(prefix, after string) (paths []string) {
	s.Helper()
	err := s.d.(drivers.Tree).ListAfter(s.ctx, prefix, after, func(path string, info drivers.Info) error {
		if info.Bytes != int64(len(path)) {
			s.Errorf("list: %q has %d bytes, want %d", path, info.Bytes, len(path))
		}
		if info.Version == "" {
			s.Errorf("list: %q has no version", path)
		}
		paths = append(paths, path)
		return nil
	})
	if err != nil {
		s.Fatalf("list %q after %q: %v", prefix, after, err)
	}
	return paths
}

// fillTree puts a file under each path that holds the path itself.
func (s *store) fillTree(paths []string) {
	s.Helper()
	var wg sync.WaitGroup
	for w := range 16 {
		wg.Go(func() {
			for i := w; i < len(paths); i += 16 {
				uri, err := s.d.(drivers.Tree).PathURI(paths[i])
				if err == nil {
					_, err = s.d.Put(s.ctx, uri, drivers.InMemory([]byte(paths[i]), md5Hex([]byte(paths[i]))))
				}
				if err != nil {
					s.Errorf("put %q: %v", paths[i], err)
				}
			}
		})
	}
	wg.Wait()
}

func testTreeListing(t *testing.T, s *store) {
	if found := s.listedTree("", ""); len(found) != 0 {
		t.Fatalf("an empty tree lists %q", found)
	}
	paths := treePaths()
	s.fillTree(paths)
	slices.Sort(paths)
	for _, prefix := range []string{"", "docker/registry/", "docker/registry", "docker/registry/v2/repositories/team", "docker/registry/v2/repositories/team/", "docker/registry/v2/blobs/sha256/0", "docker/registry/v2/blobs/sha256/03/", "nowhere/"} {
		within := slices.DeleteFunc(slices.Clone(paths), func(p string) bool { return !strings.HasPrefix(p, prefix) })
		afters := []string{"", prefix, "docker/registry/v2/repositories/team", "docker/registry/v2/repositories/team/app/_m", "docker/registry/v2/blobs/sha256/02/zz", "zzz"}
		for i := 0; i < len(within); i += max(1, len(within)/5) {
			afters = append(afters, within[i])
		}
		for _, after := range afters {
			want := slices.DeleteFunc(slices.Clone(within), func(p string) bool { return p <= after })
			if got := s.listedTree(prefix, after); !slices.Equal(got, want) {
				t.Errorf("list %q after %q: %d paths, want %d; the first that differs is %q", prefix, after, len(got), len(want), firstDifference(got, want))
			}
		}
	}
	enough, calls := errors.New("enough"), 0
	err := s.d.(drivers.Tree).ListAfter(s.ctx, "", "", func(string, drivers.Info) error {
		if calls++; calls == 3 {
			return enough
		}
		return nil
	})
	if !errors.Is(err, enough) || calls != 3 {
		t.Errorf("list: stopped after 3 of %d calls with %v", calls, err)
	}
	ctx, cancel := context.WithCancel(s.ctx)
	cancel()
	if err := s.d.(drivers.Tree).ListAfter(ctx, "", "", func(string, drivers.Info) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("list with a cancelled context: %v", err)
	}
}

func firstDifference(got, want []string) string {
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			return got[i] + " in place of " + want[i]
		}
	}
	return "behind the end"
}

// testTreePaths checks that what is no path is refused, and never becomes
// another one.
func testTreePaths(s *store) {
	for _, path := range []string{"", "/", "/a", "a/", "a//b", ".", "..", "a/./b", "a/../b", "../x", "a\x00b", "x/" + strings.Repeat("y", 5000)} {
		if uri, err := s.d.(drivers.Tree).PathURI(path); drivers.KindOf(err) != drivers.InvalidKey {
			s.Errorf("PathURI(%.50q) = %.50q, %v, want kind InvalidKey", path, uri, err)
		}
	}
	for _, path := range []string{"a", "a/b", "a b/c", "é/ü", ".hidden", "x/..y", "docker/registry/v2/repositories/x/_manifests/tags/v1/current/link"} {
		uri := s.pathURI(path)
		if !strings.HasPrefix(uri, s.d.Prefix()) {
			s.Errorf("PathURI(%q) = %q does not begin with %q", path, uri, s.d.Prefix())
		}
	}
}

// testTreePayloads checks that files come back as they were put, that a Put that
// fails leaves what was there, and that a version tells of a change.
func testTreePayloads(s *store) {
	path := "docker/registry/v2/blobs/sha256/00/x/data"
	uri := s.pathURI(path)
	s.misses(uri)
	version := func() (v string) {
		s.Helper()
		if err := s.d.(drivers.Tree).ListAfter(s.ctx, path, "", func(_ string, info drivers.Info) error { v = info.Version; return nil }); err != nil {
			s.Fatal(err)
		}
		return v
	}
	put := func(body []byte) {
		s.Helper()
		receipt, err := s.d.Put(s.ctx, uri, drivers.InMemory(body, md5Hex(body)))
		if err != nil {
			s.Fatal(err)
		}
		s.checkReceipt(receipt, md5Hex(body), int64(len(body)))
		if receipt.Version == "" || receipt.Version != version() {
			s.Errorf("Receipt.Version is %q, the listing says %q", receipt.Version, version())
		}
		s.holds(uri, body)
	}
	put([]byte("first"))
	first := version()
	put([]byte("later"))
	if version() == first {
		s.Errorf("another payload has the version %q again", first)
	}
	long := randomBytes(3, 11<<20) // several parts
	rotten := errors.New("rotten at its last byte")
	_, err := s.d.Put(s.ctx, uri, drivers.Payload{Length: int64(len(long)), Open: func(context.Context) (io.ReadCloser, error) {
		return io.NopCloser(io.MultiReader(strings.NewReader(string(long[:len(long)-1])), &failingReader{rotten})), nil
	}})
	if !errors.Is(err, rotten) {
		s.Errorf("put of a stream that fails: %v", err)
	}
	s.holds(uri, []byte("later"))
	receipt, err := s.d.Put(s.ctx, uri, drivers.Payload{Length: int64(len(long)), Open: func(context.Context) (io.ReadCloser, error) {
		return io.NopCloser(strings.NewReader(string(long))), nil
	}})
	if err != nil || receipt.Version == "" || receipt.Version != version() {
		s.Errorf("put of a stream: version %q, %v; the listing says %q", receipt.Version, err, version())
	}
	s.holds(uri, long)
	if err := s.delete(uri); err != nil {
		s.Error(err)
	}
	s.misses(uri)
	if found := s.listedTree("", ""); len(found) != 0 {
		s.Errorf("the emptied tree lists %q", found)
	}
}

// failingReader only fails.
type failingReader struct{ err error }

func (r *failingReader) Read([]byte) (int, error) { return 0, r.err }

// testTreeTogether puts and deletes neighbours at the same time: directories come
// and go, no file is lost.
func testTreeTogether(s *store) {
	paths := make([]string, 300)
	for i := range paths {
		paths[i] = fmt.Sprintf("docker/registry/v2/repositories/app/_manifests/tags/v%d/index/%d/link", i%5, i%60*1000+i)
	}
	for range 3 {
		s.fillTree(paths)
		var wg sync.WaitGroup
		for w := range 8 {
			wg.Go(func() {
				for i := w; i < len(paths); i += 8 {
					if i%2 == 0 {
						if err := s.delete(s.pathURI(paths[i])); err != nil {
							s.Error(err)
						}
					} else if _, err := s.d.Put(s.ctx, s.pathURI(paths[i]), drivers.InMemory([]byte(paths[i]), md5Hex([]byte(paths[i])))); err != nil {
						s.Error(err)
					}
				}
			})
		}
		wg.Wait()
	}
	var want []string
	for i, path := range paths {
		if i%2 == 1 {
			want = append(want, path)
		}
	}
	slices.Sort(want)
	if got := s.listedTree("", ""); !slices.Equal(got, want) {
		s.Errorf("%d paths are listed, want %d", len(got), len(want))
	}
}
