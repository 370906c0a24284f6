package config

import (
	"strings"
	"testing"
)

// TestVariants has every way in which Anchore's own reader was seen to take a
// services.catalog, and what it makes of it.
func TestVariants(t *testing.T) {
	const kib = 1024
	standard := Compression{MinBytes: 100 * kib}
	section := func(lines ...string) []string {
		return append([]string{"object_store:", "  storage_driver: {name: db2}"}, lines...)
	}
	compressed := func(lines ...string) []string {
		all := section("  compression:")
		for _, line := range lines {
			all = append(all, "    "+line)
		}
		return all
	}
	type variant struct {
		name        string
		catalog     []string
		driver      string
		compression Compression
		warning     string // what one of the warnings says, "" for none
	}
	list := []variant{
		{"object_store null beside archive", []string{"object_store: null", "archive: {storage_driver: {name: s3}}"}, "s3", standard, ""},
		{"object_store {} beside archive", []string{"object_store: {}", "archive: {storage_driver: {name: s3}}"}, "s3", standard, ""},
		{"object_store '' beside archive", []string{"object_store: ''", "archive: {storage_driver: {name: s3}}"}, "s3", standard, ""},
		{"object_store False beside archive", []string{"object_store: False", "archive: {storage_driver: {name: s3}}"}, "s3", standard, ""},
		{"object_store [] beside archive", []string{"object_store: []", "archive: {storage_driver: {name: s3}}"}, "s3", standard, ""},
		{"an empty variable beside archive", []string{"object_store: ${EMPTY}", "archive: {storage_driver: {name: s3}}"}, "s3", standard, ""},
		{"both: object_store counts", []string{"object_store: {storage_driver: {name: s3}}", "archive: {storage_driver: {name: db2}}"}, "s3", standard, ""},
		{"both empty", []string{"object_store: {}", "archive:"}, "db", standard, "names no object store"},
		{"no section", []string{"enabled: true", "port: ${UNSET}", "analysis_queue_priority: <ALLOW_API_CONFIGURATION>"}, "db", standard, "names no object store"},
		{"no storage_driver", []string{"object_store: {verify_content_digests: true}"}, "db", standard, ""},
		{"only compression", []string{"object_store:", "  compression: {enabled: true, min_size_kbytes: 7}"}, "db", Compression{true, 7 * kib}, ""},
		{"storage_driver without name", []string{"object_store:", "  storage_driver: {config: {a: 1}}"}, "db", standard, ""},
		{"storage_driver {}", []string{"object_store:", "  storage_driver: {}"}, "db", standard, ""},
		{"storage_driver without a section", []string{"storage_driver: {name: s3}", "compression: {enabled: True}"}, "s3", Compression{true, 100 * kib}, ""},
		{"use_db False, archive_data_dir alone", []string{"use_db: False", "archive_data_dir: /archive"}, "db", standard, "counts only with archive_driver: localfs"},
		{"archive_data_dir alone", []string{"archive_data_dir: /archive"}, "db", standard, "counts only with archive_driver: localfs"},
		{"use_db alone", []string{"use_db: True"}, "db", standard, ""},
		{"use_db False alone", []string{"use_db: False"}, "db", standard, "names no object store"},
		{"archive_driver db2", []string{"archive_driver: db2"}, "db2", standard, ""},
		{"archive_driver db2, use_db", []string{"archive_driver: db2", "use_db: True"}, "db", standard, ""},
		{"archive_driver db2, use_db False", []string{"archive_driver: db2", "use_db: False"}, "db2", standard, ""},
		{"archive_driver db2, use_db a text", []string{"archive_driver: db2", "use_db: 'False'"}, "db", standard, ""},
		{"archive_driver localfs", []string{"archive_driver: localfs", "archive_data_dir: /archive"}, "localfs", standard, ""},
		{"archive_driver False", []string{"archive_driver: False"}, "db", standard, "names no object store"},
		{"archive_driver beside object_store", section("archive_driver: localfs"), "db2", standard, "unknown key"},
		{"a key of another program", section("  shards: 3"), "db2", standard, "object_store.shards: unknown key"},
		{"enabled no boolean", section("  enabled: 1"), "db2", standard, "enabled: has no meaning here"},
		{"compression null", section("  compression:"), "db2", standard, ""},
		{"a key of another program in compression", compressed("level: 3"), "db2", standard, "compression.level: unknown key"},
	}
	for value, on := range map[string]bool{
		"true": true, "True": true, "TRUE": true, "yes": true, "on": true, "On": true, "${TRUE}": true, "${YES}": true, "!!bool 'true'": true,
		"false": false, "no": false, "null": false, "": false, "''": false, "0": false, "${EMPTY}": false, "'${EMPTY}'": false,
	} {
		list = append(list, variant{"compression.enabled " + value, compressed("enabled: " + value), "db2", Compression{on, 100 * kib}, ""})
	}
	for _, value := range []string{"1", "'true'", "y", "enabled", "'${TRUE}'", "<ALLOW_API_CONFIGURATION>", "tRUE", "!!str true"} {
		list = append(list, variant{"compression.enabled " + value, compressed("enabled: " + value), "db2", standard, "compression.enabled: counts as off"})
	}
	for value, bytes := range map[string]int64{
		"0": 0, "0.5": 512, ".3": 307, "1.5": 1536, "-1": -kib, "-0.0001": -1, "true": kib, "False": 0, "100": 100 * kib, "'7'": 7 * kib, "${KB}": 7 * kib,
		"0100": 64 * kib, "0x10": 16 * kib, "0b11": 3 * kib, "1_000": 1000 * kib, "1.0e+2": 100 * kib, "null": 100 * kib, "${EMPTY}": 100 * kib,
		"9223372036854775807": 1 << 62, "9999999999999999999999": 1 << 62, "-9223372036854775808": -1 << 62,
	} {
		list = append(list, variant{"min_size_kbytes " + value, compressed("min_size_kbytes: " + value), "db2", Compression{false, bytes}, ""})
	}
	for _, test := range list {
		t.Run(test.name, func(t *testing.T) {
			f, err := Parse("c.yaml", []byte(catalogSection(test.catalog...)))
			if err != nil {
				t.Fatal(err)
			}
			f.Lookup = environment(map[string]string{"EMPTY": "", "TRUE": "True", "YES": "yes", "KB": "7"})
			s, err := f.ObjectStore()
			if err != nil {
				t.Fatal(err)
			}
			diff := s.Compression.MinBytes - test.compression.MinBytes
			if s.Driver != test.driver || s.Compression.Enabled != test.compression.Enabled || diff > 1 || diff < -1 || diff != 0 && s.Compression.MinBytes != 1<<62-1 {
				t.Errorf("driver %s, %+v; want %s, %+v", s.Driver, s.Compression, test.driver, test.compression)
			}
			var told []string
			for _, w := range f.Warnings() {
				told = append(told, w.String())
			}
			text := strings.Join(told, "\n")
			switch {
			case test.name == "archive_driver beside object_store": // is in none of the sections that are read
			case test.warning == "" && text != "", !strings.Contains(text, test.warning):
				t.Errorf("warnings %q, want one that says %q", text, test.warning)
			}
			settings, _, err := s.Settings(&struct{}{})
			if err != nil || settings[0].Value != test.driver || strings.Contains(text, "names no object store") && settings[0].From(f.Path) != "default" {
				t.Errorf("settings %+v, %v", settings, err)
			}
		})
	}
}

