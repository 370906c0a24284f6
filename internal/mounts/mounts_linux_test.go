package mounts

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A real file system in memory is known for one, also through a link, and for a
// path that is not there yet.
func TestSharedMemory(t *testing.T) {
	if _, err := os.Stat("/dev/shm"); err != nil {
		t.Skip("there is no file system in memory")
	}
	dir, err := os.MkdirTemp("/dev/shm", "kedge-mounts-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{dir, file, link, filepath.Join(link, "not", "there"), filepath.Join(dir, "not", "there")} {
		if got := Volatile(path); !strings.Contains(got, "tmpfs, mounted at /dev/shm: it is kept in memory") {
			t.Errorf("%s: %q", path, got)
		}
		if got := volatileByMagic(dir); !strings.Contains(got, "tmpfs") {
			t.Errorf("without /proc: %q", got)
		}
	}
}
