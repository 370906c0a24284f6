package localfs

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kedge/kedge/drivers"
)

func TestOpenRefuses(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	user := md5Hex("admin")
	with := func(names ...string) string {
		dir := t.TempDir()
		for _, name := range names {
			var err error
			if dirName, ok := strings.CutSuffix(name, "/"); ok {
				err = os.Mkdir(filepath.Join(dir, dirName), 0o755)
			} else {
				err = os.WriteFile(filepath.Join(dir, name), nil, 0o644)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		return dir
	}
	for name, test := range map[string]struct {
		dir  string
		says []string
	}{
		"missing option":        {"", []string{"archive_data_dir is missing"}},
		"relative":              {"archive", []string{"relative"}},
		"dots":                  {"/a/../b", []string{`".."`}},
		"NUL":                   {"/a\x00b", []string{"NUL"}},
		"a file":                {file, []string{file, "not a directory"}},
		"under a file":          {file + "/x", []string{file + "/x", "not a directory"}},
		"foreign file":          {with("notes.txt"), []string{`"notes.txt"`}},
		"foreign directory":     {with("lost+found/", user+"/"), []string{`"lost+found"`}},
		"file with a hash name": {with(user), []string{user}},
		"31 digits":             {with(user[:31] + "/"), []string{user[:31]}},
		"many":                  {with("1", "2", "3", "4", "5", "6", "7"), []string{"and 2 more"}},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := Open(t.Context(), Options{ArchiveDataDir: test.dir}, true)
			if err == nil {
				s.Close()
				t.Fatal("opened")
			}
			if drivers.KindOf(err) != drivers.Config {
				t.Errorf("kind %d of %v", drivers.KindOf(err), err)
			}
			for _, want := range test.says {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q does not say %q", err, want)
				}
			}
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("several lines: %q", err)
			}
		})
	}
}

func TestOpenMissing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	if _, err := Open(t.Context(), Options{ArchiveDataDir: dir}, false); drivers.KindOf(err) != drivers.Config {
		t.Errorf("a missing directory: %v", err)
	}
	if _, err := os.Stat(filepath.Dir(dir)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("something was made: %v", err)
	}
	s, err := Open(t.Context(), Options{ArchiveDataDir: dir}, true)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if s, err = Open(t.Context(), Options{ArchiveDataDir: dir}, false); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// TestOpenAccepts checks what Anchore itself accepts: names that only begin
// with 32 hex digits, and links to directories.
func TestOpenAccepts(t *testing.T) {
	dir := t.TempDir()
	user := md5Hex("admin")
	for _, name := range []string{user, strings.ToUpper(md5Hex("x")), md5Hex("y") + ".old"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(user, filepath.Join(dir, md5Hex("z"))); err != nil {
		t.Fatal(err)
	}
	s, err := Open(t.Context(), Options{ArchiveDataDir: dir}, false)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// TestPlace checks that two ways to write one directory name one place.
func TestPlace(t *testing.T) {
	real := filepath.Join(t.TempDir(), "real")
	link := filepath.Join(filepath.Dir(real), "link")
	if err := os.Symlink(real, link); err != nil {
		t.Fatal(err)
	}
	var places []string
	for _, dir := range []string{real, real + "/", strings.Replace(real, "/real", "//./real", 1), link} {
		s := openAt(t, dir)
		places = append(places, s.Place())
		want := "file://" + strings.TrimSuffix(dir, "/") + "/"
		if s.Prefix() != want {
			t.Errorf("Prefix %q, want %q", s.Prefix(), want)
		}
		uri, err := s.URI(drivers.Key{UserID: "u", Bucket: "b", ArchiveID: "a"})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Put(t.Context(), uri, drivers.InMemory([]byte("x"), "")); err != nil {
			t.Errorf("put through %q: %v", dir, err)
		}
		if err := s.Delete(t.Context(), uri); err != nil {
			t.Errorf("delete through %q: %v", dir, err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	for _, place := range places {
		if place != places[0] {
			t.Errorf("places differ: %q", places)
		}
	}
}
