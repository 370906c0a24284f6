package config

import (
	"fmt"
	"math"
	"strings"
)

// defaultMinKilobytes is Anchore's default of compression.min_size_kbytes.
const defaultMinKilobytes = 100

// Store is the configuration of one store.
type Store struct {
	// Driver is storage_driver.name as it stands in the file. Whether there is
	// such a driver is for the caller to say (see Errorf).
	Driver      string
	Compression Compression
	// Options are the keys under storage_driver.config.
	Options Options
	// Enabled is the section's key enabled, nil where it is not given. Anchore
	// has it in analysis_archive.
	Enabled *bool

	// Section is the path of the section that was read, such as
	// services.catalog.object_store; services.catalog for the legacy keys that
	// stand directly there.
	Section string
	File    string
	Line    int

	section, storage, compression *section
	legacy                        bool
}

// Compression says which payloads are compressed.
type Compression struct {
	Enabled bool
	// MinBytes is the length in bytes that a document must exceed.
	MinBytes int64
}

// The paths where a store's configuration is looked for.
const (
	catalogPath = "services.catalog"
	lookedFor   = "services.catalog.object_store, services.catalog.archive, or the old keys archive_driver and use_db in services.catalog"
)

// ObjectStore gives the store of the archive: services.catalog.object_store,
// else services.catalog.archive (the older name), else what the legacy keys
// archive_driver, archive_data_dir and use_db directly under services.catalog
// say.
func (f *File) ObjectStore() (*Store, error) {
	catalog, err := f.catalog(lookedFor)
	if err != nil {
		return nil, err
	}
	for _, name := range []string{"object_store", "archive"} {
		if _, there := catalog.index[name]; there {
			return newStore(catalog, name)
		}
	}
	store, err := legacyStore(catalog)
	if err != nil {
		return nil, err
	}
	if store == nil {
		return nil, f.errorf(catalog.line, catalogPath, "says nothing of an object store (looked for %s)", lookedFor)
	}
	return store, nil
}

// AnalysisArchive gives the store of services.catalog.analysis_archive, also
// where that is not enabled: see Store.Enabled.
func (f *File) AnalysisArchive() (*Store, error) {
	const path = catalogPath + ".analysis_archive"
	catalog, err := f.catalog(path)
	if err != nil {
		return nil, err
	}
	if _, there := catalog.index["analysis_archive"]; !there {
		return nil, f.errorf(catalog.line, catalogPath, "has no analysis_archive (looked for %s)", path)
	}
	return newStore(catalog, "analysis_archive")
}

// HasAnalysisArchive says whether there is a section
// services.catalog.analysis_archive.
func (f *File) HasAnalysisArchive() bool {
	catalog, err := f.catalog(catalogPath)
	if err != nil {
		return false
	}
	_, there := catalog.index["analysis_archive"]
	return there
}

// catalog gives the section services.catalog.
func (f *File) catalog(wanted string) (*section, error) {
	s, err := f.top()
	if err != nil {
		return nil, err
	}
	for _, name := range strings.Split(catalogPath, ".") {
		inner, err := s.child(name)
		if err != nil {
			return nil, err
		}
		if inner == nil {
			line := 0
			if s.path != "" {
				line = s.lineOf(name)
			}
			return nil, f.errorf(line, "", "has no %s (looked for %s)", join(s.path, name), wanted)
		}
		s = inner
	}
	return s, nil
}

// newStore reads the section of that name in services.catalog.
func newStore(catalog *section, name string) (*Store, error) {
	s, err := catalog.child(name)
	if err != nil {
		return nil, err
	}
	if s == nil {
		return nil, catalog.errorf(name, "is empty, wants storage_driver and compression")
	}
	if err := s.check("compression", "storage_driver", "enabled"); err != nil {
		return nil, err
	}
	store := &Store{Section: s.path, File: s.file.Path, Line: s.line, section: s}
	if store.Enabled, err = s.boolean("enabled"); err != nil {
		return nil, err
	}
	if err := store.readCompression(); err != nil {
		return nil, err
	}
	if err := store.readDriver(); err != nil {
		return nil, err
	}
	return store, nil
}

func (s *Store) readCompression() error {
	c, err := s.section.child("compression")
	if err != nil {
		return err
	}
	options := struct {
		Enabled      bool  `config:"enabled"`
		MinKilobytes int64 `config:"min_size_kbytes"`
	}{MinKilobytes: defaultMinKilobytes}
	s.compression = c
	if err := (Options{c}).Decode(&options); err != nil {
		return err
	}
	switch {
	case options.MinKilobytes < 0:
		return c.errorf("min_size_kbytes", "must not be negative")
	case options.MinKilobytes > math.MaxInt64/1024:
		return c.errorf("min_size_kbytes", "is too large")
	}
	s.Compression = Compression{Enabled: options.Enabled, MinBytes: options.MinKilobytes * 1024}
	return nil
}

func (s *Store) readDriver() error {
	d, err := s.section.child("storage_driver")
	if err != nil {
		return err
	}
	if d == nil {
		return s.section.errorf("storage_driver", "must be given: a mapping with name and config")
	}
	s.storage = d
	if err := d.check("name", "config"); err != nil {
		return err
	}
	if s.Driver, err = d.text("name"); err != nil {
		return err
	}
	if s.Driver == "" {
		return d.errorf("name", "must be given: the driver's name")
	}
	options, err := d.child("config")
	if err != nil {
		return err
	}
	if options == nil {
		options = &section{file: d.file, path: join(d.path, "config"), line: d.lineOf("config")}
	}
	s.Options = Options{options}
	return nil
}

// Errorf makes an error about a key of the section, with file, line and whole
// path: "storage_driver.name", "compression.enabled", "enabled", or "" for the
// section as a whole. The caller sees to it that no secret gets into it.
func (s *Store) Errorf(key, format string, args ...any) error {
	msg := fmt.Sprintf(format, args...)
	at, last := s.section, key
	switch group, inner, found := strings.Cut(key, "."); {
	case s.section == nil || key == "":
		return &Error{File: s.File, Line: s.Line, Path: s.Section, Msg: msg}
	case s.legacy && key == "storage_driver.name":
		last = "archive_driver"
		if _, there := s.section.index[last]; !there {
			last = "use_db"
		}
	case !found:
	case group == "storage_driver" && s.storage != nil:
		at, last = s.storage, inner
	case group == "compression" && s.compression != nil:
		at, last = s.compression, inner
	}
	return at.errorf(last, "%s", msg)
}

// DriverLine is the line of the driver's name.
func (s *Store) DriverLine() int {
	switch {
	case s.storage != nil:
		return s.storage.lineOf("name")
	default:
		return s.Line
	}
}

// String tells the driver and where it is configured.
func (s *Store) String() string {
	return oneLine(fmt.Sprintf("%s (%s:%d: %s)", s.Driver, s.File, s.Line, s.Section))
}
