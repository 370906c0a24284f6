package localfs

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/kedge/kedge/drivers"
)

// TestBeneath looks at what is opened in one system call, and what is left to
// os.Root.
func TestBeneath(t *testing.T) {
	s := openTemp(t)
	for path, content := range map[string]string{"a/b/file": "content", "../outside": "secret"} {
		path = filepath.Join(s.dir, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for link, target := range map[string]string{"inner": "a/b", "outer": "../outside", "absolute": filepath.Join(s.dir, "a/b/file")} {
		if err := os.Symlink(target, filepath.Join(s.dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	for path, opens := range map[string]bool{
		"a/b/file": true, "inner/file": true, "a/../a/b/file": true,
		"outer": false, "absolute": false, "../outside": false, "/proc/self/exe": false, "missing": false,
	} {
		file := s.files.open(path)
		if (file != nil) != opens {
			t.Errorf("%s: opened is %v, want %v", path, file != nil, opens)
		}
		if file == nil {
			continue
		}
		if content, err := io.ReadAll(file); err != nil || string(content) != "content" {
			t.Errorf("%s holds %q, %v", path, content, err)
		}
		if err := file.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestComputedMD5 checks that a payload whose MD5 the caller vouches for is
// stored as it is, under that MD5, and one of another length is not.
func TestComputedMD5(t *testing.T) {
	s := openTemp(t)
	uri, err := s.URI(drivers.Key{UserID: "u", Bucket: "b", ArchiveID: "a"})
	if err != nil {
		t.Fatal(err)
	}
	p := drivers.InMemory([]byte("payload"), md5Hex("payload"))
	p.Computed = true
	if receipt, err := s.Put(t.Context(), uri, p); err != nil || receipt.MD5 != p.MD5 || receipt.Bytes != p.Length || receipt.ProvenMD5 != "" {
		t.Errorf("%+v, %v", receipt, err)
	}
	p.Length++
	if _, err := s.Put(t.Context(), uri, p); drivers.KindOf(err) != drivers.Corrupt {
		t.Errorf("of another length: %v", err)
	}
}

// TestFolder does with a directory's descriptor what os.Root does.
func TestFolder(t *testing.T) {
	s := openTemp(t)
	for name, opened := range map[string]func(dir string) (folder, error){
		"descriptor": func(dir string) (folder, error) {
			in := s.files.openFolder(dir, false)
			if in == nil {
				t.Fatal("not opened by openat2")
			}
			return in, nil
		},
		"os.Root": func(dir string) (folder, error) {
			root, err := s.root.OpenRoot(dir)
			return rooted{root}, err
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(s.dir, name)
			if err := os.Mkdir(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			in, err := opened(name)
			if err != nil {
				t.Fatal(err)
			}
			if device, err := in.device(); err != nil || device != s.sync.device {
				t.Errorf("device %d, the root's is %d, %v", device, s.sync.device, err)
			}
			if err := os.Symlink("target", filepath.Join(dir, "planted")); err != nil {
				t.Fatal(err)
			}
			if _, err := in.make("planted"); !errors.Is(err, fs.ErrExist) {
				t.Errorf("made through a link: %v", err)
			}
			file, err := create(in, "planted")
			if err != nil {
				t.Fatal(err)
			}
			if _, err := file.WriteString("content"); err != nil {
				t.Fatal(err)
			}
			if err := file.Close(); err != nil {
				t.Fatal(err)
			}
			if err := in.rename("planted", "name"); err != nil {
				t.Fatal(err)
			}
			if content, err := os.ReadFile(filepath.Join(dir, "name")); err != nil || string(content) != "content" {
				t.Errorf("name holds %q, %v", content, err)
			}
			if err := in.remove("name"); err != nil {
				t.Fatal(err)
			}
			if err := in.remove("name"); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("removed what is not there: %v", err)
			}
			for link, target := range map[string]string{"full": dir, "file": "name"} {
				if err := os.Symlink(target, filepath.Join(dir, link)); err != nil {
					t.Fatal(err)
				}
				if err := in.removeDirectory(link); !errors.Is(err, syscall.ENOTDIR) {
					t.Errorf("a link removed as a directory: %v", err)
				}
				if err := in.remove(link); err != nil {
					t.Error(err)
				}
			}
			if err := os.MkdirAll(filepath.Join(dir, "full", "empty"), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := in.removeDirectory("full"); !errors.Is(err, syscall.ENOTEMPTY) {
				t.Errorf("a directory that is not empty: %v", err)
			}
			if err := os.Remove(filepath.Join(dir, "full", "empty")); err != nil {
				t.Fatal(err)
			}
			if err := in.removeDirectory("full"); err != nil {
				t.Error(err)
			}
			if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
				t.Errorf("left: %v, %v", left, err)
			}
			if err := os.Remove(dir); err != nil {
				t.Fatal(err)
			}
			if _, err := in.make("late"); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("made in a folder that is gone: %v", err)
			}
			if err := in.close(); err != nil {
				t.Error(err)
			}
		})
	}
	if s.files.openFolder("missing", false) != nil {
		t.Error("a folder that is not there was opened")
	}
}

// TestReadBack checks that a payload whose MD5 nobody has computed is stored as it
// is where nothing is, and replaces nothing unless it is what it was said to be.
func TestReadBack(t *testing.T) {
	s := openTemp(t)
	uri, err := s.URI(drivers.Key{UserID: "u", Bucket: "b", ArchiveID: "a"})
	if err != nil {
		t.Fatal(err)
	}
	put := func(content, announced string) error {
		p := drivers.InMemory([]byte(content), md5Hex(announced))
		p.ReadBack = true
		receipt, err := s.Put(t.Context(), uri, p)
		if err == nil && (receipt.MD5 != md5Hex(announced) || receipt.Bytes != p.Length || receipt.ProvenMD5 != "" || receipt.Version == "") {
			t.Errorf("receipt of %q: %+v", content, receipt)
		}
		return err
	}
	holds := func(want string) {
		t.Helper()
		r, _, err := s.Get(t.Context(), uri)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		if got, err := io.ReadAll(r); err != nil || string(got) != want {
			t.Errorf("holds %q, %v; want %q", got, err, want)
		}
		entries, err := os.ReadDir(filepath.Join(s.dir, md5Hex("u"), "b", md5Hex("a")[:2]))
		if err != nil || len(entries) != 1 {
			t.Errorf("beside it: %v, %v", entries, err)
		}
	}
	if err := put("rotten", "payload"); err != nil {
		t.Fatal(err)
	}
	holds("rotten")
	if err := put("payload", "payload"); err != nil {
		t.Fatal(err)
	}
	holds("payload")
	if err := put("rotten", "another"); drivers.KindOf(err) != drivers.Corrupt {
		t.Errorf("what is rotten replaced what is there: %v", err)
	}
	holds("payload")
}
