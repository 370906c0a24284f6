package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/kedge/kedge/bench"
	"github.com/kedge/kedge/internal/testenv"
)

// migrationLock picks the lock of a migration that is held in this database out of
// pg_locks, which has those of all databases.
const migrationLock = `locktype = 'advisory' AND classid = 2 AND objid = 1 AND granted
	AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`

// TestASecondMigrationIsRefused holds the lock as a migration does, and as any
// session of the database may.
func TestASecondMigrationIsRefused(t *testing.T) {
	t.Parallel()
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

	cmd := startedSlow(t, args...)
	waitFor(t, func() bool { return execute(t, s.url, `SELECT FROM tasks WHERE state = 'running'`) == 1 })
	var holder int
	watch := connect(t, s.url)
	defer watch.Close(t.Context())
	if err := watch.QueryRow(t.Context(), `SELECT pid FROM pg_locks WHERE `+migrationLock).Scan(&holder); err != nil {
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

// TestALostLockStopsTheMigration ends the session that holds the lock: the
// migration must stop, and the next one finish it.
func TestALostLockStopsTheMigration(t *testing.T) {
	t.Parallel()
	s := seedDB(t, bench.Workload{Documents: 10000, Seed: 23})
	minio := testenv.MinIO(t)
	from, to := dbPlace(s.url), s3Place(minio, minio.Bucket(t), "")
	args := []string{"migrate", "--dontask", from.config(t, s.url, compression{}), to.config(t, s.url, compression{})}
	cmd := startedSlow(t, args...)
	waitFor(t, func() bool {
		return execute(t, s.url, `SELECT FROM archive_metadata WHERE content_url LIKE 's3:%' LIMIT 1`) == 1
	})
	if n := execute(t, s.url, `SELECT pg_terminate_backend(pid, 60000) FROM pg_locks WHERE `+migrationLock); n != 1 {
		t.Fatalf("%d sessions hold the lock", n)
	}
	_ = cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != exitDocuments || !strings.Contains(log(cmd), "lock") {
		t.Fatalf("exit status %d, want %d and the reason\n%s", code, exitDocuments, log(cmd))
	}
	moved := execute(t, s.url, `SELECT FROM archive_metadata WHERE content_url LIKE 's3:%'`)
	if moved == 10000 {
		t.Fatal("the migration was done before it lost its lock: make it larger")
	}
	kedge(t, args...).want(t, exitDone)
	s.check(t, to)
	empty(t, from.raw)
	if tasks := migrations(t, s.url); len(tasks) != 1 || tasks[0].State != "complete" {
		t.Errorf("list-migrations: %+v", tasks)
	}
}
