package layering

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"
)

const (
	module  = "github.com/kedge/kedge"
	testenv = "internal/testenv/..."
)

// A rule says what the packages it is about may import of this module. Paths
// are relative to the module; "x/..." is x and all below it. A package may
// always import what lies in its own folder named internal. Anything not named is
// forbidden.
type rule struct {
	packages string
	may      []string // in all its code
	testsMay []string // in its tests, beyond that
}

// rules: the first one that is about a package holds for it. A package that no
// rule is about is a violation.
var rules = []rule{
	// What stands alone.
	{packages: "config/...", testsMay: []string{testenv}},
	{packages: "checkpoint", may: []string{"checkpoint/gather"}, testsMay: []string{testenv}},
	{packages: "checkpoint/gather", may: []string{"internal/crash"}},
	{packages: "drivers", testsMay: []string{testenv}},
	{packages: testenv, may: []string{testenv}},
	{packages: "internal/layering"},
	// Builds what is handed out, by the go command and the program itself.
	{packages: "internal/release"},
	// Judges places in the file tree.
	{packages: "internal/mounts", testsMay: []string{testenv}},
	// Draws; what is drawn is others' affair.
	{packages: "internal/plot"},
	// Empty but in the torture harness's build.
	{packages: "internal/crash"},

	// Opens a store from a section of a configuration, whatever its driver.
	{packages: "drivers/all", may: []string{"config", "drivers/..."}, testsMay: []string{testenv}},
	// What decorators share; what it costs is measured with all of them.
	{packages: "drivers/decorator", may: []string{"drivers"}, testsMay: []string{"drivers/retry", "drivers/limit", "drivers/breaker", "drivers/metrics"}},
	// A decorator is also tested around a real backend, and inside of another one.
	{packages: "drivers/retry", may: []string{"drivers", "drivers/decorator"}, testsMay: []string{testenv, "drivers/drivertest", "drivers/localfs"}},
	{packages: "drivers/limit", may: []string{"drivers", "drivers/decorator"}, testsMay: []string{testenv, "drivers/drivertest", "drivers/localfs", "drivers/retry", "drivers/breaker"}},
	{packages: "drivers/metrics", may: []string{"drivers", "drivers/decorator"}, testsMay: []string{testenv, "drivers/drivertest", "drivers/localfs"}},
	{packages: "drivers/breaker", may: []string{"drivers", "drivers/decorator"}, testsMay: []string{testenv, "drivers/drivertest", "drivers/localfs", "drivers/retry"}},
	// The floor of the drivers over HTTP knows none of them.
	{packages: "drivers/httpstore", may: []string{"drivers"}, testsMay: []string{testenv}},
	{packages: "drivers/s3/...", may: []string{"drivers", "drivers/httpstore"}, testsMay: []string{testenv, "drivers/drivertest"}},
	{packages: "drivers/swift", may: []string{"drivers", "drivers/httpstore"}, testsMay: []string{testenv, "drivers/drivertest"}},
	// Stands in front of S3 only.
	{packages: "drivers/cloudfront", may: []string{"drivers", "drivers/httpstore"}, testsMay: []string{testenv, "drivers/s3"}},
	// Asks where its folder lies.
	{packages: "drivers/localfs", may: []string{"drivers", "internal/mounts"}, testsMay: []string{testenv, "drivers/drivertest"}},
	// Backends, decorators and the conformance suite know the interface, and
	// never each other.
	{packages: "drivers/...", may: []string{"drivers"}, testsMay: []string{testenv, "drivers/drivertest"}},

	// The pipeline's own rooms, each of which knows as little as it can.
	{packages: "pipeline/forms"},
	{packages: "pipeline/canary", may: []string{"drivers"}, testsMay: []string{"drivers/localfs"}},
	{packages: "pipeline/failure", may: []string{"checkpoint", "drivers", "internal/mounts", "pipeline/forms"}},
	// Looks at what migrations have made, without any of their stages.
	{packages: "pipeline/audit",
		may: []string{
			"checkpoint", "drivers", "drivers/metrics", "pipeline/catalog", "pipeline/concurrency", "pipeline/failure", "pipeline/folding",
			"pipeline/forms", "pipeline/progress", "pipeline/spread", "pipeline/store", "pipeline/survey",
		}},
	{packages: "pipeline/store", may: []string{"drivers", "drivers/metrics", "pipeline/catalog", "pipeline/failure", "pipeline/forms"}},
	{packages: "pipeline/survey", may: []string{"drivers", "pipeline/catalog", "pipeline/concurrency", "pipeline/failure", "pipeline/folding", "pipeline/store"}},
	{packages: "pipeline/probe", may: []string{"drivers", "internal/crash", "pipeline/failure", "pipeline/folding", "pipeline/store", "pipeline/survey"}},
	{packages: "pipeline/preflight", may: []string{"drivers", "pipeline/catalog", "pipeline/failure", "pipeline/folding", "pipeline/probe", "pipeline/route", "pipeline/store", "pipeline/survey"}},
	// Know one document's places, and no document on its way.
	{packages: "pipeline/guard", may: []string{"drivers", "pipeline/catalog", "pipeline/store", "pipeline/survey"}},
	{packages: "pipeline/takeback", may: []string{"drivers", "internal/crash", "pipeline/catalog", "pipeline/copies", "pipeline/store", "pipeline/survey"}},
	{packages: "pipeline/plan", may: []string{"checkpoint", "pipeline/catalog", "pipeline/failure", "pipeline/forms", "pipeline/progress"}},
	{packages: "pipeline/progress", may: []string{"checkpoint", "drivers", "drivers/metrics", "pipeline/failure"}},
	// Knows what follows from two stores and a row.
	{packages: "pipeline/route", may: []string{"drivers", "pipeline/catalog", "pipeline/forms", "pipeline/plan", "pipeline/progress", "pipeline/store", "pipeline/survey"}},
	// What a run is told, and what it tells.
	{packages: "pipeline/job",
		may: []string{
			"checkpoint", "pipeline/catalog", "pipeline/concurrency", "pipeline/copies", "pipeline/failure", "pipeline/plan",
			"pipeline/progress", "pipeline/store",
		}},
	// Keeps a record of copies, and knows no document that is being moved.
	{packages: "pipeline/copies",
		may:      []string{"checkpoint", "checkpoint/gather", "drivers", "internal/crash", "pipeline/catalog", "pipeline/concurrency", "pipeline/spread", "pipeline/store"},
		testsMay: []string{testenv, "drivers/..."}},
	// Trees of files are moved by the same means, and never by way of documents.
	{packages: "pipeline/tree",
		may:      []string{"checkpoint", "drivers", "pipeline/canary", "pipeline/concurrency", "pipeline/failure", "pipeline/folding", "pipeline/journal", "pipeline/progress"},
		testsMay: []string{testenv, "drivers/..."}},
	{packages: "pipeline/concurrency", may: []string{"drivers"}, testsMay: []string{"pipeline/catalog"}},
	// The catalog's database may be told not to keep what it is given.
	{packages: "pipeline/catalog/...", may: []string{"drivers", "internal/crash", "internal/mounts", "pipeline/catalog"}, testsMay: []string{testenv}},
	// The pipeline works with any store: it never knows a backend, the
	// configuration or the command line. Its tests open real stores.
	{packages: "pipeline/...",
		may:      []string{"pipeline/...", "checkpoint", "drivers", "drivers/retry", "drivers/limit", "drivers/metrics", "internal/crash"},
		testsMay: []string{testenv, "drivers/..."}},

	// Runs the program against real servers, kills it, and looks at what is left.
	{packages: "internal/torture", may: []string{testenv, "checkpoint", "drivers", "pipeline", "pipeline/journal"}},

	// Runs the program and its peers against real servers.
	{packages: "bench/compare", may: []string{testenv, "bench", "drivers"}},

	// What puts the parts together. Nothing imports cmd.
	{packages: "bench/...", may: []string{"bench/...", "checkpoint", "config", "drivers/...", "internal/plot", "pipeline/..."}, testsMay: []string{testenv}},
	// Read the definitions of the commands, and know nothing else of the program.
	{packages: "cmd/kedge/internal/completion"},
	{packages: "cmd/kedge/internal/manual", may: []string{"cmd/kedge/internal/completion"}},
	// Draws on a terminal; what is drawn is others' affair.
	{packages: "cmd/kedge/internal/liveview"},
	{packages: "cmd/kedge/internal/ending"},
	// Tell of a run while it goes on, when it is over, and from afar.
	{packages: "cmd/kedge/internal/progress", may: []string{"cmd/kedge/internal/liveview", "cmd/kedge/internal/observe", "drivers", "pipeline", "pipeline/audit", "pipeline/tree"},
		testsMay: []string{"pipeline/failure", "pipeline/progress"}},
	{packages: "cmd/kedge/internal/summary", may: []string{"cmd/kedge/internal/ending", "cmd/kedge/internal/observe", "checkpoint", "drivers", "pipeline", "pipeline/audit", "pipeline/tree"}},
	// Knows a localfs destination's room, which no other store tells.
	{packages: "cmd/kedge/internal/plantext", may: []string{"cmd/kedge/internal/cmdline", "cmd/kedge/internal/ending", "cmd/kedge/internal/observe", "cmd/kedge/internal/summary", "drivers", "drivers/localfs", "pipeline"}},
	// Knows where a database's URL has its password.
	{packages: "cmd/kedge/internal/cmdline", may: []string{"config"}},
	{packages: "cmd/kedge/internal/watch", may: []string{"cmd/kedge/internal/ending", "cmd/kedge/internal/observe", "cmd/kedge/internal/summary", "drivers/metrics", "pipeline", "pipeline/journal", "pipeline/tree"}},
	{packages: "cmd/...", may: []string{"cmd/...", "bench/...", "checkpoint", "config", "drivers/...", "internal/plot", "pipeline/..."}, testsMay: []string{testenv, "internal/mounts"}},
}