// A section's name that is misspelt was meant to count, all the more where
// documents would go into the database otherwise.
func TestMisspeltSections(t *testing.T) {
	for key, meant := range map[string]string{
		"object-store": "object_store", "objectstore": "object_store", "object_stor": "object_store", "objcet_store": "object_store",
		"archiv": "archive", "archive_drivr": "archive_driver", "storage_drive": "storage_driver",
	} {
		_, err := parseStore(catalogSection(key+": {storage_driver: {name: s3}}"), nil)
		if want := "c.yaml:3: services.catalog." + key + ": unknown key, did you mean " + meant + "?"; err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

// What Python makes of a prefix that is no text stands before every key.
func TestAPrefixThatIsNoText(t *testing.T) {
	for value, want := range map[string]string{
		"False": "False", "no": "False", "true": "True", "null": "None", "": "None", "''": "", "'False'": "False", "y": "y", "0123": "0123", "a/": "a/",
	} {
		o := parseOptions(t, nil, "prefix: "+value)
		got := struct {
			Prefix string `config:"prefix" falsy:"text"`
		}{"as it was"}
		if err := o.Decode(&got); err != nil || got.Prefix != want {
			t.Errorf("prefix: %s: %q, %v; want %q", value, got.Prefix, err, want)
		}
		if odd := value != "'False'" && (want == "False" || want == "True" || want == "None"); odd != (len(o.s.file.Warnings()) == 1) {
			t.Errorf("prefix: %s: warnings %v", value, o.s.file.Warnings())
		}
	}
}

// There is an analysis archive where the section holds something and is on.
func TestHasAnalysisArchive(t *testing.T) {
	for text, want := range map[string]bool{
		"analysis_archive: {}": false, "analysis_archive:": false, "enabled: true": false,
		"analysis_archive: {enabled: false, storage_driver: {name: s3, config: {access_key: '${UNSET}'}}}": false,
		"analysis_archive: {enabled: '${EMPTY}', storage_driver: {name: s3}}":                              false,
		"analysis_archive: {enabled: true, storage_driver: {name: s3}}":                                    true,
		"analysis_archive: {storage_driver: {name: s3}}":                                                   true,
		"analysis_archive: {enabled: '${UNSET}', storage_driver: {name: s3}}":                              true, // AnalysisArchive says what is wrong
	} {
		f, err := Parse("c.yaml", []byte(catalogSection(text)))
		if err != nil {
			t.Fatal(err)
		}
		f.Lookup = environment(map[string]string{"EMPTY": ""})
		if got := f.HasAnalysisArchive(); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
}
