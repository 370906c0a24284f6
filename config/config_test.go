package config

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// driverLine is the line of the driver's name.
func driverLine(s *Store) int {
	if s.storage != nil {
		return s.storage.lineOf("name")
	}
	return s.Line
}

// writerIn gives a function that writes a file in a folder, and gives its path.
func writerIn(t *testing.T, dir string) func(name, text string) string {
	return func(name, text string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
}

func TestLoadRefused(t *testing.T) {
	dir := t.TempDir()
	write := writerIn(t, dir)
	for _, test := range []struct {
		name, path string
		line       string
		want       string
		is         error
	}{
		{"missing", filepath.Join(dir, "none.yaml"), "", "no such file", fs.ErrNotExist},
		{"directory", dir, "", "is a directory, not a configuration file", nil},
		{"empty", write("empty", ""), "", "is empty", nil},
		{"comment", write("comment", "# nothing\n"), "", "is empty", nil},
		{"null", write("null", "~\n"), "", "is empty", nil},
		{"list", write("list", "# x\n- a\n- b\n"), ":2", "the top level is a list, not a mapping with keys such as services and credentials", nil},
		{"text", write("text", "hello there\n"), ":1", "the top level is a single value, not a mapping with keys such as services and credentials", nil},
		{"two documents", write("two", "a: 1\n---\nb: 2\n"), ":2", `holds several YAML documents (a line "---" or "..." begins another), wants one`, nil},
		{"broken second document", write("second", "a: 1\n---\nb: 'x\n"), ":3", "not valid YAML: a quotation mark that is never closed", nil},
		{"binary", write("binary", "\x7fELF\x02\x01\x01\x00\x00"), ":1", "not valid YAML: it holds control characters, so it is no text", nil},
		{"latin1", write("latin1", "a: 1\nb: caf\xe9 x\n"), ":2", "not valid YAML: it is not text in UTF-8", nil},
		{"tab", write("tab", "a:\n  b: 2\n\tc: 3\n"), ":3", "not valid YAML: a tab in the indentation, which must be spaces", nil},
		{"indent", write("indent", "a:\n    b: 2\n    c: 2\n  d: 3\ne: 4\n"), ":4", "not valid YAML: the indentation fits none of the lines above", nil},
		{"no colon", write("colon", "a: 1\nb: 2\nfoo\nd: 3\n"), ":3", `not valid YAML: a line without ": " between key and value`, nil},
		{"second colon", write("colons", "a: 1\nb: c: d\n"), ":2", `not valid YAML: a second ": " where one value belongs (wrong indentation, or a value that needs quotes)`, nil},
		{"quote", write("quote", "a: 1\nb: 'x\nc: 3\n"), ":2", "not valid YAML: a quotation mark that is never closed", nil},
		{"bracket", write("bracket", "a: 1\nb: {c: 1\nd: 2\n"), ":2", "not valid YAML: a bracket that is never closed, or a comma missing inside (${NAME} inside brackets needs quotes)", nil},
		{"at sign", write("at", "a: 1\npassword: @hunter2\n"), ":2", "not valid YAML: a character that no value may begin with (a tab, or a value that needs quotes)", nil},
		{"asterisk", write("asterisk", "a: 1\npassword: *hunter2\n"), ":2", `not valid YAML: a value that begins with "*" refers to a name (&name) that is not in the file; quote it if it is meant as it stands`, nil},
		{"large", write("large", strings.Repeat("# comment\n", maxFileBytes/10+1)), "", "is larger than 4 MiB: not a configuration file", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := Load(test.path)
			if err == nil || err.Error() != test.path+test.line+": "+test.want {
				t.Errorf("got  %v\nwant %s%s: %s", err, test.path, test.line, test.want)
			}
			if test.is != nil && !errors.Is(err, test.is) {
				t.Errorf("%v is not %v", err, test.is)
			}
		})
	}
}