// folders are the top-level folders; bin is what make builds.
var folders = []string{".ci", ".git", "bench", "bin", "checkpoint", "cmd", "config", "contrib", "docs", "drivers", "internal", "pipeline", "testdata"}

func TestImports(t *testing.T) {
	packages := listPackages(t)
	if len(packages) < 5 {
		t.Fatalf("go list finds only %d packages", len(packages))
	}
	for _, p := range packages {
		for _, violation := range check(p) {
			t.Error(violation)
		}
	}
}

func TestTopLevelFolders(t *testing.T) {
	entries, err := os.ReadDir("../..")
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if entry.IsDir() && !slices.Contains(folders, entry.Name()) {
			t.Errorf("the top-level folder %s is not an agreed one: %s", entry.Name(), strings.Join(folders, " "))
		}
	}
}

// listed is a package as go list tells of it.
type listed struct {
	ImportPath                         string
	Imports, TestImports, XTestImports []string
}

// listPackages lists the packages of this module.
func listPackages(t *testing.T) []listed {
	t.Helper()
	// -e: what does not compile is other tests' affair.
	cmd := exec.Command("go", "list", "-e", "-json=ImportPath,Imports,TestImports,XTestImports", "./...")
	cmd.Dir = "../.."
	var complaint strings.Builder
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, complaint.String())
	}
	var packages []listed
	for in := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		err := in.Decode(&p)
		if errors.Is(err, io.EOF) {
			return packages
		}
		if err != nil {
			t.Fatalf("go list: %v", err)
		}
		packages = append(packages, p)
	}
}

