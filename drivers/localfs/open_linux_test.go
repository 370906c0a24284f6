package localfs

import (
	"io"
	"os"
	"path/filepath"
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
