package main

import (
	"encoding/json"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/kedge/kedge/bench"
	"github.com/kedge/kedge/internal/testenv"
)

// telling is a run in the background whose log can be read while it goes on.
type telling struct {
	*exec.Cmd
	stdout, stderr string // paths
}

func startTelling(t *testing.T, args ...string) *telling {
	t.Helper()
	folder := t.TempDir()
	r := &telling{command(t, args...), filepath.Join(folder, "stdout"), filepath.Join(folder, "stderr")}
	for path, to := range map[string]func(*os.File){r.stdout: func(f *os.File) { r.Stdout = f }, r.stderr: func(f *os.File) { r.Stderr = f }} {
		f, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		to(f)
	}
	if err := r.Start(); err != nil {
		t.Fatal(err)
	}
	return r
}

// said says what the run has printed so far.
func said(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// waitToSay waits until the run has said something.
func (r *telling) waitToSay(t *testing.T, text string) {
	t.Helper()
	waitFor(t, func() bool { return strings.Contains(said(t, r.stderr), text) })
}

// ended waits for the end of the run, which must have this exit status.
func (r *telling) ended(t *testing.T, exit int) (stdout, stderr string) {
	t.Helper()
	_ = r.Wait()
	stdout, stderr = said(t, r.stdout), said(t, r.stderr)
	if code := r.ProcessState.ExitCode(); code != exit {
		t.Fatalf("exit status %d, want %d\nstdout:\n%s\nstderr:\n%s", code, exit, stdout, stderr)
	}
	return stdout, stderr
}

// TestADestinationThatIsDownForAWhile stops the server in the middle of a
// migration, of another run of it, and of another one: the first is interrupted
// while it is paused, the second gives up, the third goes on when the server is
// back. No document fails on the way.
func TestADestinationThatIsDownForAWhile(t *testing.T) {
	t.Parallel()
	s := seedDB(t, bench.Workload{Documents: 12000, MedianBytes: 2 << 10, MaxBytes: 64 << 10, Seed: 90})
	r := rand.New(rand.NewPCG(90, 0))
	minio := testenv.NewMinIO(t)
	from, to := dbPlace(s.url), s3Place(minio, minio.Bucket(t), "")
	args := []string{"migrate", "--dontask", "--output", "json", from.config(t, s.url, compression{}), to.config(t, s.url, compression{})}
	moved := func() int64 {
		return execute(t, s.url, `SELECT FROM archive_metadata WHERE content_url LIKE 's3:%'`)
	}
	// downDuring starts a run and stops the server when it has moved something.
	downDuring := func(more ...string) *telling {
		t.Helper()
		before := moved()
		r := startTelling(t, append(args, more...)...)
		waitFor(t, func() bool { return moved() > before })
		minio.Stop(t)
		return r
	}
	// concluded reads the result, of which no document may have failed.
	concluded := func(stdout, state string) (r resultJSON) {
		t.Helper()
		if err := json.Unmarshal([]byte(stdout), &r); err != nil {
			t.Fatalf("%v in %s", err, stdout)
		}
		if r.State != state || r.Failed != 0 || len(r.Failures) != 0 {
			t.Errorf("%+v; want state %s and no failures", r, state)
		}
		if tasks := migrations(t, s.url); len(tasks) != 1 || string(tasks[0].State) != state {
			t.Errorf("list-migrations: %+v, want one %s", tasks, state)
		}
		return r
	}

	run := downDuring()
	run.waitToSay(t, "destination does not answer, pausing; giving up in 30m0s")
	if err := run.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	stdout, _ := run.ended(t, exitInterrupted)
	concluded(stdout, "pending")
	minio.Start(t)
	s.spotCheck(t, r, from, to)

	run = downDuring("--give-up-after", "2s", "--max-failures", "1")
	stdout, stderr := run.ended(t, exitDocuments)
	if r := concluded(stdout, "failed"); !r.Resumed || !strings.Contains(r.Error, "has not answered for 2s; the last: ") {
		t.Errorf("the result is %+v", r)
	}
	if !strings.Contains(stderr, "run the same command again when it is back") {
		t.Errorf("nothing tells how to go on:\n%s", stderr)
	}
	minio.Start(t)
	s.spotCheck(t, r, from, to)

	run = downDuring("--max-failures", "1")
	run.waitToSay(t, "; waiting for the destination for ")
	minio.Start(t)
	stdout, stderr = run.ended(t, exitDone)
	concluded(stdout, "complete")
	if !strings.Contains(stderr, "destination answers again, going on") {
		t.Errorf("nothing tells that it goes on:\n%s", stderr)
	}
	if counts := s.check(t, from, to); counts[1] != s.workload.Documents {
		t.Errorf("%d documents at the destination, want all %d", counts[1], s.workload.Documents)
	}
	empty(t, from.raw)
	if stored, err := to.raw.list(t.Context()); err != nil || len(stored) != s.workload.Documents {
		t.Errorf("%d payloads at the destination, want %d (%v)", len(stored), s.workload.Documents, err)
	}
}

// TestAnAuditOfAStoreThatIsDownForAWhile interrupts an audit that is paused, and
// lets another one give up: neither counts a document as rotten.
func TestAnAuditOfAStoreThatIsDownForAWhile(t *testing.T) {
	t.Parallel()
	s := seedDB(t, bench.Workload{Documents: 10000, MedianBytes: 2 << 10, MaxBytes: 64 << 10, Seed: 91})
	minio := testenv.NewMinIO(t)
	from, to := dbPlace(s.url), s3Place(minio, minio.Bucket(t), "")
	config := to.config(t, s.url, compression{})
	kedge(t, "migrate", "--dontask", from.config(t, s.url, compression{}), config).want(t, exitDone)
	checkpoint := filepath.Join(t.TempDir(), "audit.checkpoint")
	args := []string{"verify", "--checkpoint", checkpoint, "--output", "json", config}
	written := func() (at time.Time) {
		if info, err := os.Stat(checkpoint); err == nil {
			at = info.ModTime()
		}
		return at
	}
	downDuring := func(more ...string) *telling {
		t.Helper()
		before := written()
		r := startTelling(t, append(args, more...)...)
		waitFor(t, func() bool { return written().After(before) })
		minio.Stop(t)
		return r
	}
	run := downDuring()
	run.waitToSay(t, "store does not answer, pausing; giving up in 30m0s")
	if err := run.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if stdout, _ := run.ended(t, exitInterrupted); strings.Contains(stdout, "failure") {
		t.Errorf("documents are called rotten:\n%s", stdout)
	}
	minio.Start(t)
	run = downDuring("--give-up-after", "1s")
	if stdout, stderr := run.ended(t, exitDocuments); strings.Contains(stdout, "failure") || !strings.Contains(stderr, "run the same command again when it is back") {
		t.Errorf("stdout:\n%s\nstderr:\n%s", stdout, stderr)
	}
	minio.Start(t)
	var summary struct {
		Documents, Failed int
	}
	o := kedge(t, args...).want(t, exitDone)
	if err := json.Unmarshal([]byte(o.stdout), &summary); err != nil || summary.Documents != s.workload.Documents || summary.Failed != 0 {
		t.Errorf("%v: %+v of %s", err, summary, o.stdout)
	}
}