func TestLoad(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(path, []byte("services: {catalog: {use_db: yes}}\n...\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if s, err := f.ObjectStore(); err != nil || s.Driver != "db" || s.File != path {
		t.Errorf("got %v, %v", s, err)
	}
}

func TestLookupDefaultsToEnvironment(t *testing.T) {
	t.Setenv("KEDGE_TEST_DRIVER", "localfs")
	f, err := Parse("c", []byte("services: {catalog: {object_store: {storage_driver: {name: '${KEDGE_TEST_DRIVER}'}}}}"))
	if err != nil {
		t.Fatal(err)
	}
	if s, err := f.ObjectStore(); err != nil || s.Driver != "localfs" {
		t.Errorf("got %v, %v", s, err)
	}
}

// parseStore reads the object store of a text.
func parseStore(text string, vars map[string]string) (*Store, error) {
	f, err := Parse("c.yaml", []byte(text))
	if err != nil {
		return nil, err
	}
	f.Lookup = environment(vars)
	return f.ObjectStore()
}

// catalogSection puts lines under services.catalog, the first on line 3.
func catalogSection(lines ...string) string {
	return "services:\n  catalog:\n    " + strings.Join(lines, "\n    ") + "\n"
}

func TestStore(t *testing.T) {
	vars := map[string]string{"FLAG": "True", "KB": "7", "EMPTY": "", "D": "loc", "YES": "yes"}
	unlimited := func(enabled bool, min int64) Compression { return Compression{Enabled: enabled, MinBytes: min} }
	for _, test := range []struct {
		name, text, driver string
		section            string
		line, driverLine   int
		compression        Compression
		keys               string
	}{
		{"least", catalogSection("object_store:", "  storage_driver: {name: db}"), "db", "services.catalog.object_store", 3, 4, unlimited(false, 102400), ""},
		{"nulls", catalogSection("object_store:", "  compression:", "  enabled: ~", "  storage_driver:", "    name: db", "    config:"),
			"db", "services.catalog.object_store", 3, 7, unlimited(false, 102400), ""},
		{"variables", catalogSection("object_store:", "  compression:", "    enabled: ${FLAG}", "    min_size_kbytes: '${KB}'", "  storage_driver: {name: '${D}al${EMPTY}fs', config: {x: 1}}"),
			"localfs", "services.catalog.object_store", 3, 7, unlimited(true, 7*1024), "x"},
		{"a variable that reads yes is text", catalogSection("object_store:", "  storage_driver: {name: '${YES}'}"), "yes", "services.catalog.object_store", 3, 4, unlimited(false, 102400), ""},
		{"zero", catalogSection("object_store:", "  compression: {enabled: on, min_size_kbytes: 0}", "  storage_driver: {name: s3}"),
			"s3", "services.catalog.object_store", 3, 5, unlimited(true, 0), ""},
		{"archive", catalogSection("archive:", "  storage_driver: {name: s3}"), "s3", "services.catalog.archive", 3, 4, unlimited(false, 102400), ""},
		{"both", catalogSection("archive:", "  storage_driver: {name: s3}", "object_store: {storage_driver: {name: db2}}"),
			"db2", "services.catalog.object_store", 5, 5, unlimited(false, 102400), ""},
		{"not the legacy keys", catalogSection("use_db: True", "object_store: {storage_driver: {name: db2}}"),
			"db2", "services.catalog.object_store", 4, 4, unlimited(false, 102400), ""},
		{"use_db", catalogSection("archive_driver: localfs", "archive_data_dir: /a", "use_db: True"), "db", "services.catalog", 5, 5, unlimited(false, 102400), ""},
		{"use_db false", catalogSection("archive_driver: localfs", "archive_data_dir: /a", "use_db: False"), "localfs", "services.catalog", 3, 3, unlimited(false, 102400), "archive_data_dir"},
		{"archive_driver db", catalogSection("archive_driver: db", "archive_data_dir: /a"), "db", "services.catalog", 3, 3, unlimited(false, 102400), ""},
		{"anchors", "driver: &d\n  name: s3\n  config: &c {bucket: b, x: 1}\nservices:\n  catalog:\n    object_store: {storage_driver: {<<: *d, config: {<<: *c, x: 2, y: 3}}}\n",
			"s3", "services.catalog.object_store", 6, 2, unlimited(false, 102400), "x,y,bucket"},
		{"alias", "s: &s\n  storage_driver: {name: db2}\nservices: {catalog: {object_store: *s}}\n", "db2", "services.catalog.object_store", 3, 2, unlimited(false, 102400), ""},
		{"list of merges, the earlier wins", "a: &a {name: one, config: {k: 1}}\nb: &b {name: two}\nservices: {catalog: {object_store: {storage_driver: {<<: [*a, *b]}}}}\n",
			"one", "services.catalog.object_store", 3, 1, unlimited(false, 102400), "k"},
		{"not our business", "x: ${UNSET}\nx: 2\n? [a]\n: 1\nservices:\n  catalog:\n    foo: ${UNSET}\n    foo: 1\n    object_store: {storage_driver: {name: db}}\n    analysis_archive: {bar: 1}\n  other: 1\n  other: ${UNSET}\n",
			"db", "services.catalog.object_store", 9, 9, unlimited(false, 102400), ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, err := parseStore(test.text, vars)
			if err != nil {
				t.Fatal(err)
			}
			if s.Driver != test.driver || s.Section != test.section || s.Line != test.line || driverLine(s) != test.driverLine || s.Compression != test.compression {
				t.Errorf("got %v, driver on line %d, %+v", s, driverLine(s), s.Compression)
			}
			if keys := strings.Join(s.Options.Keys(), ","); keys != test.keys {
				t.Errorf("options %q, want %q", keys, test.keys)
			}
		})
	}
}

