package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/kedge/kedge/internal/mounts"
	"github.com/kedge/kedge/internal/testenv"
)

// binary is the program as an operator has it, built once for all tests here.
var binary string

func TestMain(m *testing.M) {
	os.Exit(build(m))
}

func build(m *testing.M) int {
	folder, err := os.MkdirTemp("", "kedge-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(folder)
	binary = filepath.Join(folder, "kedge")
	race, cgo := "-race=false", "CGO_ENABLED=0" // as it is handed out
	if os.Getenv("KEDGE_TEST_RACE") != "" {     // the program under the race detector, not the tests around it
		race, cgo = "-race", "CGO_ENABLED=1"
	}
	command := exec.Command("go", "build", "-trimpath", race, "-o", binary, ".")
	command.Env = append(os.Environ(), cgo)
	if out, err := command.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "go build: %v\n%s", err, out)
		return 1
	}
	return testenv.Main(m)
}

// outcome is how a run of the program ended.
type outcome struct {
	stdout, stderr string
	exit           int
}

// kedge runs the program and waits for it.
func kedge(t testing.TB, args ...string) outcome {
	t.Helper()
	return outcomeOf(t, command(t, args...))
}

// outcomeOf runs the program and waits for it.
func outcomeOf(t testing.TB, cmd *exec.Cmd) outcome {
	t.Helper()
	err := cmd.Run()
	o := outcome{stdout: cmd.Stdout.(*bytes.Buffer).String(), stderr: cmd.Stderr.(*bytes.Buffer).String(), exit: cmd.ProcessState.ExitCode()}
	var exited *exec.ExitError
	if err != nil && !errors.As(err, &exited) {
		t.Fatalf("%s: %v", cmd, err)
	}
	return o
}

// command makes a run of the program with a home of the test's own, and no
// input.
func command(t testing.TB, args ...string) *exec.Cmd {
	if deletes := []string{"migrate", "plan", "purge"}; temporaryVolatile() && len(args) > 0 && slices.Contains(deletes, args[0]) {
		args = append([]string{args[0], "--allow-volatile"}, args[1:]...)
	}
	if deletes := []string{"migrate", "purge"}; len(args) > 0 && slices.Contains(deletes, args[0]) && !strings.Contains(strings.Join(args, " "), "--watch-deletes") {
		args = append([]string{args[0], "--watch-deletes=0s"}, args[1:]...)
	}
	return careful(t, args...)
}

// temporaryVolatile says whether kedge would delete no source for what is in the
// tests' folders: they are in memory, or in a container.
var temporaryVolatile = sync.OnceValue(func() bool { return mounts.Volatile(os.TempDir()) != "" })

// careful is command where the operator trusts no place.
func careful(t testing.TB, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(t.Context(), binary, args...)
	cmd.Env = append(environment(t), "HOME="+home(t), "XDG_STATE_HOME=")
	cmd.Stdout, cmd.Stderr = new(bytes.Buffer), new(bytes.Buffer)
	return cmd
}

// homes are the tests' homes by their names.
var homes sync.Map

func home(t testing.TB) string {
	if dir, ok := homes.Load(t.Name()); ok {
		return dir.(string)
	}
	dir := t.TempDir()
	homes.Store(t.Name(), dir)
	return dir
}

// variables are what setenv has set, a list by the test's name.
var variables sync.Map

// setenv sets an environment variable for the programs that a test runs, and not
// for the other tests of this process.
func setenv(t testing.TB, name, value string) {
	list, _ := variables.Load(t.Name())
	set, _ := list.([]string)
	variables.Store(t.Name(), append(set, name+"="+value))
}

// environment is that of the programs which a test runs: a subtest has its
// parent's as well.
func environment(t testing.TB) []string {
	all := os.Environ()
	for i, c := range t.Name() + "/" {
		if list, ok := variables.Load(t.Name()[:i]); ok && c == '/' {
			all = append(all, list.([]string)...)
		}
	}
	return all
}

// want fails the test unless the program exited with this status.
func (o outcome) want(t testing.TB, exit int) outcome {
	t.Helper()
	if o.exit != exit {
		t.Fatalf("exit status %d, want %d\nstdout:\n%s\nstderr:\n%s", o.exit, exit, o.stdout, o.stderr)
	}
	return o
}

