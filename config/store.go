package config

import (
	"fmt"
	"strings"
)

// defaultMinKilobytes is Anchore's default of compression.min_size_kbytes, and
// defaultDriver that of storage_driver.name.
const (
	defaultMinKilobytes = 100
	defaultDriver       = "db"
)

// Store is the configuration of one store.
type Store struct {
	// Driver is storage_driver.name as it stands in the file, and db where it is
	// not given. Whether there is such a driver is for the caller to say (see
	// Errorf).
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
	// MinBytes is the length in bytes that a document must exceed; with a
	// negative one every document does.
	MinBytes int64
}

// The paths where a store's configuration is looked for.
const (
	catalogPath = "services.catalog"
	lookedFor   = "services.catalog.object_store, services.catalog.archive, or the old keys archive_driver and use_db in services.catalog"
)

// ObjectStore gives the store of the archive: services.catalog.object_store,
// else services.catalog.archive (the older name), each if there is something in
// it, else what stands directly under services.catalog: the keys of Anchore
// before 0.2.4 (archive_driver, archive_data_dir, use_db), or nothing, which means
// driver db.
func (f *File) ObjectStore() (*Store, error) {
	catalog, err := f.catalog(lookedFor)
	if err != nil {
		return nil, err
	}
	for _, name := range []string{"object_store", "archive"} {
		empty, err := catalog.falsy(name)
		if err != nil {
			return nil, err
		}
		if !empty {
			return newStore(catalog, name)
		}
	}
	return catalogStore(catalog)
}

const analysisArchive = "analysis_archive"

// AnalysisArchive gives the store of services.catalog.analysis_archive, also
// where that is not enabled: see Store.Disabled.
func (f *File) AnalysisArchive() (*Store, error) {
	const path = catalogPath + "." + analysisArchive
	catalog, err := f.catalog(path)
	if err != nil {
		return nil, err
	}
	if !catalog.has(analysisArchive) {
		return nil, f.errorf(catalog.line, catalogPath, "has no analysis_archive (looked for %s)", path)
	}
	empty, err := catalog.falsy(analysisArchive)
	if err != nil {
		return nil, err
	}
	if empty {
		return nil, catalog.errorf(analysisArchive, "is empty: there is no analysis archive (Anchore then keeps it in the object store)")
	}
	return newStore(catalog, analysisArchive)
}

// HasAnalysisArchive says whether there is an analysis archive: a section
// services.catalog.analysis_archive that holds something and is not switched off
// by "enabled: false". Where that cannot be said, AnalysisArchive says why.
func (f *File) HasAnalysisArchive() bool {
	catalog, err := f.catalog(catalogPath)
	if err != nil {
		return false
	}
	if empty, err := catalog.falsy(analysisArchive); empty || err != nil {
		return err != nil
	}
	s, err := catalog.child(analysisArchive)
	if err != nil {
		return true
	}
	enabled, err := s.boolean("enabled")
	return err != nil || enabled == nil || *enabled
}

// Disabled says whether the section is switched off by "enabled: false".
func (s *Store) Disabled() bool { return s.Enabled != nil && !*s.Enabled }

// catalog gives the section services.catalog.
func (f *File) catalog(wanted string) (*section, error) {
	s, missing, err := f.find(catalogPath)
	if err != nil || missing == "" {
		return s, err
	}
	line := 0
	if s.path != "" {
		line = s.lineOf(missing)
	}
	return nil, f.errorf(line, "", "has no %s (looked for %s)", join(s.path, missing), wanted)
}

// storeKeys are the keys of a store's section. Anchore compares digests when it
// reads unless verify_content_digests is false; kedge always does.
var storeKeys = []string{"compression", "storage_driver", "enabled", "verify_content_digests"}

// newStore reads the section of that name in services.catalog.
func newStore(catalog *section, name string) (*Store, error) {
	s, err := catalog.child(name)
	if err != nil {
		return nil, err
	}
	if err := s.check(storeKeys...); err != nil {
		return nil, err
	}
	store := &Store{Section: s.path, File: s.file.Path, Line: s.line, section: s}
	if err := store.readEnabled(name); err != nil {
		return nil, err
	}
	return store, store.read()
}

// readEnabled reads enabled, which counts for the analysis archive alone.
func (s *Store) readEnabled(name string) (err error) {
	s.Enabled, err = s.section.boolean("enabled")
	if err != nil && name != analysisArchive {
		s.section.warnf("enabled", "has no meaning here and is left out")
		return nil
	}
	return err
}

// read reads what Anchore reads of the section.
func (s *Store) read() error {
	if err := s.readCompression(); err != nil {
		return err
	}
	return s.readDriver()
}

func (s *Store) readCompression() error {
	s.Compression = Compression{MinBytes: defaultMinKilobytes * 1024}
	c, err := s.section.child("compression")
	if err != nil || c == nil {
		return err
	}
	s.compression = c
	if err := c.check("enabled", "min_size_kbytes"); err != nil {
		return err
	}
	if s.Compression.Enabled, err = c.isTrue("enabled"); err != nil {
		return err
	}
	kilobytes, given, err := c.number("min_size_kbytes")
	if err == nil && given {
		s.Compression.MinBytes = wholeBytes(kilobytes)
	}
	return err
}

func (s *Store) readDriver() error {
	s.Driver = defaultDriver
	if !s.section.has("storage_driver") {
		s.Options = Options{&section{file: s.section.file, path: join(s.section.path, "storage_driver.config"), line: s.Line}}
		return nil
	}
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
	if d.has("name") {
		if s.Driver, err = d.text("name"); err != nil {
			return err
		}
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
		if !s.section.has(last) {
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

// String tells the driver and where it is configured.
func (s *Store) String() string {
	return oneLine(fmt.Sprintf("%s (%s:%d: %s)", s.Driver, s.File, s.Line, s.Section))
}
