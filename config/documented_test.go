package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// s3Options and swiftOptions are what those drivers' structs look like.
type s3Options struct {
	AccessKey    string  `config:"access_key" secret:"true"`
	SecretKey    string  `config:"secret_key" secret:"true"`
	IAMAuto      bool    `config:"iamauto"`
	URL          *string `config:"url"`
	Region       string  `config:"region" falsy:"empty"`
	Bucket       string  `config:"bucket"`
	CreateBucket bool    `config:"create_bucket"`
	Prefix       string  `config:"prefix"`
}

type swiftOptions struct {
	User            string `config:"user" secret:"true"`
	Auth            string `config:"auth"`
	Key             string `config:"key" secret:"true"`
	AuthVersion     string `config:"auth_version"`
	Username        string `config:"os_username"`
	Password        string `config:"os_password" secret:"true"`
	TenantName      string `config:"os_tenant_name"`
	ProjectName     string `config:"os_project_name"`
	AuthURL         string `config:"os_auth_url"`
	Container       string `config:"container"`
	CreateContainer bool   `config:"create_container"`
}

// documented reads an example of Anchore's documentation. The examples that
// show the section alone are put under services.catalog; the lines that this
// adds in front are given too.
func documented(t *testing.T, name string) (*File, int, error) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "documented", name))
	if err != nil {
		t.Fatal(err)
	}
	return underCatalog(name, string(data))
}

func underCatalog(name, text string) (*File, int, error) {
	added := 0
	if strings.HasPrefix(text, "object_store:") || strings.HasPrefix(text, "archive:") || strings.HasPrefix(text, " ") {
		text = "services:\n  catalog:\n    " + strings.ReplaceAll(strings.TrimSuffix(text, "\n"), "\n", "\n    ") + "\n"
		added = 2
	}
	f, err := Parse(name, []byte(text))
	if f != nil {
		f.Lookup = environment(map[string]string{"ANCHORE_OBJ_STORAGE_ACCESS_KEY": "AK", "ANCHORE_OBJ_STORAGE_SECRET_KEY": "SK: #1"})
	}
	return f, added, err
}

func environment(vars map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		v, ok := vars[name]
		return v, ok
	}
}

func pointer[T any](v T) *T { return &v }

// sameURL compares what the pointers point to.
func sameURL(a, b *string) bool {
	if a == nil || b == nil {
		return a == b
	}
	return *a == *b
}