// check returns a line for each import that the rules forbid p.
func check(p listed) []string {
	name := relative(p.ImportPath)
	i := slices.IndexFunc(rules, func(r rule) bool { return matches(r.packages, name) })
	if i < 0 {
		return []string{fmt.Sprintf("%s: no rule says what it may import", name)}
	}
	may := append(slices.Clone(rules[i].may), name+"/internal/...")
	violations := forbidden(name, p.Imports, may)
	may = append(append(may, name), rules[i].testsMay...)
	return append(violations, forbidden(name+" (tests)", slices.Concat(p.TestImports, p.XTestImports), may)...)
}

// forbidden returns a line for each import of this module that may does not
// name.
func forbidden(who string, imports, may []string) []string {
	var violations []string
	for _, imported := range imports {
		if imported != module && !strings.HasPrefix(imported, module+"/") {
			continue
		}
		name := relative(imported)
		if !slices.ContainsFunc(may, func(pattern string) bool { return matches(pattern, name) }) {
			violations = append(violations, fmt.Sprintf("%s must not import %s", who, name))
		}
	}
	return violations
}

func relative(importPath string) string {
	return path.Clean("./" + strings.TrimPrefix(importPath, module))
}

// matches says whether a package is one that a pattern means.
func matches(pattern, name string) bool {
	root, below := strings.CutSuffix(pattern, "/...")
	return name == root || below && strings.HasPrefix(name, root+"/")
}

