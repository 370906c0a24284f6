package localfs

import (
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/kedge/kedge/drivers"
)

// What root puts belongs to whom the archive belongs to.
func TestFilesBelongToTheArchivesOwner(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "archive")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	uid, gid := os.Geteuid(), os.Getegid()
	if uid == 0 {
		uid, gid = 1000, 1001
		if err := os.Chown(dir, uid, gid); err != nil {
			t.Fatal(err)
		}
	}
	s, err := Open(t.Context(), Options{ArchiveDataDir: dir}, false)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	uri, err := s.URI(drivers.Key{UserID: "admin", Bucket: "manifest_data", ArchiveID: "a"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Put(t.Context(), uri, drivers.InMemory([]byte("x"), "9dd4e461268c8034f5c8564e155c67a6")); err != nil {
		t.Fatal(err)
	}
	entries := 0
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		stat := info.Sys().(*syscall.Stat_t)
		if int(stat.Uid) != uid || int(stat.Gid) != gid {
			t.Errorf("%s belongs to %d:%d, want %d:%d", path, stat.Uid, stat.Gid, uid, gid)
		}
		entries++
		return nil
	})
	if err != nil || entries != 5 {
		t.Errorf("%d entries, %v; want root, user, bucket, folder and file", entries, err)
	}
}
