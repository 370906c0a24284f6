package config

import "slices"

// catalogKeys are the keys of services.catalog that say where the archive is.
var catalogKeys = []string{"object_store", "archive", "storage_driver", "compression", "archive_driver", "archive_data_dir", "use_db"}

// catalogStore gives the store of an installation that has no section for it. As
// with Anchore: archive_driver counts where it is a text, with use_db and
// archive_data_dir beside it, as before Anchore Engine 0.2.4. Else storage_driver
// and compression count where they stand directly under services.catalog. Where
// nothing does, documents are in the database.
func catalogStore(catalog *section) (*Store, error) {
	for _, e := range catalog.entries {
		if slices.Contains(catalogKeys, e.key) {
			continue
		}
		if near := nearMiss(e.key, catalogKeys); near != "" {
			return nil, catalog.errorf(e.key, "%s", unknownKey(near, catalogKeys))
		}
	}
	driver, err := catalog.archiveDriver()
	if err != nil {
		return nil, err
	}
	if driver != "" {
		return legacyStore(catalog, driver)
	}
	noDB, err := catalog.falsy("use_db")
	if err != nil {
		return nil, err
	}
	s := &Store{Section: catalog.path, File: catalog.file.Path, Line: catalog.line, legacy: true, section: catalog}
	if !noDB {
		s.Line = catalog.lineOf("use_db")
	}
	if err := s.read(); err != nil {
		return nil, err
	}
	if s.storage == nil {
		catalog.warnOfNothing(noDB)
	}
	return s, nil
}

// archiveDriver reads archive_driver; "" where it is missing or no text.
func (s *section) archiveDriver() (string, error) {
	v, _, err := s.value("archive_driver")
	if v.isBoolean() && !v.expanded {
		return "", err
	}
	return v.text, err
}

// warnOfNothing warns that nothing says where the archive is, but for a use_db
// that says the same.
func (s *section) warnOfNothing(noDB bool) {
	const then = "Anchore then keeps documents in the database (driver db)"
	if s.has("archive_data_dir") {
		s.warnf("archive_data_dir", "counts only with archive_driver: localfs, which is not given: %s", then)
	} else if noDB {
		s.warnf("", "names no object store (looked for %s): %s", lookedFor, then)
	}
}

// legacyStore gives the store of archive_driver.
func legacyStore(catalog *section, driver string) (*Store, error) {
	noDB, err := catalog.falsy("use_db")
	if err != nil {
		return nil, err
	}
	directory, hasDirectory, err := catalog.get("archive_data_dir")
	if err != nil {
		return nil, err
	}
	store := &Store{
		Driver: driver, Section: catalog.path, File: catalog.file.Path, Line: catalog.lineOf("archive_driver"),
		Compression: Compression{MinBytes: defaultMinKilobytes * 1024}, legacy: true, section: catalog,
	}
	options := &section{file: catalog.file, path: catalog.path, line: store.Line, index: map[string]int{}}
	store.Options = Options{options}
	switch {
	case !noDB:
		store.Driver, store.Line = defaultDriver, catalog.lineOf("use_db")
	case driver == "db", driver == "db2":
	case driver == "localfs" && hasDirectory:
		options.index["archive_data_dir"] = 0
		options.entries = []entry{directory}
	case driver == "localfs":
		return nil, catalog.errorf("archive_data_dir", "must be given for archive_driver localfs")
	default:
		return nil, catalog.errorf("archive_driver", "wants db, db2 or localfs; other drivers need a section object_store")
	}
	return store, nil
}
