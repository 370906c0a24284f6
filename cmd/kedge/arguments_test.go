package main

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/kedge/kedge/bench"
	"github.com/kedge/kedge/config"
)

func TestThePasswordIsFound(t *testing.T) {
	t.Parallel()
	for arg, want := range map[string]string{
		"postgresql://anchore:s3cret@db:5432/anchore":                "s3cret",
		"--db-connect=postgresql+pg8000://anchore:p@ss:w/rd@db/a":    "p@ss:w/rd",
		"postgresql://anchore@db/anchore":                            "",
		"postgresql://db/anchore":                                    "",
		"--bucket=a:b@c":                                             "",
		"sqlite:////var/lib/anchore.db":                              "",
		"postgresql://u:@db/a":                                       "",
		"/etc/config.yaml":                                           "",
		"postgresql://u:p@x/y?z#%@db/a?sslmode=require":              "p@x/y?z#%",
		"postgresql://u@db/a?sslmode=require&password=s3cret&port=1": "s3cret",
		// What kedge does not know may be a secret too.
		"postgresql://u@db/a?sslmode=require&passwd=s3cret&port=1": "s3cret",
		"--db-connect=postgresql://u:s3cret@db,db2:5433/a":         "s3cret",
	} {
		got := ""
		for _, secret := range config.SecretsIn(arg) {
			got += arg[secret[0]:secret[1]]
		}
		if got != want {
			t.Errorf("%s: found %q, want %q", arg, got, want)
		}
	}
}

// The process list must not show the password of --db-connect.
func TestTheProcessListShowsNoPassword(t *testing.T) {
	t.Parallel()
	s := seedDB(t, bench.Workload{Documents: 10, Seed: 22})
	lock := connect(t, s.url)
	defer lock.Close(t.Context())
	if _, err := lock.Exec(t.Context(), "SELECT pg_advisory_lock(2, 1)"); err != nil {
		t.Fatal(err)
	}
	const password = "pr0cess-list-s3cret" // the server asks for none, and takes any
	url := strings.Replace(s.url, "postgres@", "postgres:"+password+"@", 1)
	to := localfsPlace(archiveRoot(t))
	cmd := started(t, "migrate", "--dontask", "--wait", "--db-connect", url, dbPlace(s.url).config(t, s.url, compression{}), to.config(t, s.url, compression{}))
	waitFor(t, func() bool {
		return execute(t, s.url, `SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`) == 1
	})
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(line), password) || !strings.Contains(string(line), "postgres:***") {
		t.Errorf("the process list shows %q", line)
	}
	if _, err := lock.Exec(t.Context(), "SELECT pg_advisory_unlock(2, 1)"); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v\n%s", err, log(cmd))
	}
	s.check(t, to)
}