func TestStoreRefused(t *testing.T) {
	const looked = " (looked for services.catalog.object_store, services.catalog.archive, or the old keys archive_driver and use_db in services.catalog)"
	const store = "services.catalog.object_store"
	for _, test := range []struct{ name, text, want string }{
		{"no services", "a: 1\n", "c.yaml: has no services" + looked},
		{"services null", "services:\n", "c.yaml: has no services" + looked},
		{"services a list", "services: []\n", "c.yaml:1: services: is a list, wants a mapping of keys"},
		{"no catalog", "a: 1\nservices: {analyzer: 1}\n", "c.yaml:2: has no services.catalog" + looked},
		{"catalog null", "services:\n  x: 1\n  catalog: ~\n", "c.yaml:3: has no services.catalog" + looked},
		{"catalog text", "services:\n  catalog: x\n", "c.yaml:2: services.catalog: is a single value, wants a mapping of keys"},
		{"services twice", "services: {}\nservices: {}\n", "c.yaml:2: services: is given twice, first on line 1"},
		{"text", catalogSection("object_store: db"), "c.yaml:3: " + store + ": is a single value, wants a mapping of keys"},
		{"twice", catalogSection("object_store: {}", "object_store: {}"), "c.yaml:4: " + store + ": is given twice, first on line 3"},
		{"driver text", catalogSection("object_store:", "  storage_driver: db"), "c.yaml:4: " + store + ".storage_driver: is a single value, wants a mapping of keys"},
		{"null name", catalogSection("object_store:", "  storage_driver:", "    config: {}", "    name:"), "c.yaml:6: " + store + ".storage_driver.name: must be given: the driver's name"},
		{"boolean name", catalogSection("object_store:", "  storage_driver: {name: yes}"), "c.yaml:4: " + store + ".storage_driver.name: is a boolean, wants text (put it in quotes if it is meant as it stands)"},
		{"list name", catalogSection("object_store:", "  storage_driver: {name: [db]}"), "c.yaml:4: " + store + ".storage_driver.name: is a list, wants a single value"},
		{"config list", catalogSection("object_store:", "  storage_driver:", "    name: s3", "    config: [a]"), "c.yaml:6: " + store + ".storage_driver.config: is a list, wants a mapping of keys"},
		{"unknown key", catalogSection("object_store:", "  compresion: {}", "  storage_driver: {name: db}"),
			"c.yaml:4: " + store + ".compresion: unknown key, did you mean compression? (known keys: compression, storage_driver, enabled, verify_content_digests)"},
		{"unknown driver key", catalogSection("object_store:", "  storage_driver:", "    nmae: db"), "c.yaml:5: " + store + ".storage_driver.nmae: unknown key, did you mean name? (known keys: name, config)"},
		{"unknown compression key", catalogSection("object_store:", "  compression:", "    min_size_kb: 1"), "c.yaml:5: " + store + ".compression.min_size_kb: unknown key, did you mean min_size_kbytes? (known keys: enabled, min_size_kbytes)"},
		{"a value in the key", catalogSection("object_store:", "  {storage_driver:hunter2}"), "c.yaml:4: " + store + ".storage_driver…: unknown key"},
		{"list as key", catalogSection("object_store:", "  ? [a]", "  : 1"), "c.yaml:4: " + store + ": has a key that is a list, wants words as keys"},
		{"inner twice", catalogSection("object_store:", "  compression:", "    enabled: 1", "    enabled: 1"), "c.yaml:6: " + store + ".compression.enabled: is given twice, first on line 5"},
		{"no number", catalogSection("object_store:", "  compression: {min_size_kbytes: 1k}"), "c.yaml:4: " + store + ".compression.min_size_kbytes: wants a number"},
		{"unset variable", catalogSection("object_store:", "  compression:", "    enabled: ${EMPTY}${UNSET_1}"), "c.yaml:5: " + store + ".compression.enabled: the environment variable UNSET_1 is not set"},
		{"a merge of no mapping", "a: &a 1\n" + catalogSection("object_store: {<<: *a}"), "c.yaml:4: " + store + ": a merge key (<<) refers to what is not a mapping"},
		{"two merges", "a: &a {}\n" + catalogSection("object_store: {<<: *a, <<: *a}"), "c.yaml:4: " + store + ": has more than one merge key (<<)"},
		{"circle", "services: &s\n  <<: *s\n  x: 1\n", "c.yaml:1: services: merge keys (<<) go too deep or in a circle"},
		{"bomb", "a: &a {x: 1}\nb: &b {<<: [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]}\nc: &c {<<: [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]}\nd: &d {<<: [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]}\ne: &e {<<: [*d,*d,*d,*d,*d,*d,*d,*d,*d,*d]}\nservices: {<<: [*e,*e,*e,*e,*e,*e,*e,*e,*e,*e]}\n",
			"services: merge keys (<<) bring in more than 10000 keys"},
		{"tag", catalogSection("object_store:", "  storage_driver: {name: !python/name db}"), "c.yaml:4: " + store + ".storage_driver.name: has a YAML tag (!) that has no meaning here"},

		{"legacy driver unknown", catalogSection("archive_driver: s3"), "c.yaml:3: services.catalog.archive_driver: wants db, db2 or localfs; other drivers need a section object_store"},
		{"legacy driver a mapping", catalogSection("archive_driver: {name: db}"), "c.yaml:3: services.catalog.archive_driver: is a mapping, wants a single value"},
		{"legacy without directory", catalogSection("archive_driver: localfs", "use_db: false"), "c.yaml:2: services.catalog.archive_data_dir: must be given for archive_driver localfs"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, err := parseStore(test.text, map[string]string{"EMPTY": ""})
			if err == nil {
				t.Fatalf("accepted: %v", s)
			}
			if !strings.Contains(err.Error(), test.want) {
				t.Errorf("got  %v\nwant %s", err, test.want)
			}
			if strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "\n") {
				t.Errorf("error is %q", err)
			}
		})
	}
}