func TestCheck(t *testing.T) {
	none := []string{}
	for _, test := range []struct {
		name          string
		from          string
		imports       []string
		tests         []string
		externalTests []string
		want          []string
	}{
		{"own and foreign packages", "drivers/s3", []string{"drivers", "drivers/s3/internal/sign", "context", "github.com/kedge/kedgeless"}, nil, nil, none},
		{"driver on driver", "drivers/s3", []string{"drivers/localfs"}, nil, nil, []string{"drivers/s3 must not import drivers/localfs"}},
		{"driver on the floor of drivers over HTTP", "drivers/s3", []string{"drivers/httpstore"}, nil, nil, none},
		{"other driver on that floor", "drivers/localfs", []string{"drivers/httpstore"}, nil, nil, []string{"drivers/localfs must not import drivers/httpstore"}},
		{"that floor on a driver", "drivers/httpstore", []string{"drivers/swift"}, nil, nil, []string{"drivers/httpstore must not import drivers/swift"}},
		{"driver on pipeline", "drivers/db", []string{"pipeline"}, nil, nil, []string{"drivers/db must not import pipeline"}},
		{"driver on configuration", "drivers/db", []string{"config"}, nil, nil, []string{"drivers/db must not import config"}},
		{"decorator on driver", "drivers/retry", []string{"drivers/db"}, nil, nil, []string{"drivers/retry must not import drivers/db"}},
		{"decorator on decorator", "drivers/breaker", []string{"drivers/retry"}, nil, []string{"drivers/retry"}, []string{"drivers/breaker must not import drivers/retry"}},
		{"driver's tests", "drivers/db", nil, []string{"internal/testenv", "drivers/drivertest"}, []string{"drivers/db", "drivers/localfs"}, []string{"drivers/db (tests) must not import drivers/localfs"}},
		{"opener of stores", "drivers/all", []string{"config", "drivers", "drivers/s3"}, nil, nil, none},
		{"opener of stores on pipeline", "drivers/all", []string{"pipeline/catalog"}, nil, nil, []string{"drivers/all must not import pipeline/catalog"}},
		{"interface", "drivers", []string{"checkpoint", "drivers/s3"}, nil, nil, []string{"drivers must not import checkpoint", "drivers must not import drivers/s3"}},
		{"configuration", "config", []string{"drivers"}, nil, nil, []string{"config must not import drivers"}},
		{"checkpoint", "checkpoint", []string{"drivers", "pipeline"}, nil, nil, []string{"checkpoint must not import drivers", "checkpoint must not import pipeline"}},
		{"pipeline on backend", "pipeline", []string{"drivers", "checkpoint", "pipeline/catalog", "drivers/s3"}, nil, nil, []string{"pipeline must not import drivers/s3"}},
		{"pipeline on all backends", "pipeline/catalog/anchore", []string{"drivers/all"}, nil, nil, []string{"pipeline/catalog/anchore must not import drivers/all"}},
		{"pipeline on configuration and command", "pipeline", []string{"config", "cmd/kedge"}, nil, nil, []string{"pipeline must not import config", "pipeline must not import cmd/kedge"}},
		{"pipeline's tests", "pipeline", nil, []string{"drivers/s3", "internal/testenv"}, []string{"config"}, []string{"pipeline (tests) must not import config"}},
		{"servers in a command", "cmd/kedge", []string{"config", "drivers/all", "pipeline", "internal/testenv"}, nil, nil, []string{"cmd/kedge must not import internal/testenv"}},
		{"servers in a benchmark's tests", "bench", nil, []string{"internal/testenv"}, nil, none},
		{"servers themselves", "internal/testenv", []string{"internal/testenv/tools", "drivers"}, nil, nil, []string{"internal/testenv must not import drivers"}},
		{"package without a rule", "stray", nil, nil, nil, []string{"stray: no rule says what it may import"}},
		{"package at the top", ".", nil, nil, nil, []string{".: no rule says what it may import"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := check(listed{full(test.from), fullAll(test.imports), fullAll(test.tests), fullAll(test.externalTests)})
			if !slices.Equal(got, test.want) {
				t.Errorf("check says %q; want %q", got, test.want)
			}
		})
	}
}

// full gives the import path of a package of this module; foreign ones, which
// are told apart by their first part, stay as they are.
func full(name string) string {
	if name == "context" || strings.HasPrefix(name, "github.com/") {
		return name
	}
	return path.Join(module, name)
}

func fullAll(names []string) []string {
	var paths []string
	for _, name := range names {
		paths = append(paths, full(name))
	}
	return paths
}
