package main

import (
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/kedge/kedge/bench"
	"github.com/kedge/kedge/internal/testenv"
)

// patience is how long a run may go on after the fault that must end it.
const patience = time.Minute

// ends waits for a run that a fault must end, and gives its exit status and what
// it said.
func ends(t *testing.T, cmd *exec.Cmd) outcome {
	t.Helper()
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case <-ended:
	case <-time.After(patience):
		_ = cmd.Process.Kill()
		<-ended
		t.Fatalf("still running %s after the fault:\n%s", patience, log(cmd))
	}
	return outcome{stderr: log(cmd), exit: cmd.ProcessState.ExitCode()}
}

// says fails the test unless the run said all of these.
func (o outcome) says(t testing.TB, words ...string) outcome {
	t.Helper()
	for _, w := range words {
		if !strings.Contains(o.stdout+o.stderr, w) {
			t.Errorf("it does not say %q:\n%s%s", w, o.stdout, o.stderr)
		}
	}
	return o
}

// finishes runs the same command again, which must end complete: every document
// at the destination with its bytes and nowhere else, and one task, complete.
func (s seeded) finishes(t *testing.T, from, to place, args ...string) {
	t.Helper()
	kedge(t, args...).want(t, exitDone)
	if counts := s.check(t, from, to); counts[1] != s.workload.Documents {
		t.Errorf("%d documents at the destination, want all %d", counts[1], s.workload.Documents)
	}
	empty(t, from.raw)
	s.oneCompleteTask(t)
}

// oneCompleteTask fails the test unless there is one migration, complete.
func (s seeded) oneCompleteTask(t *testing.T) {
	t.Helper()
	n := int64(s.workload.Documents)
	tasks := migrations(t, s.url)
	if len(tasks) != 1 || tasks[0].State != "complete" || tasks[0].MigratedCount != n || tasks[0].Total != n || tasks[0].EndedAt == nil {
		t.Errorf("list-migrations: %+v, want one, complete, with %d documents", tasks, n)
	}
}

// installationOn is an installation on a server of the test's own.
func installationOn(t *testing.T, server *testenv.PostgresServer, w bench.Workload) seeded {
	t.Helper()
	url, _ := server.Golden(t, "db")
	execute(t, url, `TRUNCATE archive_metadata, archive_document, object_storage, archive_migration_tasks, tasks`)
	return seedInto(t, url, w)
}

// someMoved waits until the run has moved documents to a scheme, and asks over a
// connection of its own that it gives back.
func someMoved(t *testing.T, url, scheme string) {
	t.Helper()
	conn := connect(t, url)
	defer conn.Close(t.Context())
	waitFor(t, func() bool {
		var one int
		err := conn.QueryRow(t.Context(), `SELECT 1 FROM archive_metadata WHERE content_url LIKE $1 LIMIT 1`, scheme+"%").Scan(&one)
		if err != nil && !errors.Is(err, pgx.ErrNoRows) {
			t.Fatal(err)
		}
		return one == 1
	})
}

// The database is shut down, or crashes, and comes back: the run that it ended
// says why, nothing is lost, and the same command finishes it.
func TestTheDatabaseRestartsMidRun(t *testing.T) {
	t.Parallel()
	files := func(string) place { return localfsPlace(archiveRoot(t)) }
	server := testenv.NewPostgres(t, testenv.PostgresOptions{OnDisk: true})
	for _, c := range []struct {
		name string
		to   func(url string) place
		end  func(testing.TB)
	}{
		{"shut down, to localfs", files, server.Stop},
		{"killed, to localfs", files, server.Kill},
		{"shut down, to db2 in it", db2Place, server.Stop},
		{"killed, to db2 in it", db2Place, server.Kill},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := installationOn(t, server, bench.Workload{Documents: 8000, MedianBytes: 1 << 10, Seed: 80})
			from, to := dbPlace(s.url), c.to(s.url)
			args := []string{"migrate", "--dontask", from.config(t, s.url, compression{}), to.config(t, s.url, compression{true, 1})}
			cmd := startedSlow(t, args...)
			someMoved(t, s.url, to.prefix)
			c.end(t)
			o := ends(t, cmd)
			// While it is down, the command says so.
			down := kedge(t, append([]string{args[0], "--db-retries=0"}, args[1:]...)...).want(t, exitFailed)
			server.Start(t)
			o.want(t, exitDocuments).says(t, "run the same command again")
			down.says(t, "cannot reach the database at 127.0.0.1")
			if counts := s.check(t, from, to); counts[0] == 0 || counts[1] == 0 {
				t.Fatalf("%v documents at source and destination: neither may be none", counts)
			}
			s.finishes(t, from, to, args...)
		})
	}
}

