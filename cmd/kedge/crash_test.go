package main

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/kedge/kedge/bench"
	"github.com/kedge/kedge/internal/testenv"
)

// migrations reads list-migrations as a script does.
func migrations(t testing.TB, url string) []taskJSON {
	t.Helper()
	o := kedge(t, "list-migrations", "--db-connect", url, "--output", "json").want(t, exitDone)
	var tasks []taskJSON
	if err := json.Unmarshal([]byte(o.stdout), &tasks); err != nil {
		t.Fatalf("%v in %s", err, o.stdout)
	}
	return tasks
}

// started runs the program in the background.
func started(t testing.TB, args ...string) *exec.Cmd {
	t.Helper()
	cmd := command(t, args...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd
}

// startedSlow is started for a run that is to be caught in the middle: however
// fast the machine is, so many documents take seconds.
func startedSlow(t testing.TB, args ...string) *exec.Cmd {
	t.Helper()
	return started(t, append(slices.Clip(args), "--max-ops=0,2000")...)
}

func log(cmd *exec.Cmd) string {
	return cmd.Stdout.(*bytes.Buffer).String() + cmd.Stderr.(*bytes.Buffer).String()
}

// TestKilledAtRandomAndResumed kills a migration ten times without warning, and
// then lets it finish: everything is there, nothing is left at the source, and
// there is one migration, which is complete.
func TestKilledAtRandomAndResumed(t *testing.T) {
	t.Parallel()
	const kills = 10
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	s := seedDB(t, bench.Workload{Documents: 20000, MedianBytes: 2 << 10, MaxBytes: 64 << 10, Seed: 7})
	minio := testenv.MinIO(t)
	from, to := dbPlace(s.url), s3Place(minio, minio.Bucket(t), "")
	args := []string{"migrate", "--dontask", from.config(t, s.url, compression{}), to.config(t, s.url, compression{true, 2})}
	// At most 900 documents a second for at most 18 seconds: not all of them.
	limited := slices.Concat(args, []string{"--max-ops=0,900"})
	began, killed := time.Now(), 0
	for killed < kills {
		cmd := started(t, limited...)
		// Long enough to get somewhere, short enough for all kills to hit.
		time.Sleep(300*time.Millisecond + time.Duration(r.Int64N(int64(1500*time.Millisecond))))
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
		if cmd.ProcessState.ExitCode() == exitDone {
			t.Fatalf("the migration was done after %d kills: make it slower\n%s", killed, log(cmd))
		}
		killed++
		s.spotCheck(t, r, from, to)
	}
	kedge(t, args...).want(t, exitDone)
	if counts := s.check(t, from, to); counts[1] != s.workload.Documents {
		t.Errorf("%d documents at the destination, want all %d", counts[1], s.workload.Documents)
	}
	empty(t, from.raw)
	stored, err := to.raw.list(t.Context())
	if err != nil || len(stored) != s.workload.Documents {
		t.Errorf("%d objects at the destination (%v), want %d", len(stored), err, s.workload.Documents)
	}
	tasks := migrations(t, s.url)
	if len(tasks) != 1 || tasks[0].State != "complete" || tasks[0].MigratedCount != 20000 || tasks[0].Total != 20000 || tasks[0].EndedAt == nil {
		t.Errorf("list-migrations: %+v", tasks)
	}
	t.Logf("%d kills, all resumed, in %s", killed, time.Since(began).Round(time.Second))
}

// spotCheck reads some documents where the catalog says, after a kill.
func (s seeded) spotCheck(t *testing.T, r *rand.Rand, places ...place) {
	t.Helper()
	rows := catalogRows(t, s.url)
	for range 50 {
		n := r.IntN(s.workload.Documents)
		s.checkOne(t, rows, n, places)
	}
}

// TestInterruptedOnceDrainsAndResumes sends SIGINT, which must leave nothing in
// flight and say how to go on.
func TestInterruptedOnceDrainsAndResumes(t *testing.T) {
	t.Parallel()
	s := seedDB(t, bench.Workload{Documents: 10000, MedianBytes: 2 << 10, MaxBytes: 64 << 10, Seed: 8})
	from, to := dbPlace(s.url), localfsPlace(archiveRoot(t))
	checkpoint := filepath.Join(t.TempDir(), "here.checkpoint")
	args := []string{"migrate", "--dontask", "--checkpoint", checkpoint, from.config(t, s.url, compression{}), to.config(t, s.url, compression{})}
	cmd := startedSlow(t, args...)
	waitFor(t, func() bool {
		return execute(t, s.url, `SELECT FROM archive_metadata WHERE content_url LIKE 'file:%' LIMIT 1`) == 1
	})
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != exitInterrupted {
		t.Fatalf("exit status %d, want %d\n%s", code, exitInterrupted, log(cmd))
	}
	counts := s.check(t, from, to)
	if counts[0] == 0 || counts[1] == 0 {
		t.Errorf("interrupted with %d documents at the source and %d moved: neither may be none", counts[0], counts[1])
	}
	left, err := from.raw.list(t.Context())
	if err != nil || len(left) != counts[0] {
		t.Errorf("%d payloads at the source (%v), the catalog names %d there", len(left), err, counts[0])
	}
	if tasks := migrations(t, s.url); len(tasks) != 1 || tasks[0].State != "pending" || int(tasks[0].MigratedCount) != counts[1] {
		t.Errorf("list-migrations: %+v, want one pending with %d migrated", tasks, counts[1])
	}
	// Another migration must not take this checkpoint.
	other := localfsPlace(archiveRoot(t))
	kedge(t, "migrate", "--dontask", "--checkpoint", checkpoint, from.config(t, s.url, compression{}), other.config(t, s.url, compression{})).want(t, exitRefused)

	o := kedge(t, args...).want(t, exitDone)
	if !bytes.Contains([]byte(o.stderr), []byte("Resuming migration task")) {
		t.Errorf("the second run does not say that it resumes:\n%s", o.stderr)
	}
	s.check(t, to)
	empty(t, from.raw)
	if _, err := os.Stat(checkpoint); !os.IsNotExist(err) {
		t.Errorf("the checkpoint of a finished migration is still there (%v)", err)
	}
	if tasks := migrations(t, s.url); len(tasks) != 1 || tasks[0].State != "complete" || tasks[0].MigratedCount != 10000 {
		t.Errorf("list-migrations: %+v", tasks)
	}
}

// waitFor polls until something is so.
func waitFor(t testing.TB, so func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !so(); {
		if time.Now().After(deadline) {
			t.Fatal("waited a minute in vain")
		}
		time.Sleep(10 * time.Millisecond)
	}
}
