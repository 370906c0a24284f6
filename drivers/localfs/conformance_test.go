package localfs

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/drivers/drivertest"
)

// openAt opens a store that a test closes itself.
func openAt(tb testing.TB, dir string) *Store {
	tb.Helper()
	s, err := Open(tb.Context(), Options{ArchiveDataDir: dir}, true)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// openTemp opens a store in a fresh directory and closes it at the test's end.
func openTemp(tb testing.TB) *Store {
	tb.Helper()
	s := openAt(tb, filepath.Join(tb.TempDir(), "archive"))
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Error(err)
		}
	})
	return s
}

// entries lists everything under dir, relative to it.
func entries(tb testing.TB, dir string) []string {
	tb.Helper()
	var found []string
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err == nil && path != dir {
			found = append(found, strings.TrimPrefix(path, dir+"/"))
		}
		return err
	})
	if err != nil {
		tb.Fatal(err)
	}
	return found
}

func TestConformance(t *testing.T) {
	backend := func(whole bool) drivertest.Backend {
		openStore := func(tb testing.TB) drivers.Driver {
			s := openAt(tb, filepath.Join(tb.TempDir(), "made", "with parents"))
			if !whole {
				s.sync.whole = nil
			}
			return s
		}
		return drivertest.Backend{
			Open:       openStore,
			OpenBeside: func(tb testing.TB, _ drivers.Driver) drivers.Driver { return openStore(tb) },
			Corrupt: func(tb testing.TB, _ drivers.Driver, uri string) {
				path := strings.TrimPrefix(uri, "file://")
				b, err := os.ReadFile(path)
				if err != nil {
					tb.Fatal(err)
				}
				b[len(b)/2] ^= 1
				if err := os.WriteFile(path, b, 0o644); err != nil {
					tb.Fatal(err)
				}
			},
			Refuses: func(k drivers.Key) bool {
				return k.Bucket == "" || k.Bucket == "." || k.Bucket == ".." || strings.ContainsAny(k.Bucket, "/\x00") || len(k.Bucket) > 255
			},
			Leftovers: leftovers,
		}
	}
	t.Run("whole file system", func(t *testing.T) { drivertest.Run(t, backend(true)) })
	t.Run("file by file", func(t *testing.T) { drivertest.Run(t, backend(false)) })
}

// leftovers lists temporary files and empty directories.
func leftovers(tb testing.TB, d drivers.Driver) []string {
	root := d.(*Store).dir
	var left []string
	for _, name := range entries(tb, root) {
		path := filepath.Join(root, name)
		info, err := os.Lstat(path)
		if err != nil {
			tb.Fatal(err)
		}
		switch {
		case info.IsDir():
			inside, err := os.ReadDir(path)
			if err != nil {
				tb.Fatal(err)
			}
			if len(inside) == 0 {
				left = append(left, name+"/")
			}
		case !isDocument(info.Name()):
			left = append(left, name)
		}
	}
	return left
}

// BenchmarkPut puts small payloads one after the other, and syncs at the end.
func BenchmarkPut(b *testing.B) {
	s := openTemp(b)
	body := make([]byte, 4096)
	digest := md5Hex(string(body))
	b.SetBytes(int64(len(body)))
	var n int
	for b.Loop() {
		n++
		uri, err := s.URI(drivers.Key{UserID: "admin", Bucket: "analysis_data", ArchiveID: fmt.Sprint(n)})
		if err != nil {
			b.Fatal(err)
		}
		if _, err := s.Put(b.Context(), uri, drivers.InMemory(body, digest)); err != nil {
			b.Fatal(err)
		}
	}
	if err := s.Sync(b.Context()); err != nil {
		b.Fatal(err)
	}
}