// place is a store that a test can migrate from and to.
type place struct {
	name string
	// driver is the configuration name, options its config as lines of YAML.
	driver  string
	options []string
	prefix  string // what its URIs begin with
	raw     rawStore
	// refuses says that the backend cannot hold this key.
	refuses func(archiveID string) bool
}

// compression is a store's rule.
type compression struct {
	enabled bool
	minKB   int64
}

func (c compression) String() string {
	if !c.enabled {
		return "plain"
	}
	return fmt.Sprintf("zlib>%dK", c.minKB)
}

// config writes a configuration file for the place.
func (p place) config(t testing.TB, databaseURL string, c compression) string {
	t.Helper()
	return writeConfig(t, databaseURL, p.section("object_store", c))
}

// section is the place's section, indented for services.catalog.
func (p place) section(name string, c compression) string {
	var b strings.Builder
	fmt.Fprintf(&b, "    %s:\n      compression:\n        enabled: %v\n        min_size_kbytes: %d\n", name, map[bool]string{true: "True", false: "False"}[c.enabled], c.minKB)
	fmt.Fprintf(&b, "      storage_driver:\n        name: %s\n        config:", p.driver)
	if len(p.options) == 0 {
		b.WriteString(" {}\n")
		return b.String()
	}
	b.WriteString("\n")
	for _, option := range p.options {
		fmt.Fprintf(&b, "          %s\n", option)
	}
	return b.String()
}

func writeConfig(t testing.TB, databaseURL string, sections ...string) string {
	t.Helper()
	text := "services:\n  catalog:\n" + strings.Join(sections, "")
	if databaseURL != "" {
		text += "credentials:\n  database:\n    db_connect: " + databaseURL + "\n"
	}
	path := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// The places.

func dbPlace(databaseURL string) place {
	return place{name: "db", driver: "db", prefix: "db://", raw: &tableStore{url: databaseURL, table: "archive_document"}}
}

func db2Place(databaseURL string) place {
	return place{name: "db2", driver: "db2", prefix: "db2://", raw: &tableStore{url: databaseURL, table: "object_storage"}}
}

func localfsPlace(root string) place {
	return place{name: "localfs", driver: "localfs", options: []string{"archive_data_dir: " + root}, prefix: "file://" + root + "/", raw: fileStore{root}}
}

func s3Place(s *testenv.S3Server, bucket, prefix string) place {
	return place{
		name: "s3(" + s.Name + ")", driver: "s3", prefix: "s3://" + bucket + "/" + prefix,
		options: []string{
			"access_key: " + s.AccessKey, "secret_key: " + s.SecretKey, "url: " + s.URL,
			"region: False", "bucket: " + bucket, "create_bucket: False", "prefix: '" + prefix + "'",
		},
		raw: objectStore{s, bucket, prefix},
		// Objects are files on both servers: a key's parts must be names.
		refuses: func(id string) bool {
			return strings.HasPrefix(id, "/") || strings.Contains(id, "//") || s.Name == "versitygw" && strings.HasSuffix(id, "/") ||
				slices.ContainsFunc(strings.Split(id, "/"), func(part string) bool { return len(part) > 255 })
		},
	}
}

func swiftPlace(s *testenv.SwiftServer, container, prefix string) place {
	p := place{
		name: fmt.Sprintf("swift(v%d)", s.AuthVersion), driver: "swift", prefix: "swift://" + container + "/" + prefix,
		options: []string{"auth: " + s.AuthURL, "user: " + s.User, "key: " + s.Key, "container: " + container, "create_container: False", "anchore_key_prefix: '" + prefix + "'"},
		raw:     containerStore{s, container, prefix},
	}
	if s.AuthVersion == 3 {
		p.options = append([]string{"auth_version: 3", "os_auth_url: " + s.AuthURL, "os_username: " + s.User, "os_password: " + s.Key, "os_project_name: " + s.Project, "os_region_name: RegionOne"}, p.options[3:]...)
	}
	return p
}

// rawStore reads payloads without kedge: the way of the backend itself.
type rawStore interface {
	get(ctx context.Context, uri string) ([]byte, error)
	list(ctx context.Context) ([]string, error)
}
