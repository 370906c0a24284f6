package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/kedge/kedge/bench"
	"github.com/kedge/kedge/internal/testenv"
)

// TestASecondMigrationIsRefused holds the lock as a migration does, and as any
// session of the database may.
func TestASecondMigrationIsRefused(t *testing.T) {
	s := seedDB(t, bench.Workload{Documents: 5000, Seed: 9})
	minio := testenv.MinIO(t)
	from, to := dbPlace(s.url), s3Place(minio, minio.Bucket(t), "")
	args := []string{"migrate", "--dontask", from.config(t, s.url, compression{}), to.config(t, s.url, compression{})}

	conn := connect(t, s.url)
	if _, err := conn.Exec(t.Context(), "SELECT pg_advisory_lock(2, 1)"); err != nil {
		t.Fatal(err)
	}
	o := kedge(t, args...).want(t, exitRefused)
	pid := fmt.Sprintf("pid %d", conn.PgConn().PID())
	if !strings.Contains(o.stderr, pid) || !strings.Contains(o.stderr, "127.0.0.1") {
		t.Errorf("the refusal does not name %s and its address:\n%s", pid, o.stderr)
	}
	if err := conn.Close(t.Context()); err != nil {
		t.Fatal(err)
	}

	cmd := started(t, args...)
	waitFor(t, func() bool { return execute(t, s.url, `SELECT FROM tasks WHERE state = 'running'`) == 1 })
	var holder int
	watch := connect(t, s.url)
	defer watch.Close(t.Context())
	if err := watch.QueryRow(t.Context(), `SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND classid = 2 AND objid = 1 AND granted`).Scan(&holder); err != nil {
		t.Fatal(err)
	}
	o = kedge(t, args...).want(t, exitRefused)
	if pid := fmt.Sprintf("pid %d", holder); !strings.Contains(o.stderr, pid) || !strings.Contains(o.stderr, "127.0.0.1") {
		t.Errorf("the refusal does not name %s and its address:\n%s", pid, o.stderr)
	}
	waited := started(t, append([]string{args[0], "--wait"}, args[1:]...)...)
	if err := cmd.Wait(); err != nil {
		t.Errorf("the first migration was disturbed: %v\n%s", err, log(cmd))
	}
	if err := waited.Wait(); err != nil {
		t.Errorf("the one that waited: %v\n%s", err, log(waited))
	}
	s.check(t, to)
}
