package config

// legacyStore reads the keys that stood directly under services.catalog before
// Anchore Engine 0.2.4; nil where there are none.
func legacyStore(catalog *section) (*Store, error) {
	useDB, err := catalog.boolean("use_db")
	if err != nil {
		return nil, err
	}
	driver, err := catalog.text("archive_driver")
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
	case useDB != nil && *useDB:
		store.Driver, store.Line = "db", catalog.lineOf("use_db")
	case driver == "db":
	case driver == "localfs" && hasDirectory:
		options.index["archive_data_dir"] = 0
		options.entries = []entry{directory}
	case driver == "localfs":
		return nil, catalog.errorf("archive_data_dir", "must be given for archive_driver localfs")
	case driver != "":
		return nil, catalog.errorf("archive_driver", "wants db or localfs; other drivers need a section object_store")
	case hasDirectory:
		return nil, catalog.errorf("archive_data_dir", "is given without archive_driver: add archive_driver (db or localfs), or a section object_store")
	default:
		return nil, nil
	}
	return store, nil
}