// Connections to the database are cut again and again, but for the session that
// holds the lock: what reads and what stores tries again, and nothing fails.
func TestConnectionsThatAreCutDoNotEndAMigration(t *testing.T) {
	t.Parallel()
	s := seedDB(t, bench.Workload{Documents: 8000, MedianBytes: 1 << 10, Seed: 99})
	from, to := dbPlace(s.url), localfsPlace(archiveRoot(t))
	args := []string{"migrate", "--dontask", from.config(t, s.url, compression{}), to.config(t, s.url, compression{true, 1})}
	cmd := startedSlow(t, args...)
	someMoved(t, s.url, to.prefix)
	// For less time than a statement is begun again in, however slow the machine is.
	var cut int64
	for began := time.Now(); time.Since(began) < 2*time.Second; {
		cut += execute(t, s.url, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'kedge' AND datname = current_database()
			AND pid NOT IN (SELECT pid FROM pg_locks WHERE locktype = 'advisory')`)
		time.Sleep(50 * time.Millisecond)
	}
	if err := cmd.Wait(); err != nil || cut == 0 {
		t.Fatalf("%d connections were cut: %v\n%s", cut, err, log(cmd))
	}
	if counts := s.check(t, from, to); counts[1] != s.workload.Documents {
		t.Errorf("%d documents at the destination, want all %d", counts[1], s.workload.Documents)
	}
	empty(t, from.raw)
	s.oneCompleteTask(t)
}

// A commit whose answer never arrives may have taken effect or not: the run
// stops, and the next one finds out from the rows.
func TestACommitWhoseAnswerIsLost(t *testing.T) {
	t.Parallel()
	for _, forwarded := range []bool{true, false} {
		t.Run(fmt.Sprintf("forwarded %v", forwarded), func(t *testing.T) {
			s := seedDB(t, bench.Workload{Documents: 4000, MedianBytes: 1 << 10, Seed: 81})
			proxy := newCommitProxy(t, s.url)
			from, to := dbPlace(s.url), localfsPlace(archiveRoot(t))
			args := []string{"migrate", "--dontask", from.config(t, proxy.url, compression{}), to.config(t, proxy.url, compression{true, 1})}
			for run := range 3 {
				proxy.cut(2+run, forwarded)
				o := ends(t, started(t, args...)).want(t, exitDocuments)
				o.says(t, "run the same command again")
				if proxy.armed() {
					t.Fatal("no commit was cut: make the migration larger")
				}
				s.check(t, from, to)
				if tasks := migrations(t, s.url); len(tasks) != 1 || tasks[0].State == "complete" {
					t.Errorf("after a commit of unknown outcome: %+v", tasks)
				}
				t.Logf("run %d: %d documents at the destination", run, execute(t, s.url, `SELECT FROM archive_metadata WHERE content_url LIKE 'file:%'`))
			}
			s.finishes(t, from, to, args...)
		})
	}
}

// Between the end of the lock's session and the moment at which the run notices,
// somebody else may begin: nothing of what that one does is undone.
func TestALostLockThatSomebodyElseTakes(t *testing.T) {
	t.Parallel()
	s := seedDB(t, bench.Workload{Documents: 8000, MedianBytes: 1 << 10, Seed: 82})
	from, to := dbPlace(s.url), localfsPlace(archiveRoot(t))
	args := []string{"migrate", "--dontask", from.config(t, s.url, compression{}), to.config(t, s.url, compression{true, 1})}
	cmd := startedSlow(t, args...)
	someMoved(t, s.url, to.prefix)
	conn := connect(t, s.url)
	defer conn.Close(t.Context())
	if _, err := conn.Exec(t.Context(), `SELECT pg_terminate_backend(pid, 5000) FROM pg_locks WHERE `+migrationLock); err != nil {
		t.Fatal(err)
	}
	var got bool
	if err := conn.QueryRow(t.Context(), `SELECT pg_try_advisory_lock(2, 1)`).Scan(&got); err != nil || !got {
		t.Fatalf("the lock is not free: %v", err)
	}
	// From here on no row may change and the task is not this run's any more.
	count := func() (moved int, state string) {
		if err := conn.QueryRow(t.Context(), `SELECT (SELECT count(*) FROM archive_metadata WHERE content_url LIKE 'file:%'), (SELECT state FROM tasks)`).Scan(&moved, &state); err != nil {
			t.Fatal(err)
		}
		return moved, state
	}
	before, _ := count()
	ends(t, cmd).want(t, exitDocuments).says(t, "lock")
	if after, state := count(); after != before || state == "complete" {
		t.Errorf("%d documents were moved when the lock was lost, %d when the run had ended; the task is %s", before, after, state)
	}
	if counts := s.check(t, from, to); counts[0] == 0 {
		t.Fatal("the migration was done before it lost its lock: make it larger")
	}
	kedge(t, args...).want(t, exitRefused)
	if _, err := conn.Exec(t.Context(), `SELECT pg_advisory_unlock(2, 1)`); err != nil {
		t.Fatal(err)
	}
	s.finishes(t, from, to, args...)
}
