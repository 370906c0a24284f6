package config

import (
	"fmt"
	"strings"
	"testing"
)

// TestRedactedDocumented has what Anchore's documentation shows after a
// migration, but for the secrets.
func TestRedactedDocumented(t *testing.T) {
	f, _, err := documented(t, "migrated.yaml")
	if err != nil {
		t.Fatal(err)
	}
	s, err := f.ObjectStore()
	if err != nil {
		t.Fatal(err)
	}
	want := `compression:
  enabled: true
  min_size_kbytes: 100
storage_driver:
  config:
    access_key: '********'
    bucket: anchore-engine-testing
    create_bucket: true
    prefix: internaltest
    region: false
    secret_key: '********'
    url: http://minio-ephemeral-test:9000/
  name: s3
`
	for _, options := range []any{nil, &s3Options{}} {
		if got := s.Redacted(options); got != want {
			t.Errorf("got:\n%s\nwant:\n%s", got, want)
		}
	}
}

func TestRedacted(t *testing.T) {
	for _, test := range []struct {
		name, text, want string
		options          any
	}{
		{"defaults", catalogSection("object_store: {storage_driver: {name: db}}"),
			"compression:\n  enabled: false\n  min_size_kbytes: 100\nstorage_driver:\n  config: {}\n  name: db\n", nil},
		{"enabled, as given", catalogSection("object_store:", "  enabled: True", "  compression: {enabled: '${FLAG}', min_size_kbytes: '7'}", "  storage_driver: {name: 'db2'} # comment"),
			"compression:\n  enabled: '${FLAG}'\n  min_size_kbytes: '7'\nenabled: true\nstorage_driver:\n  config: {}\n  name: 'db2'\n", nil},
		{"legacy db", catalogSection("use_db: True", "archive_data_dir: /a"),
			"compression:\n  enabled: false\n  min_size_kbytes: 100\nstorage_driver:\n  config: {}\n  name: db\n", nil},
		{"legacy localfs", catalogSection("archive_driver: localfs", "archive_data_dir: /a"),
			"compression:\n  enabled: false\n  min_size_kbytes: 100\nstorage_driver:\n  config:\n    archive_data_dir: /a\n  name: localfs\n", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, err := parseStore(test.text, map[string]string{"FLAG": "yes"})
			if err != nil {
				t.Fatal(err)
			}
			got := s.Redacted(test.options)
			if got != test.want {
				t.Errorf("got:\n%s\nwant:\n%s", got, test.want)
			}
			again, err := parseStore("services:\n catalog:\n  object_store:\n   "+strings.ReplaceAll(got, "\n", "\n   "), map[string]string{"FLAG": "yes"})
			if err != nil || again.Driver != s.Driver || again.Compression != s.Compression {
				t.Errorf("read back: %v, %v", again, err)
			}
		})
	}
}

func TestRedactedOptions(t *testing.T) {
	type tagged struct {
		Plain  string `config:"plain,aliases=ordinary" secret:"true"`
		Prefix string `config:"anchore_key_prefix" secret:"false"`
		Key    string `config:"key"`
		URL    string `config:"url"`
	}
	for _, test := range []struct{ line, want string }{
		{"secret_key: hunter2", "secret_key: '********'"},
		{"secret_key: ''", "secret_key: ''"},
		{"secret_key: null", "secret_key: null"},
		{"secret_key: 123456", "secret_key: '********'"},
		{"secret_key: ${A}", "secret_key: ${A}"},
		{"secret_key: '${A}${B_2}'", "secret_key: '${A}${B_2}'"},
		{"secret_key: hunter2${A}", "secret_key: '********'"},
		{"secret_key: $A", "secret_key: '********'"},
		{"secret_key: [hunter2, a]", "secret_key: '********'"},
		{"secret_key: {hunter2: a}", "secret_key: '********'"},
		{"x: {password: hunter2, y: 1, 2: 3}", "x: '********'"},
		{"x: [a, ~]", "x: '********'"},
		{"os_passphrase: hunter2", "os_passphrase: '********'"},
		{"SESSION_TOKEN: hunter2", "SESSION_TOKEN: '********'"},
		{"key: hunter2", "key: '********'"},
		{"plain: hunter2", "plain: '********'"},
		{"ordinary: hunter2", "ordinary: '********'"},
		{"anchore_key_prefix: a/", "anchore_key_prefix: a/"},
		{"url: http://me:hunter2@host/a", "url: http://********@host/a"},
		{"url: 'http://me:hunter2@x@host/a'", "url: 'http://********@host/a'"},
		{"url: 'http://host/a'", "url: 'http://host/a'"},
		{"url: ${A}/x", "url: ${A}/x"},
		{"other: ${A}", "other: ${A}"},
		{"pwd: hunter2", "pwd: '********'"},
		{"url: 0123", "url: 0123"},
		{"other: no", "other: false"},
		{"url: 'no'", "url: 'no'"},
		{"url: \"a\\nb\"", "url: \"a\\nb\""},
	} {
		t.Run(test.line, func(t *testing.T) {
			s, err := parseStore(optionsText(test.line), nil)
			if err != nil {
				t.Fatal(err)
			}
			want := "compression:\n  enabled: false\n  min_size_kbytes: 100\nstorage_driver:\n  config:\n    " +
				strings.ReplaceAll(test.want, "\n", "\n    ") + "\n  name: x\n"
			got := s.Redacted(&tagged{})
			if got != want {
				t.Errorf("got:\n%s\nwant:\n%s", got, want)
			}
		})
	}
}

func TestPrintedStoreHoldsNoSecret(t *testing.T) {
	s, err := parseStore(catalogSection("object_store: {storage_driver: {name: s3, config: {secret_key: hunter2}}}"), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
		for _, v := range []any{s, *s, s.Options, &s.Options} {
			if text := fmt.Sprintf(format, v); strings.Contains(text, "hunter2") {
				t.Errorf("%s of %T: %s", format, v, text)
			}
		}
	}
}
