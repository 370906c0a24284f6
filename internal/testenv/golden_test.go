package testenv

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"io"
	"os"
	"strings"
	"testing"
)

func TestGoldenInstallations(t *testing.T) {
	server := Postgres(t)
	for _, name := range GoldenNames() {
		t.Run(name, func(t *testing.T) {
			url, g := server.Golden(t, name)
			if len(g.Documents) != 57 {
				t.Errorf("%d documents; want 57", len(g.Documents))
			}
			if want, _, _ := strings.Cut(name, "_"); g.Config.StorageDriver.Name != want {
				t.Errorf("its driver is %q; want %q", g.Config.StorageDriver.Name, want)
			}
			if want := strings.HasSuffix(name, "_on"); g.Config.Compression.Enabled != want {
				t.Errorf("compression is %v; want %v", g.Config.Compression.Enabled, want)
			}
			sql, err := io.ReadAll(g.SQL())
			if err != nil || bytes.Contains(sql, []byte(archiveDataDir)) {
				t.Errorf("the script still holds %s (%v)", archiveDataDir, err)
			}
			checkRows(t, url, g)
			checkFiles(t, g)
		})
	}
}

// checkRows compares the catalog with the manifest.
func checkRows(t *testing.T, url string, g Golden) {
	t.Helper()
	db := connect(t, url)
	stored := 0
	for _, d := range g.Documents {
		if !d.Stored() {
			continue
		}
		stored++
		var uri, digest string
		var bytes int64
		var compressed bool
		err := db.QueryRow(t.Context(), `SELECT content_url, digest, size, is_compressed FROM archive_metadata
			WHERE "userId" = $1 AND bucket = $2 AND "archiveId" = $3 AND "documentName" = $4`,
			d.UserID, d.Bucket, d.ArchiveID, d.DocumentName).Scan(&uri, &digest, &bytes, &compressed)
		if err != nil {
			t.Errorf("row of %q: %v", d.ArchiveID, err)
		} else if uri != d.URI || digest != d.Digest || bytes != d.Bytes || compressed != d.IsCompressed {
			t.Errorf("row of %q is %q %s %d %v; the manifest says %q %s %d %v", d.ArchiveID,
				uri, digest, bytes, compressed, d.URI, d.Digest, d.Bytes, d.IsCompressed)
		}
	}
	if n := query[int](t, db, "SELECT count(*) FROM archive_metadata"); n != stored || n < 50 {
		t.Errorf("%d rows; want %d, more than 50", n, stored)
	}
}

// checkFiles compares the unpacked files with the manifest.
func checkFiles(t *testing.T, g Golden) {
	t.Helper()
	if g.ArchiveDataDir == "" {
		return
	}
	if dir := g.Config.StorageDriver.Config["archive_data_dir"]; dir != g.ArchiveDataDir {
		t.Errorf("archive_data_dir is %q; want %q", dir, g.ArchiveDataDir)
	}
	for _, d := range g.Documents {
		payload, err := os.ReadFile(strings.TrimPrefix(d.URI, "file://"))
		if err != nil {
			t.Errorf("payload of %q: %v", d.ArchiveID, err)
			continue
		}
		if sum := md5.Sum(payload); hex.EncodeToString(sum[:]) != d.Digest {
			t.Errorf("payload of %q has another digest than the manifest says", d.ArchiveID)
		}
	}
}
