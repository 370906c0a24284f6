package localfs

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kedge/kedge/drivers"
)

// linkFolder has a symbolic link in the place of a folder of an archive, to one
// beside it that is there.
func linkFolder(t *testing.T, folder string) {
	t.Helper()
	if err := os.MkdirAll(folder+".real", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Base(folder)+".real", folder); err != nil {
		t.Fatal(err)
	}
}

// withoutOpenat2 has everything of a store opened by os.Root.
func withoutOpenat2(t *testing.T, s *Store) {
	t.Helper()
	closed, err := newBeneath(s.root)
	if err == nil {
		err = closed.close()
	}
	if err != nil {
		t.Fatal(err)
	}
	usual := s.files
	s.files = closed
	t.Cleanup(func() { s.files = usual })
}

// A document is not put through a link that stands for one of its folders, at
// whatever depth, be it found by openat2 or by os.Root.
func TestPutThroughNoLink(t *testing.T) {
	for _, depth := range []int{1, 2, 3} {
		for _, below := range []bool{true, false} {
			s := openTemp(t)
			if !below {
				withoutOpenat2(t, s)
			}
			uri, err := s.URI(drivers.Key{UserID: "u", Bucket: "b", ArchiveID: "a"})
			if err != nil {
				t.Fatal(err)
			}
			parts := strings.Split(strings.TrimPrefix(uri, s.Prefix()), "/")
			link := filepath.Join(append([]string{s.dir}, parts[:depth]...)...)
			if err := os.MkdirAll(filepath.Dir(link), 0o755); err != nil {
				t.Fatal(err)
			}
			linkFolder(t, link)
			_, err = s.Put(t.Context(), uri, drivers.InMemory([]byte("x"), ""))
			if drivers.KindOf(err) != drivers.Other || !strings.Contains(err.Error(), "symbolic link") || !strings.Contains(err.Error(), "put a directory in its place") {
				t.Errorf("depth %d: %v", depth, err)
			}
			for _, root := range []string{link, link + ".real"} {
				if entries, err := os.ReadDir(root); err != nil || len(entries) > 0 {
					t.Errorf("depth %d: %s holds %v, %v", depth, root, entries, err)
				}
			}
			if _, err := s.Stat(t.Context(), uri); drivers.KindOf(err) != drivers.NotFound {
				t.Errorf("depth %d: %v", depth, err)
			}
		}
	}
}

// An archive with such a link is refused as a destination, and named.
func TestRefuseLinks(t *testing.T) {
	user := md5Hex("u")
	other := md5Hex("v")
	for _, folder := range []string{"", other, user + "/b", user + "/b/0c"} {
		dir := t.TempDir()
		for _, plain := range []string{user + "/c/ff", md5Hex("w") + "/d"} {
			if err := os.MkdirAll(filepath.Join(dir, plain), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		o := Options{ArchiveDataDir: dir}
		if folder == "" {
			if err := RefuseLinks(t.Context(), o); err != nil {
				t.Error(err)
			}
			continue
		}
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, folder)), 0o755); err != nil {
			t.Fatal(err)
		}
		linkFolder(t, filepath.Join(dir, folder))
		if err := RefuseLinks(t.Context(), o); drivers.KindOf(err) != drivers.Config || !strings.Contains(err.Error(), ": "+folder) {
			t.Errorf("%s: %v", folder, err)
		}
	}
	if err := RefuseLinks(t.Context(), Options{ArchiveDataDir: filepath.Join(t.TempDir(), "missing")}); err != nil {
		t.Error(err)
	}
}

// Who reads an archive may do so through links, and remove what was moved.
func TestReadThroughLinks(t *testing.T) {
	s := openTemp(t)
	uri, err := s.URI(drivers.Key{UserID: "u", Bucket: "b", ArchiveID: "a"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Put(t.Context(), uri, drivers.InMemory([]byte("x"), "")); err != nil {
		t.Fatal(err)
	}
	bucket := filepath.Join(s.dir, md5Hex("u"), "b")
	if err := errors.Join(os.Rename(bucket, bucket+".real"), os.Symlink("b.real", bucket)); err != nil {
		t.Fatal(err)
	}
	if info, err := s.Stat(t.Context(), uri); err != nil || info.Bytes != 1 {
		t.Errorf("%+v, %v", info, err)
	}
	if err := s.Delete(t.Context(), uri); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(strings.TrimPrefix(uri, "file://")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the file: %v", err)
	}
}
