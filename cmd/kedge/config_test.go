package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kedge/kedge/internal/testenv"
)

func configFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestConfigExplain(t *testing.T) {
	testenv.Alone(t, "it sets the environment")
	path := configFile(t, `credentials:
  database: {db_connect: 'postgresql://u:hunter2@h/d'}
services:
  catalog:
    object_store:
      storage_driver: {name: db}
    analysis_archive:
      compression: {enabled: yes}
      storage_driver:
        name: swift
        config:
          container: '${T_CONTAINER}'
          os_password: hunter2
          auth_version: 3
`)
	t.Setenv("T_CONTAINER", "analyses")
	t.Setenv("OS_USERNAME", "somebody")
	t.Setenv("OS_AUTH_URL", "https://keystone.example.com/v3")
	t.Setenv("OS_AUTH_TOKEN", "hunter2")
	t.Setenv("OS_PROJECT_NAME", "archive")
	o := kedge(t, "config", "explain", path).want(t, exitDone)
	lines := map[string]bool{}
	for _, line := range strings.Split(o.stdout, "\n") {
		lines[strings.Join(strings.Fields(line), " ")] = true
	}
	for _, want := range []string{
		"db_connect postgresql://u:********@h:5432/d?sslmode=prefer " + path + ":2",
		"services.catalog.object_store: driver db",
		"compression.enabled false default",
		"services.catalog.analysis_archive: driver swift",
		"compression.enabled true " + path + ":8",
		"storage_driver.config.container analyses " + path + ":12, environment T_CONTAINER",
		"storage_driver.config.os_password ******** " + path + ":13",
		"storage_driver.config.os_username somebody environment OS_USERNAME",
		"storage_driver.config.os_auth_token ******** environment OS_AUTH_TOKEN",
		"storage_driver.config.retries 5 default",
	} {
		if !lines[want] {
			t.Errorf("no line %q in\n%s", want, o.stdout)
		}
	}
	if strings.Contains(o.stdout+o.stderr, "hunter2") {
		t.Errorf("a secret is told:\n%s", o.stdout)
	}
	var list []struct {
		Section, Driver string
		Settings        []settingJSON
	}
	o = kedge(t, "--output=json", "config", "explain", path).want(t, exitDone)
	if err := json.Unmarshal([]byte(o.stdout), &list); err != nil || len(list) != 3 || list[2].Driver != "swift" || len(list[2].Settings) < 10 {
		t.Errorf("%v: %+v", err, list)
	}
}

func TestConfigExplainRegistry(t *testing.T) {
	testenv.Alone(t, "it sets the environment")
	path := configFile(t, "version: 0.1\nstorage:\n  filesystem:\n    maxthreads: 7\n")
	t.Setenv("REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY", "/srv/registry")
	o := kedge(t, "config", "explain", path).want(t, exitDone)
	for _, want := range []string{"storage: driver filesystem", "/srv/registry", "environment REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY", path + ":4"} {
		if !strings.Contains(o.stdout, want) {
			t.Errorf("no %q in\n%s", want, o.stdout)
		}
	}
}

// A fault is told with the line it is on.
func TestTheLineAtFaultIsQuoted(t *testing.T) {
	t.Parallel()
	path := configFile(t, "services:\n  catalog:\n    object_store:\n      storage_driver:\n        name: s3\n        config:\n          create_bucket: perhaps # maybe\n")
	o := kedge(t, "config", "explain", path).want(t, exitFailed)
	if want := "kedge: " + path + ":7: services.catalog.object_store.storage_driver.config.create_bucket: wants true or false (the line: create_bucket: perhaps)\n"; o.stderr != want {
		t.Errorf("got  %swant %s", o.stderr, want)
	}
	path = configFile(t, "services:\n  catalog:\n    object_store:\n      storage_driver:\n        name: s3\n        config:\n          secret_kee: hunter2\n")
	if o := kedge(t, "config", "explain", path).want(t, exitFailed); strings.Contains(o.stderr, "hunter2") || strings.Contains(o.stderr, "the line") {
		t.Error(o.stderr)
	}
}

func TestConfigExample(t *testing.T) {
	testenv.Alone(t, "it sets the environment")
	for _, driver := range []string{"db", "db2", "localfs", "s3", "swift"} {
		o := kedge(t, "config", "example", driver).want(t, exitDone)
		for _, name := range []string{"ANCHORE_DB_PASSWORD", "S3_SECRET_KEY", "OS_PASSWORD"} {
			t.Setenv(name, "x")
		}
		explained := kedge(t, "config", "explain", configFile(t, o.stdout)).want(t, exitDone)
		if !strings.Contains(explained.stdout, "driver "+driver+"\n") {
			t.Errorf("driver %s: %s", driver, explained.stdout)
		}
	}
	kedge(t, "config", "example", "azure").want(t, exitFailed)
}
