package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"go.yaml.in/yaml/v3"
)

// marker stands in the seeds' secrets; it must come out nowhere.
const marker = "Zq7hunter2"

// FuzzParse reads what could be a configuration in every way there is: no
// panic, errors of one line with their file, no secret.
func FuzzParse(f *testing.F) {
	names, err := filepath.Glob("testdata/documented/*.yaml")
	if err != nil || len(names) == 0 {
		f.Fatal("no seeds", err)
	}
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	for _, text := range []string{
		catalogSection("object_store:", "  compression: {enabled: '${A}', min_size_kbytes: 1}", "  storage_driver:", "    name: s3", "    config:",
			"      secret_key: "+marker, "      access_key: ${A}"+marker, "      region: False", "      url: http://"+marker+"@h", "      password: ["+marker+"]"),
		catalogSection("archive_driver: localfs", "archive_data_dir: /a", "use_db: no", "analysis_archive: {enabled: yes, storage_driver: {name: db}}"),
		"a: &a {secret_key: " + marker + "}\nservices: {catalog: {archive: {storage_driver: {name: x, config: {<<: *a}}}}}",
		"services: &s {<<: [*s, *s]}",
		"credentials: {database: {db_connect: 'postgresql://u:p@h/d', db_connect_args: {timeout: 1, ssl: False}}}",
		"credentials: {database: {user: u, password: '" + marker + "', host: 'a,b', port: ${A}, name: d, db_connect_args: {sslmode: verify-full, zzz: [1]}}}",
		"password: *" + marker, "password: @" + marker, "secret_key: '" + marker,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		quiet := secretsInPlace(data)
		inspect := func(err error) {
			if err == nil {
				return
			}
			text := err.Error()
			if strings.ContainsAny(text, "\n\r") {
				t.Errorf("error of several lines: %q", text)
			}
			var e *Error
			if !errors.As(err, &e) || e.File != "f.yaml" || e.Msg == "" {
				t.Errorf("error without its file: %#v", err)
			}
			if quiet && strings.Contains(text, marker) {
				t.Errorf("a secret is in %q", text)
			}
			if e != nil && (strings.ContainsAny(e.Excerpt(), "\n\r") || quiet && strings.Contains(e.Excerpt(), marker)) {
				t.Errorf("excerpt %q", e.Excerpt())
			}
		}
		file, err := Parse("f.yaml", data)
		inspect(err)
		if err != nil {
			return
		}
		file.Lookup = environment(map[string]string{"A": "v", "B": marker})
		for _, read := range []func() (*Store, error){file.ObjectStore, file.AnalysisArchive} {
			s, err := read()
			inspect(err)
			if err != nil {
				continue
			}
			if s.Driver == "" || s.Line < 1 {
				t.Errorf("a store that is none: %+v", s)
			}
			inspect(s.Options.Decode(&s3Options{}))
			inspect(s.Options.Decode(&swiftOptions{}))
			settings, _, err := s.Settings(&s3Options{})
			inspect(err)
			for _, set := range settings {
				if quiet && strings.Contains(set.Value, marker) || strings.ContainsAny(set.Value+set.Path, "\n\r") {
					t.Errorf("setting %+v", set)
				}
			}
			redacted := s.Redacted(&s3Options{})
			if quiet && strings.Contains(redacted, marker) {
				t.Errorf("a secret is in\n%s", redacted)
			}
			var n yaml.Node
			if err := yaml.Unmarshal([]byte(redacted), &n); err != nil {
				t.Errorf("redacted is no YAML: %v\n%s", err, redacted)
			}
		}
		_, err = file.Database()
		inspect(err)
		for _, w := range file.Warnings() {
			if strings.ContainsAny(w.String(), "\n\r") || quiet && strings.Contains(w.String(), marker) {
				t.Errorf("warning %q", w)
			}
		}
	})
}

// secretsInPlace says whether the marker stands only where a secret belongs: in
// the value of a key that is one. Text that is not YAML must not come out at all.
func secretsInPlace(data []byte) bool {
	var root yaml.Node
	if yaml.Unmarshal(data, &root) != nil {
		return true
	}
	var clean func(n *yaml.Node) bool
	clean = func(n *yaml.Node) bool {
		if strings.Contains(n.Value+n.Anchor+n.Tag, marker) {
			return false
		}
		for i, c := range n.Content {
			if n.Kind == yaml.MappingNode && i%2 == 1 {
				switch n.Content[i-1].Value {
				case "secret_key", "access_key", "password":
					continue
				}
			}
			if !clean(c) {
				return false
			}
		}
		return true
	}
	return clean(&root)
}

// FuzzParseDatabaseURL puts a password into URLs of all sorts: no panic, and
// the password comes out nowhere but in URL.
func FuzzParseDatabaseURL(f *testing.F) {
	for _, parts := range [][5]string{
		{"postgresql://", "user", "", "host:5432", "/db?sslmode=require"},
		{"postgresql+pg8000://", "u@x", "a@b/c:d?e%", "[::1]:1", "/d"},
		{"postgres://", "us/er", "@", "", "/db?host=/run&port=1"},
		{"sqlite:///", "", "", "a", "/b"},
		{"mysql://", "u", "", "h", "?a=b&ssl=x"},
		{"", "", "", "", ""},
	} {
		f.Add(parts[0], parts[1], parts[2], parts[3], parts[4])
	}
	f.Fuzz(func(t *testing.T, scheme, user, password, host, rest string) {
		for _, other := range []string{scheme, user, host, rest} {
			if strings.Contains(other, "Zq") {
				return // the marker would stand elsewhere too
			}
		}
		kind, _, _ := strings.Cut(scheme, "+")
		kind = strings.TrimSuffix(kind, "://")
		for _, secret := range []string{marker, marker + password + marker} {
			raw := scheme + user + ":" + secret + "@" + host + rest
			d, err := ParseDatabaseURL(raw)
			if err != nil {
				if strings.Contains(err.Error(), marker) || strings.ContainsAny(err.Error(), "\n\r") {
					t.Errorf("%q: error %q", raw, err)
				}
				continue
			}
			if kind != "postgresql" && kind != "postgres" {
				continue // a path has no password
			}
			if strings.Contains(d.Redacted(), marker) || strings.ContainsAny(d.Redacted(), "\n\r") {
				t.Errorf("%q: redacted %q", raw, d.Redacted())
			}
			if d.SSLRootCert+d.SSLCert+d.SSLKey != "" || d.parameters != nil {
				continue // pgx would want the files, and checks the values
			}
			if c, err := pgconn.ParseConfig(d.URL()); err != nil || c.Password != d.password || !strings.Contains(c.Password, marker) {
				t.Errorf("%q: pgx cannot read %q: %v", raw, d.URL(), err)
			}
		}
	})
}
