package drivertest

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/kedge/kedge/drivers"
)

const flawVariable = "KEDGE_DRIVERTEST_FLAW"

// TestFlawed runs the suite against the flawed driver: in this process without
// a flaw, which must pass; in the processes that TestSuiteNotices starts, with
// one. An empty flaw is none.
func TestFlawed(t *testing.T) {
	flaw := os.Getenv(flawVariable)
	opened := 0
	openStore := func(tb testing.TB) drivers.Driver {
		opened++
		d := &flawed{flaw: flaw, dir: tb.TempDir(), index: map[string]stored{}}
		d.dir += fmt.Sprint("/", opened)
		if err := os.MkdirAll(d.dir, 0o755); err != nil {
			tb.Fatal(err)
		}
		return d
	}
	Run(t, Backend{
		Open:       openStore,
		OpenBeside: func(tb testing.TB, _ drivers.Driver) drivers.Driver { return openStore(tb) },
		Corrupt: func(tb testing.TB, d drivers.Driver, uri string) {
			f := d.(*flawed)
			found := f.index[uri]
			b, err := os.ReadFile(found.file)
			if err != nil {
				tb.Fatal(err)
			}
			b[len(b)/2] ^= 1
			if err := os.WriteFile(found.file, b, 0o644); err != nil {
				tb.Fatal(err)
			}
			found.info.MD5 = ""
			f.index[uri] = found
		},
		Refuses: func(k drivers.Key) bool { return strings.Contains(k.UserID+k.Bucket, "/") },
		Secrets: []string{"hunter2"},
	})
}

// TestSuiteNotices demands that each flaw makes the suite fail, and makes it
// fail in the subtest that is about it.
func TestSuiteNotices(t *testing.T) {
	for flaw, subtest := range map[string]string{
		"ignores MD5":                    "failed put/wrong MD5, stream",
		"ignores length":                 "failed put/stream one byte too short",
		"believes length":                "failed put/stream one byte too long",
		"keeps partial streams":          "failed put/source fails midway",
		"loses the cause":                "failed put/source fails at its end, length unknown",
		"does not close":                 "roundtrip/text",
		"wrong kinds":                    "missing",
		"plain errors":                   "missing",
		"errors without uri":             "missing",
		"colliding keys":                 "keys",
		"folds case":                     "keys",
		"refuses with the wrong kind":    "keys",
		"flips bytes":                    "roundtrip/100 KB random",
		"false proof":                    "roundtrip/empty",
		"does not overwrite":             "overwrite",
		"does not delete":                "missing",
		"delete of missing fails":        "missing",
		"stat without length":            "overwrite",
		"stat without time":              "modified",
		"ignores context":                "cancelled",
		"holds streams":                  "stream 64 MiB/stream, length and MD5 unknown",
		"secret in place":                "identity",
		"lists one page":                 "list",
		"ignores MaxBytes":               "batch/get",
		"batch in wrong order":           "batch/get",
		"batch stops at the first error": "batch/put some wrong",
	} {
		t.Run(flaw, func(t *testing.T) {
			var pattern []string
			for _, part := range strings.Split("TestFlawed/"+subtest, "/") {
				pattern = append(pattern, "^"+regexp.QuoteMeta(strings.ReplaceAll(part, " ", "_"))+"$")
			}
			for env, wantFailure := range map[string]bool{flaw: true, "": false} {
				cmd := exec.Command(os.Args[0], "-test.run="+strings.Join(pattern, "/"))
				cmd.Env = append(os.Environ(), flawVariable+"="+env)
				out, err := cmd.CombinedOutput()
				if failed := err != nil; failed != wantFailure {
					t.Errorf("with flaw %q: failed: %v, want %v\n%s", env, failed, wantFailure, out)
				} else if failed && !strings.Contains(string(out), "--- FAIL: TestFlawed/"+strings.ReplaceAll(subtest, " ", "_")) {
					t.Errorf("with flaw %q: it failed elsewhere:\n%s", env, out)
				} else if strings.Contains(string(out), "no tests to run") {
					t.Errorf("the pattern %q matches nothing", pattern)
				}
			}
		})
	}
}