func TestDocumentedS3(t *testing.T) {
	for _, test := range []struct {
		file            string
		analysisArchive bool
		section         string
		line            int // in the file as it is documented
		compressed      bool
		want            s3Options
	}{
		{"s3.yaml", false, "services.catalog.object_store", 1, false, s3Options{AccessKey: "MY_ACCESS_KEY", SecretKey: "MY_SECRET_KEY",
			URL: pointer("https://S3-end-point.example.com"), Bucket: "anchorearchive", CreateBucket: true}},
		{"s3-empty-url.yaml", false, "services.catalog.object_store", 1, false, s3Options{AccessKey: "MY_ACCESS_KEY", SecretKey: "MY_SECRET_KEY",
			URL: pointer(""), Bucket: "anchorearchive", CreateBucket: true}},
		{"s3-aws.yaml", false, "services.catalog.object_store", 1, true, s3Options{IAMAuto: true, Region: "us-west-2", Bucket: "anchoredata"}},
		{"s3-minio.yaml", false, "services.catalog.object_store", 1, true, s3Options{AccessKey: "MY_ACCESS_KEY_FOR_MINIO",
			SecretKey: "MY_SECRET_KEY_FOR_MINIO", URL: pointer("https://minio:5000"), Bucket: "anchoredata"}},
		{"archive-s3.yaml", false, "services.catalog.archive", 1, false, s3Options{AccessKey: "MY_ACCESS_KEY", SecretKey: "MY_SECRET_KEY",
			URL: pointer("https://S3-end-point.example.com"), Bucket: "anchorearchive", CreateBucket: true}},
		{"split-dest.yaml", true, "services.catalog.analysis_archive", 10, false, s3Options{AccessKey: "9EB92C7W61YPFQ6QLDOU",
			SecretKey: "TuHo2UbBx+amD3YiCeidy+R3q82MPTPiyd+dlW+s", URL: pointer("http://minio-ephemeral-test:9000"), Bucket: "analysisarchive"}},
		{"single-dest.yaml", false, "services.catalog.object_store", 3, false, s3Options{AccessKey: "9EB92C7W61YPFQ6QLDOU",
			SecretKey: "TuHo2UbBx+amD3YiCeidy+R3q82MPTPiyd+dlW+s", URL: pointer("http://minio-ephemeral-test:9000"), Bucket: "newanchorebucket"}},
		{"kubernetes-config.yaml", false, "services.catalog.object_store", 3, false, s3Options{AccessKey: "AK", SecretKey: "SK: #1"}},
	} {
		t.Run(test.file, func(t *testing.T) {
			f, added, err := documented(t, test.file)
			if err != nil {
				t.Fatal(err)
			}
			read := f.ObjectStore
			if test.analysisArchive {
				read = f.AnalysisArchive
			}
			s, err := read()
			if err != nil {
				t.Fatal(err)
			}
			if s.Driver != "s3" || s.Section != test.section || s.Line != test.line+added || s.File != test.file ||
				s.Compression != (Compression{Enabled: test.compressed, MinBytes: 102400}) {
				t.Errorf("store is %+v", *s)
			}
			if (s.Enabled != nil && *s.Enabled) != (test.file == "split-dest.yaml" || test.file == "single-dest.yaml") {
				t.Errorf("enabled is %v", s.Enabled)
			}
			got := s3Options{Region: "left over"}
			if test.want.Region == "" && !s.Options.Has("region") && s.Options.s.lineOf("region") == s.Options.s.lineOf("") {
				got.Region = "" // not in the file at all: keeps what it has
			}
			if err := s.Options.Decode(&got); err != nil {
				t.Fatal(err)
			}
			if !sameURL(got.URL, test.want.URL) || s.Options.Has("url") != (test.want.URL != nil) {
				t.Errorf("url: got %v, Has %v, want %v", got.URL, s.Options.Has("url"), test.want.URL)
			}
			got.URL, test.want.URL = nil, nil
			if got != test.want {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}

func TestDocumentedOthers(t *testing.T) {
	for _, file := range []string{"db.yaml", "split-dest.yaml"} {
		f, _, err := documented(t, file)
		if err != nil {
			t.Fatal(err)
		}
		s, err := f.ObjectStore()
		if err != nil {
			t.Fatal(err)
		}
		if s.Driver != "db" || s.Compression != (Compression{MinBytes: 102400}) || len(s.Options.Keys()) != 0 {
			t.Errorf("%s: %+v", file, *s)
		}
		if err := s.Options.Decode(&struct{}{}); err != nil {
			t.Error(err)
		}
	}

	f, _, err := documented(t, "localfs.yaml")
	if err != nil {
		t.Fatal(err)
	}
	s, err := f.ObjectStore()
	if err != nil {
		t.Fatal(err)
	}
	var localfs struct {
		Root string `config:"archive_data_dir"`
	}
	if err := s.Options.Decode(&localfs); err != nil || localfs.Root != "/object_store" || !s.Compression.Enabled || s.Driver != "localfs" {
		t.Errorf("localfs: %+v, %+v, %v", *s, localfs, err)
	}

	f, _, err = documented(t, "swift-legacy.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if s, err = f.ObjectStore(); err != nil {
		t.Fatal(err)
	}
	var swift swiftOptions
	want := swiftOptions{User: "user:password", Key: "anchore", Container: "anchorearchive", CreateContainer: true}
	if err := s.Options.Decode(&swift); err != nil || swift != want || !s.Options.Has("auth") {
		t.Errorf("swift: %+v, %v", swift, err)
	}
	if text := s.Redacted(&swift); strings.Contains(text, "password") || !strings.Contains(text, "container: 'anchorearchive'") {
		t.Errorf("swift redacted:\n%s", text)
	}
}

// TestDocumentedRefused has the examples that cannot be taken as they stand:
// those that the documentation has wrong, and those whose lines were lost when
// the page was printed.
func TestDocumentedRefused(t *testing.T) {
	const badYAML = "not valid YAML: "
	for _, test := range []struct {
		file, text string
		line       int // as documented
		want       string
	}{
		{file: "swift-v3-misindented.yaml", line: 13, want: badYAML + "the indentation fits none of the lines above"},
		{file: "swift-v3-name-misindented.yaml", line: 7, want: badYAML + "the indentation fits none of the lines above"},
		{file: "swift-v2.yaml", line: 4, want: "services.catalog.object_store.compression.min_size_kbyte: unknown key, did you mean min_size_kbytes? (known keys: enabled, min_size_kbytes)"},
		{file: "migrate-source.yaml", line: 1, want: badYAML + "something stands where a value belongs"},
		{file: "kubernetes-values.yaml", line: 0, want: "has no services (looked for services.catalog.object_store, services.catalog.archive, or the old keys archive_driver and use_db in services.catalog)"},
		{file: "printed localfs", line: 4, want: badYAML,
			text: "    enabled: True\n    min_size_kbytes: 100\n    name: localfs\n      archive_data_dir: '/object_store'\n"},
		{file: "printed s3", line: 4, want: badYAML,
			text: "    enabled: False\n    min_size_kbytes: 100\n    name: 's3'\n      access_key: 'MY_ACCESS_KEY'\n      secret_key: 'MY_SECRET_KEY'\n"},
		{file: "printed swift v3", line: 3, want: badYAML,
			text: "    enabled: True\n    min_size_kbytes: 100\n     name: 'swift'\n        auth_version: '3'\n        os_username: 'myusername'\n"},
		{file: "printed swift legacy", line: 4, want: badYAML,
			text: "    enabled: True\n    min_size_kbytes: 100\n    name: 'swift'\n      user: 'user:password'\n      auth: ''\n"},
	} {
		t.Run(test.file, func(t *testing.T) {
			var f *File
			var added int
			var err error
			if test.text != "" {
				f, added, err = underCatalog(test.file, test.text)
			} else {
				f, added, err = documented(t, test.file)
			}
			if err == nil {
				_, err = f.ObjectStore()
			}
			var e *Error
			if !errors.As(err, &e) {
				t.Fatalf("got %v", err)
			}
			if test.line != 0 && e.Line != test.line+added {
				t.Errorf("line %d, want %d: %v", e.Line, test.line+added, err)
			}
			if !strings.Contains(err.Error(), test.want) || !strings.HasPrefix(err.Error(), test.file+":") {
				t.Errorf("got %q, want %q", err, test.want)
			}
			for _, secret := range []string{"MY_SECRET_KEY", "mypassword", "user:password"} {
				if strings.Contains(err.Error(), secret) {
					t.Errorf("a secret is in %q", err)
				}
			}
		})
	}
}
