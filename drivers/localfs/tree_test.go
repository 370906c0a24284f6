package localfs

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/drivers/drivertest"
)

func openTreeAt(tb testing.TB, dir string) *Store {
	tb.Helper()
	s, err := OpenTree(tb.Context(), TreeOptions{RootDirectory: dir}, true)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

func TestTree(t *testing.T) {
	drivertest.RunTree(t, func(tb testing.TB) drivers.Driver { return openTreeAt(tb, filepath.Join(tb.TempDir(), "made", "root")) })
}

func TestOpenTreeRefused(t *testing.T) {
	for _, dir := range []string{"", "relative", "a\x00b", filepath.Join(t.TempDir(), "missing")} {
		if s, err := OpenTree(t.Context(), TreeOptions{RootDirectory: dir}, false); drivers.KindOf(err) != drivers.Config {
			t.Errorf("OpenTree(%q) = %v, %v", dir, s, err)
		}
	}
}

// Whoever lists the tags of a repository while they are put never finds one that
// has no link yet, nor anything else.
func TestTagAppearsWithItsLink(t *testing.T) {
	dir := t.TempDir()
	s := openTreeAt(t, dir)
	defer s.Close()
	const tags = "docker/registry/v2/repositories/app/_manifests/tags"
	ctx, stop := context.WithCancel(t.Context())
	var watcher sync.WaitGroup
	seen := 0
	watcher.Go(func() {
		for ctx.Err() == nil {
			entries, err := os.ReadDir(filepath.Join(dir, tags))
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				t.Error(err)
			}
			for _, e := range entries {
				seen++
				if _, err := os.Stat(filepath.Join(dir, tags, e.Name(), "current", "link")); err != nil {
					t.Errorf("a tag without its link: %v", err)
					return
				}
			}
		}
	})
	var putters sync.WaitGroup
	for w := range 4 {
		putters.Go(func() {
			for i := range 200 {
				uri, err := s.PathURI(tags + "/" + strings.Repeat("v", w+1) + strings.Repeat("x", i) + "/current/link")
				if err != nil {
					t.Error(err)
				} else if _, err := s.Put(ctx, uri, drivers.InMemory([]byte("x"), "9dd4e461268c8034f5c8564e155c67a6")); err != nil {
					t.Error(err)
				}
			}
		})
	}
	putters.Wait()
	stop()
	watcher.Wait()
	if seen == 0 {
		t.Error("the watcher saw no tag at all")
	}
}

// A symbolic link inside of the root is followed; one that leads out of it makes
// the listing fail, not leave anything out.
func TestTreeWithSymbolicLinks(t *testing.T) {
	dir, outside := t.TempDir(), t.TempDir()
	for path, content := range map[string]string{
		filepath.Join(dir, "docker/registry/v2/real/00/data"): "x",
		filepath.Join(outside, "11/data"):                     "y",
	} {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("real", filepath.Join(dir, "docker/registry/v2/blobs")); err != nil {
		t.Fatal(err)
	}
	s := openTreeAt(t, dir)
	defer s.Close()
	list := func() (paths []string, err error) {
		err = s.ListAfter(t.Context(), "docker/", "", func(path string, _ drivers.Info) error { paths = append(paths, path); return nil })
		return paths, err
	}
	if got, err := list(); err != nil || strings.Join(got, " ") != "docker/registry/v2/blobs/00/data docker/registry/v2/real/00/data" {
		t.Errorf("listed %q, %v", got, err)
	}
	if err := os.Symlink(outside, filepath.Join(dir, "docker/registry/v2/away")); err != nil {
		t.Fatal(err)
	}
	if got, err := list(); err == nil || !strings.Contains(err.Error(), "symbolic link") {
		t.Errorf("listed %q, %v, want an error about the symbolic link", got, err)
	}
}

// What a killed put has left is replaced by the next, and nothing stays behind.
func TestTreeLeavesNoTemporaryFiles(t *testing.T) {
	dir := t.TempDir()
	s := openTreeAt(t, dir)
	uri, err := s.PathURI("docker/registry/v2/a/b/link")
	if err != nil {
		t.Fatal(err)
	}
	loc, err := s.locate("put", uri)
	if err != nil {
		t.Fatal(err)
	}
	left := filepath.Join(dir, stagingDir, branchName(loc), "b")
	if err := os.MkdirAll(left, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{filepath.Join(left, "link"), filepath.Join(dir, stagingDir, stagedName(loc))} {
		if err := os.WriteFile(path, []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Put(t.Context(), uri, drivers.InMemory([]byte("x"), "9dd4e461268c8034f5c8564e155c67a6")); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(entries(t, dir), " "); got != "docker docker/registry docker/registry/v2 docker/registry/v2/a docker/registry/v2/a/b docker/registry/v2/a/b/link" {
		t.Errorf("there are %s", got)
	}
}

// A directory that is removed while the tree is listed is no fault.
func TestTreeListedWhileEmptied(t *testing.T) {
	s := openTreeAt(t, t.TempDir())
	defer s.Close()
	for round := range 20 {
		var uris []string
		for i := range 50 {
			uri, err := s.PathURI(strings.Repeat("d", i+1) + "/file")
			if err != nil {
				t.Fatal(err)
			}
			if _, err := s.Put(t.Context(), uri, drivers.InMemory([]byte("x"), "9dd4e461268c8034f5c8564e155c67a6")); err != nil {
				t.Fatal(err)
			}
			uris = append(uris, uri)
		}
		var deleting sync.WaitGroup
		deleting.Go(func() {
			for _, uri := range uris {
				if err := s.Delete(t.Context(), uri); err != nil {
					t.Error(err)
				}
			}
		})
		for range 5 {
			if err := s.ListAfter(t.Context(), "", "", func(string, drivers.Info) error { return nil }); err != nil {
				t.Fatalf("round %d: %v", round, err)
			}
		}
		deleting.Wait()
	}
}
