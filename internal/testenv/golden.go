package testenv

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Golden is an installation that a real Anchore Engine wrote; testdata/golden
// tells about them.
type Golden struct {
	// Name is db, db2_off, db2_on, localfs_off or localfs_on.
	Name string
	// Config is the object_store section of its configuration.
	Config GoldenConfig
	// Documents are those that were put, in the order of their putting.
	Documents []GoldenDocument
	// ArchiveDataDir is the folder that the test's copy of the files was
	// unpacked into, for localfs; else "".
	ArchiveDataDir string

	sql []byte
}

// GoldenConfig is an object_store section.
type GoldenConfig struct {
	Compression struct {
		Enabled          bool  `json:"enabled"`
		MinSizeKilobytes int64 `json:"min_size_kbytes"`
	} `json:"compression"`
	StorageDriver struct {
		Name   string            `json:"name"`
		Config map[string]string `json:"config"`
	} `json:"storage_driver"`
}

// GoldenDocument is a document and its row in the catalog.
type GoldenDocument struct {
	UserID       string `json:"userId"`
	Bucket       string `json:"bucket"`
	ArchiveID    string `json:"archiveId"`
	DocumentName string `json:"documentName"`
	// Kind is what sort of content it has.
	Kind string `json:"kind"`
	// PlainBytes and SHA256 are of the plain document.
	PlainBytes int64  `json:"size_plain"`
	SHA256     string `json:"sha256"`
	// Put is "ok" or Anchore's error: then the document is not in the
	// installation, and what follows is empty.
	Put          string `json:"put"`
	URI          string `json:"content_url"`
	IsCompressed bool   `json:"is_compressed"`
	Digest       string `json:"digest"`
	Bytes        int64  `json:"size"`
	CreatedAt    int64  `json:"created_at"`
	LastUpdated  int64  `json:"last_updated"`
	// AnchoreGet is "ok" or the error with which Anchore failed to read it back.
	AnchoreGet string `json:"anchore_get"`
}

// Stored says whether Anchore stored the document.
func (d GoldenDocument) Stored() bool { return d.Put == "ok" }

// GoldenNames lists the golden installations.
func GoldenNames() []string {
	return []string{"db", "db2_off", "db2_on", "localfs_off", "localfs_on"}
}

// archiveDataDir stands for the archive's folder in the golden files.
const archiveDataDir = "@@ARCHIVE_DATA_DIR@@"

// LoadGolden reads a golden installation and, for localfs, unpacks its files
// into a folder of the test's own.
func LoadGolden(tb testing.TB, name string) Golden {
	tb.Helper()
	g, err := loadGolden(environmentOf(tb).withRoot("testdata", "golden"), name, tb.TempDir)
	if err != nil {
		tb.Fatalf("testenv: golden installation %s: %v", name, err)
	}
	return g
}

// SQL is the whole database as a script for PostgresServer.Load.
func (g Golden) SQL() io.Reader { return bytes.NewReader(g.sql) }

// Golden loads a golden installation into a new database of the server. One whose
// payloads are in the database is loaded once and copied from then on: its script
// takes many times as long as a copy.
func (s *PostgresServer) Golden(tb testing.TB, name string) (databaseURL string, g Golden) {
	tb.Helper()
	g = LoadGolden(tb, name)
	if g.ArchiveDataDir != "" {
		databaseURL = s.Database(tb)
		s.Load(tb, databaseURL, g.SQL())
		return databaseURL, g
	}
	return s.database(tb, " TEMPLATE "+s.golden(tb, g)), g
}

// golden gives the name of the database that copies of a golden installation are
// made of. Nobody is connected to it but who makes it.
func (s *PostgresServer) golden(tb testing.TB, g Golden) string {
	tb.Helper()
	s.goldenLock.Lock()
	defer s.goldenLock.Unlock()
	name := "golden_" + g.Name
	if s.goldenMade[name] {
		return name
	}
	// What a test that was ended in the middle of this has left is not whole.
	for _, statement := range []string{"DROP DATABASE IF EXISTS " + name, "CREATE DATABASE " + name} {
		if err := s.execute(statement); err != nil {
			tb.Fatalf("testenv: %s: %v\n%s", statement, err, s.process.tail())
		}
	}
	s.Load(tb, s.databaseURL(name), g.SQL())
	if s.goldenMade == nil {
		s.goldenMade = map[string]bool{}
	}
	s.goldenMade[name] = true
	return name
}

func loadGolden(folder, name string, tempDir func() string) (Golden, error) {
	g := Golden{Name: name}
	if strings.HasPrefix(name, "localfs") {
		g.ArchiveDataDir = filepath.Join(tempDir(), "archive")
		if err := unpack(filepath.Join(folder, name+".tar.gz"), g.ArchiveDataDir); err != nil {
			return g, err
		}
	}
	manifest, err := os.ReadFile(filepath.Join(folder, name+".manifest.json"))
	if err != nil {
		return g, err
	}
	quoted, err := json.Marshal(g.ArchiveDataDir)
	if err != nil {
		return g, err
	}
	manifest = bytes.ReplaceAll(manifest, []byte(archiveDataDir), bytes.Trim(quoted, `"`))
	content := struct {
		Config    *GoldenConfig
		Documents *[]GoldenDocument `json:"docs"`
	}{&g.Config, &g.Documents}
	if err := json.Unmarshal(manifest, &content); err != nil {
		return g, fmt.Errorf("manifest: %w", err)
	}
	g.sql, err = readScript(filepath.Join(folder, name+".sql.gz"), g.ArchiveDataDir)
	return g, err
}

// readScript reads a gzipped dump and puts the archive's folder into it.
func readScript(path, dir string) ([]byte, error) {
	// The folder stands within quoted SQL strings, under
	// standard_conforming_strings.
	dir = strings.ReplaceAll(dir, "'", "''")
	var script bytes.Buffer
	err := readGzip(path, func(r io.Reader) error {
		_, err := io.Copy(&script, r)
		return err
	})
	if err != nil {
		return nil, err
	}
	lines := bytes.SplitAfter(bytes.ReplaceAll(script.Bytes(), []byte(archiveDataDir), []byte(dir)), []byte("\n"))
	script.Reset()
	for _, line := range lines {
		// psql before August 2025 does not know these two commands.
		if bytes.HasPrefix(line, []byte(`\restrict `)) || bytes.HasPrefix(line, []byte(`\unrestrict `)) {
			continue
		}
		script.Write(line)
	}
	return script.Bytes(), nil
}

func readGzip(path string, read func(io.Reader) error) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if err := read(z); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// unpack unpacks a gzipped tar archive of plain files into the new folder dir.
func unpack(path, dir string) error {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	return readGzip(path, func(r io.Reader) error {
		archive := tar.NewReader(r)
		for {
			header, err := archive.Next()
			if errors.Is(err, io.EOF) {
				return nil
			}
			if err != nil {
				return err
			}
			if err := unpackEntry(root, header, archive); err != nil {
				return fmt.Errorf("%s: %w", header.Name, err)
			}
		}
	})
}

func unpackEntry(root *os.Root, header *tar.Header, content io.Reader) error {
	name := filepath.Clean(header.Name)
	switch header.Typeflag {
	case tar.TypeDir:
		return root.MkdirAll(name, 0o755)
	case tar.TypeReg:
		f, err := root.Create(name)
		if err != nil {
			return err
		}
		_, err = io.Copy(f, content)
		return errors.Join(err, f.Close())
	default:
		return fmt.Errorf("neither a file nor a folder (type %q)", header.Typeflag)
	}
}
