package config

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

type explained struct {
	Bucket  string `config:"bucket"`
	Access  string `config:"access_key" secret:"true" env:"T_ACCESS (with iamauto)"`
	Secret  string `config:"secret_key"`
	IAMAuto bool   `config:"iamauto" default:"false"`
	URL     string `config:"url" env:"T_URL"`
	Region  string `config:"region" falsy:"empty"`
	KeyID   string `config:"keyid" secret:"false"`
	Chunk   *int64 `config:"chunksize" default:"8388608"`
	Token   string `config:"session" secret:"true" env:"T_TOKEN (when empty)"`
	Other   string `config:"other" env:"T_A, T_B"`
}

func TestSettings(t *testing.T) {
	f, err := Parse("c.yaml", []byte(strings.Join([]string{
		"credentials: {database: {db_connect: 'postgresql://u:${PW}@h/d'}}", // 1
		"services:",
		"  catalog:",
		"    object_store:",
		"      compression:",
		"        enabled: yes", // 6
		"      storage_driver:",
		"        name: s3", // 8
		"        config:",
		"          bucket: '${B}-${B}'",         // 10
		"          secret_key: hunter2",         // 11
		"          iamauto: on",                 // 12
		"          region: False",               // 13
		"          url: http://me:hunter2@host", // 14
		"          keyid: shown",                // 15
		"          session: ''",                 // 16
	}, "\n")))
	if err != nil {
		t.Fatal(err)
	}
	f.Lookup = environment(map[string]string{"B": "b", "PW": "hunter2", "T_ACCESS": "hunter2", "T_URL": "unused", "T_TOKEN": "hunter2", "T_A": "x"})
	s, err := f.ObjectStore()
	if err != nil {
		t.Fatal(err)
	}
	settings, unset, err := s.Settings(&explained{})
	if err != nil {
		t.Fatal(err)
	}
	wantSettings(t, f, settings, "services.catalog.object_store.",
		"storage_driver.name = s3 (c.yaml:8)",
		"compression.enabled = true (c.yaml:6)",
		"compression.min_size_kbytes = 100 (default)",
		"storage_driver.config.bucket = b-b (c.yaml:10, environment B)",
		"storage_driver.config.access_key = ******** (environment T_ACCESS)",
		"storage_driver.config.secret_key = ******** (c.yaml:11)",
		"storage_driver.config.iamauto = on (c.yaml:12)",
		"storage_driver.config.url = http://********@host (c.yaml:14)",
		"storage_driver.config.region = '' (c.yaml:13)",
		"storage_driver.config.keyid = shown (c.yaml:15)",
		"storage_driver.config.chunksize = 8388608 (default)",
		"storage_driver.config.session = ******** (c.yaml:16, environment T_TOKEN)",
	)
	if !slices.Equal(unset, []string{"other"}) {
		t.Errorf("unset: %v", unset)
	}
	databases, err := f.DatabaseSettings()
	if err != nil || len(databases) != 1 {
		t.Fatalf("%+v, %v", databases, err)
	}
	if database := databases[0]; strings.Contains(database.Value, "hunter2") || database.From(f.Path) != "c.yaml:1, environment PW" || !database.Secret {
		t.Errorf("%+v", database)
	}
}

func TestRegistrySettings(t *testing.T) {
	f, err := Parse("r.yml", []byte("version: 0.1\nstorage:\n  s3:\n    bucket: b\n    secretkey: hunter2\n    loglevel: off\n"))
	if err != nil {
		t.Fatal(err)
	}
	r, err := f.Registry([]string{"REGISTRY_STORAGE_S3_SECRETKEY=hunter3", "REGISTRY_STORAGE_S3_REGION=eu"})
	if err != nil {
		t.Fatal(err)
	}
	var o struct {
		Bucket string `config:"bucket"`
		Region string `config:"region"`
		Secret string `config:"secretkey" secret:"true"`
		Chunk  int    `config:"chunksize" default:"10485760"`
	}
	settings, _, err := r.Settings(&o, nil)
	if err != nil {
		t.Fatal(err)
	}
	wantSettings(t, f, settings, "",
		"storage.s3.bucket = b (r.yml:4)",
		"storage.s3.region = eu (environment REGISTRY_STORAGE_S3_REGION)",
		"storage.s3.secretkey = ******** (environment REGISTRY_STORAGE_S3_SECRETKEY)",
		"storage.s3.chunksize = 10485760 (default)",
		"storage.s3.loglevel = off (r.yml:6)",
	)
}

// wantSettings compares settings, each in one line with what it comes from.
func wantSettings(t *testing.T, f *File, settings []Setting, prefix string, want ...string) {
	t.Helper()
	var got []string
	for _, set := range settings {
		got = append(got, fmt.Sprintf("%s = %s (%s)", strings.TrimPrefix(set.Path, prefix), set.Value, set.From(f.Path)))
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestLegacySettings(t *testing.T) {
	f, err := Parse("l.yaml", []byte("services:\n  catalog:\n    archive_driver: localfs\n    archive_data_dir: /a\n"))
	if err != nil {
		t.Fatal(err)
	}
	s, err := f.ObjectStore()
	if err != nil {
		t.Fatal(err)
	}
	settings, _, err := s.Settings(&struct {
		Dir string `config:"archive_data_dir"`
	}{})
	if err != nil || len(settings) != 4 {
		t.Fatalf("%v, %v", settings, err)
	}
	for i, want := range map[int]string{0: "services.catalog.archive_driver localfs l.yaml:3", 1: "services.catalog.compression.enabled false default", 3: "services.catalog.archive_data_dir /a l.yaml:4"} {
		if got := settings[i].Path + " " + settings[i].Value + " " + settings[i].From(f.Path); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