func TestAnalysisArchive(t *testing.T) {
	for _, test := range []struct {
		text, want string
		enabled    *bool
	}{
		{catalogSection("use_db: true"), "c.yaml:2: services.catalog: has no analysis_archive (looked for services.catalog.analysis_archive)", nil},
		{"a: 1", "c.yaml: has no services (looked for services.catalog.analysis_archive)", nil},
		{catalogSection("analysis_archive:"), "c.yaml:3: services.catalog.analysis_archive: is empty: there is no analysis archive (Anchore then keeps it in the object store)", nil},
		{catalogSection("analysis_archive: {enabled: no, storage_driver: {name: s3}}"), "", pointer(false)},
		{catalogSection("analysis_archive: {enabled: 'True', storage_driver: {name: s3}}"), "", pointer(true)},
		{catalogSection("analysis_archive: {storage_driver: {name: s3}}"), "", nil},
	} {
		f, err := Parse("c.yaml", []byte(test.text))
		if err != nil {
			t.Fatal(err)
		}
		s, err := f.AnalysisArchive()
		switch {
		case test.want != "":
			if err == nil || err.Error() != test.want {
				t.Errorf("got %v, want %s", err, test.want)
			}
		case err != nil:
			t.Error(err)
		case s.Driver != "s3" || s.Section != "services.catalog.analysis_archive",
			(s.Enabled == nil) != (test.enabled == nil),
			s.Enabled != nil && *s.Enabled != *test.enabled:
			t.Errorf("%s: got %v, enabled %v", test.text, s, s.Enabled)
		}
	}
}

func TestStoreErrorf(t *testing.T) {
	s, err := parseStore(catalogSection("object_store:", "  enabled: yes", "  compression:", "    enabled: yes", "  storage_driver:", "    config:", "      a: 1", "    name: foo"), nil)
	if err != nil {
		t.Fatal(err)
	}
	const at = "services.catalog.object_store"
	for key, want := range map[string]string{
		"":                            "c.yaml:3: " + at + ": no 1",
		"enabled":                     "c.yaml:4: " + at + ".enabled: no 1",
		"compression.enabled":         "c.yaml:6: " + at + ".compression.enabled: no 1",
		"compression.min_size_kbytes": "c.yaml:5: " + at + ".compression.min_size_kbytes: no 1",
		"storage_driver.name":         "c.yaml:10: " + at + ".storage_driver.name: no 1",
		"storage_driver":              "c.yaml:7: " + at + ".storage_driver: no 1",
	} {
		if got := s.Errorf(key, "no %d", 1).Error(); got != want {
			t.Errorf("%q: got %s, want %s", key, got, want)
		}
	}
	for _, test := range []struct{ text, want string }{
		{catalogSection("archive_data_dir: /a", "archive_driver: localfs"), "c.yaml:4: services.catalog.archive_driver: no"},
		{catalogSection("use_db: true"), "c.yaml:3: services.catalog.use_db: no"},
	} {
		s, err := parseStore(test.text, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.Errorf("storage_driver.name", "no").Error(); got != test.want {
			t.Errorf("got %s, want %s", got, test.want)
		}
	}
	var none Store
	if got := none.Errorf("storage_driver.name", "no").Error(); got != "no" {
		t.Errorf("got %s", got)
	}
}
