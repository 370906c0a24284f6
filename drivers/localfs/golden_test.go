package localfs

import (
	"archive/tar"
	"compress/gzip"
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kedge/kedge/drivers"
)

// TestGolden reads an archive that Anchore Engine wrote: every document lies at
// the URI that its key gives, with the digest of its catalog row, nothing else
// is listed, and deleting all of them leaves an empty root.
func TestGolden(t *testing.T) {
	for _, name := range []string{"localfs_on", "localfs_off"} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "archive")
			unpack(t, "../../testdata/golden/"+name+".tar.gz", dir)
			s := openAt(t, dir)
			defer s.Close()
			documents := manifest(t, "../../testdata/golden/"+name+".manifest.json")
			listed := map[string]int64{}
			if err := s.List(t.Context(), func(uri string, info drivers.Info) error { listed[uri] = info.Bytes; return nil }); err != nil {
				t.Fatal(err)
			}
			if len(listed) != len(documents) || len(documents) < 40 {
				t.Errorf("%d files for %d documents", len(listed), len(documents))
			}
			for _, doc := range documents {
				uri, err := s.URI(drivers.Key{UserID: doc.UserID, Bucket: doc.Bucket, ArchiveID: doc.ArchiveID})
				if want := strings.Replace(doc.ContentURL, "@@ARCHIVE_DATA_DIR@@", dir, 1); err != nil || uri != want {
					t.Errorf("URI %q, %v, want %q", uri, err, want)
					continue
				}
				body, info, err := s.Get(t.Context(), uri)
				if err != nil {
					t.Error(err)
					continue
				}
				hash := md5.New()
				n, err := io.Copy(hash, body)
				if err := errors.Join(err, body.Close()); err != nil {
					t.Error(err)
				}
				if sum := hex.EncodeToString(hash.Sum(nil)); sum != doc.Digest || n != doc.Size || info.Bytes != n || listed[uri] != n {
					t.Errorf("%s: %d bytes with MD5 %s, want %d with %s", uri, n, sum, doc.Size, doc.Digest)
				}
				if err := s.Delete(t.Context(), uri); err != nil {
					t.Error(err)
				}
			}
			if left := entries(t, dir); len(left) != 0 {
				t.Errorf("left: %q", left)
			}
		})
	}
}

type goldenDocument struct {
	UserID     string `json:"userId"`
	Bucket     string `json:"bucket"`
	ArchiveID  string `json:"archiveId"`
	ContentURL string `json:"content_url"`
	Digest     string `json:"digest"`
	Size       int64  `json:"size"`
}

func manifest(t *testing.T, path string) []goldenDocument {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var m struct {
		Docs []goldenDocument `json:"docs"`
	}
	if err := json.Unmarshal(b, &m); err != nil {
		t.Fatal(err)
	}
	return m.Docs
}

func unpack(t *testing.T, archive, dir string) {
	t.Helper()
	f, err := os.Open(archive)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	for r := tar.NewReader(z); ; {
		header, err := r.Next()
		if err == io.EOF {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		if header.Typeflag != tar.TypeReg {
			continue
		}
		path := filepath.Join(dir, filepath.Join("/", header.Name))
		b, err := io.ReadAll(r)
		if err := errors.Join(err, os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, b, 0o644)); err != nil {
			t.Fatal(err)
		}
	}
}
