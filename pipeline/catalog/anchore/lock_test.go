package anchore

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/kedge/kedge/internal/testenv"
	"github.com/kedge/kedge/pipeline/catalog"
)

func openPool(tb testing.TB, config *pgxpool.Config) *pgxpool.Pool {
	tb.Helper()
	pool, err := pgxpool.NewWithConfig(tb.Context(), config)
	if err != nil {
		tb.Fatal(err)
	}
	return pool
}

func TestLockExcludes(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		ctx := t.Context()
		other := mustOpen(t, r.options)
		if err := r.Lock(ctx, false); err != nil {
			t.Fatal(err)
		}
		if err := r.Lock(ctx, false); err == nil {
			t.Error("taken twice")
		}
		var held *catalog.HeldError
		if err := other.Lock(ctx, false); !errors.As(err, &held) || held.PID == 0 {
			t.Fatalf("not refused, or nobody named: %v", err)
		}
		short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
		defer cancel()
		if err := other.Lock(short, true); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("waited in vain: %v", err)
		}
		got := make(chan error, 1)
		go func() { got <- other.Lock(ctx, true) }()
		if err := r.Unlock(ctx); err != nil {
			t.Fatal(err)
		}
		if err := <-got; err != nil {
			t.Fatalf("waiting: %v", err)
		}
		if err := r.Lock(ctx, false); !errors.As(err, &held) {
			t.Errorf("not refused: %v", err)
		}
		if err := other.Close(); err != nil {
			t.Fatal(err)
		}
		if err := r.Lock(ctx, true); err != nil {
			t.Errorf("after the holder has gone: %v", err)
		}
		select {
		case <-r.Lost():
			t.Error("lost")
		default:
		}
		if err := r.Unlock(ctx); err != nil {
			t.Error(err)
		}
		if err := r.Unlock(ctx); err != nil {
			t.Errorf("unlocked twice: %v", err)
		}
	})
}

// TestHolder: whoever holds the lock, as Anchore or an operator would, is named.
func TestHolder(t *testing.T) {
	r := freshPostgres(t)
	ctx := t.Context()
	server := testenv.Postgres(t)
	socket := fmt.Sprintf("host=%s port=%d user=postgres dbname=%s application_name=by-socket", server.SocketFolder, server.Port, r.Postgres().Config().ConnConfig.Database)
	for _, test := range []struct{ url, client, application string }{
		{r.options.Postgres + "?application_name=psql", "127.0.0.1:", "psql"},
		{socket, "local socket", "by-socket"},
	} {
		conn := connect(t, test.url)
		if _, err := conn.Exec(ctx, `SELECT pg_advisory_lock(2, 1), pg_advisory_lock(2, 2), pg_advisory_lock(8589934593)`); err != nil {
			t.Fatal(err)
		}
		err := r.Lock(ctx, false)
		held, ok := err.(*catalog.HeldError)
		if !ok {
			t.Fatalf("not refused: %v", err)
		}
		if held.PID != int(conn.PgConn().PID()) || !strings.HasPrefix(held.Client, test.client) || held.Application != test.application ||
			held.User != "postgres" || time.Since(held.Since) > time.Minute || held.Since.Location() != time.UTC {
			t.Errorf("%+v", held)
		}
		conn.Close(ctx)
	}
	// Locks that only look alike are not in the way: another database's, and the
	// one-integer form with the same bits.
	elsewhere := connect(t, server.Database(t))
	if _, err := elsewhere.Exec(ctx, `SELECT pg_advisory_lock(2, 1)`); err != nil {
		t.Fatal(err)
	}
	alike := connect(t, r.options.Postgres)
	if _, err := alike.Exec(ctx, `SELECT pg_advisory_lock(8589934593)`); err != nil {
		t.Fatal(err)
	}
	if err := r.Lock(ctx, true); err != nil {
		t.Fatalf("refused: %v", err)
	}
	if got := r.one(`SELECT a.application_name FROM pg_locks l JOIN pg_stat_activity a USING (pid)
		WHERE locktype = 'advisory' AND classid = 2 AND objid = 1 AND objsubid = 2 AND mode = 'ExclusiveLock'
		  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`); got[0] != "kedge migrate" {
		t.Errorf("the lock is shown as %q", got)
	}
}

// The lock's session is named after what holds the lock.
func TestTheLockNamesItsCommand(t *testing.T) {
	r := freshPostgres(t)
	o := r.options
	o.Application, o.Command = "kedge", "copy"
	c, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Lock(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	var held *catalog.HeldError
	if err := r.Lock(t.Context(), false); !errors.As(err, &held) || held.Application != "kedge copy" {
		t.Errorf("got %v", err)
	}
}

// TestLockLost: when the session is ended from outside, the watcher notices,
// and nothing can be committed any more.
func TestLockLost(t *testing.T) {
	r := freshPostgres(t)
	ctx := t.Context()
	d := r.add("b", "1", "u", "1.json", "db://u/b/1")
	change := []catalog.Change{{Document: d, URI: "s3://x/1"}}
	terminate := func() {
		t.Helper()
		// It waits until the session is gone, and its lock with it.
		if n := r.exec(`SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE application_name = 'kedge migrate' AND datname = current_database()`); n != 1 {
			t.Fatalf("%d sessions ended", n)
		}
	}
	for _, idle := range []bool{true, false} {
		if err := r.Lock(ctx, false); err != nil {
			t.Fatal(err)
		}
		lost := r.Lost()
		select {
		case <-lost:
			t.Fatal("lost at once")
		default:
		}
		terminate()
		if idle { // else the commit is the first to notice
			<-lost
		}
		_, err := r.Commit(ctx, change)
		if err == nil {
			t.Fatal("committed without the lock")
		}
		<-lost
		if _, err := r.Commit(ctx, change); !errors.Is(err, errNotLocked) {
			t.Errorf("second commit: %v", err)
		}
		rows, err := r.Rows(ctx, catalogKeys(d))
		if err != nil || rows[0] != d {
			t.Errorf("the row has changed: %+v, %v", rows, err)
		}
		if idle {
			if err := r.Unlock(ctx); err != nil {
				t.Errorf("unlock: %v", err)
			}
		}
	}
	// The lock can be taken again.
	if err := r.Lock(ctx, false); err != nil {
		t.Fatal(err)
	}
	if got, err := r.Commit(ctx, change); err != nil || !got[0] {
		t.Errorf("commit: %v, %v", got, err)
	}
}

// TestCommitCancelled: a commit that waits for somebody's row lock ends with
// its context, is not applied, and keeps the session and its lock.
func TestCommitCancelled(t *testing.T) {
	r := freshPostgres(t)
	d := r.add("b", "1", "u", "1.json", "db://u/b/1")
	if err := r.Lock(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	r.exec(`BEGIN`)
	r.exec(`SELECT * FROM archive_metadata FOR UPDATE`)
	ctx, cancel := context.WithCancel(t.Context())
	returned := make(chan struct{})
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		defer cancel()
		for {
			select {
			case <-returned:
				return
			default:
			}
			// r.exec's connection is in its transaction; look with the pool.
			var n int
			err := r.Postgres().QueryRow(t.Context(), `SELECT count(*) FROM pg_stat_activity WHERE application_name = 'kedge migrate'
				AND datname = current_database() AND wait_event_type = 'Lock'`).Scan(&n)
			if err != nil || n > 0 {
				return
			}
		}
	}()
	_, err := r.Commit(ctx, []catalog.Change{{Document: d, URI: "s3://x/1"}})
	close(returned)
	<-watched
	if !errors.Is(err, context.Canceled) || errors.Is(err, ErrOutcomeUnknown) {
		t.Errorf("commit: %v", err)
	}
	r.exec(`ROLLBACK`)
	if got, err := r.Commit(t.Context(), []catalog.Change{{Document: d, URI: "s3://x/1"}}); err != nil || !got[0] {
		t.Errorf("commit after a cancelled one: %v, %v", got, err)
	}
}

// TestCommitUnknown: the server is killed while a commit waits.
func TestCommitUnknown(t *testing.T) {
	server := testenv.NewPostgres(t, testenv.PostgresOptions{})
	url := server.Database(t)
	conn := connect(t, url)
	if _, err := conn.Exec(t.Context(), pgTables); err != nil {
		t.Fatal(err)
	}
	r := usePostgres(t, url, conn)
	d := r.add("b", "1", "u", "1.json", "db://u/b/1")
	if err := r.Lock(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	r.exec(`BEGIN`)
	r.exec(`SELECT * FROM archive_metadata FOR UPDATE`)
	failure := make(chan error, 1)
	go func() {
		_, err := r.Commit(t.Context(), []catalog.Change{{Document: d, URI: "s3://x/1"}})
		failure <- err
	}()
	for {
		select {
		case err := <-failure:
			t.Fatalf("the commit does not wait: %v", err)
		default:
		}
		var n int
		if err := r.Postgres().QueryRow(t.Context(), `SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'`).Scan(&n); err != nil {
			t.Fatal(err)
		}
		if n > 0 {
			break
		}
	}
	server.Kill(t)
	if err := <-failure; !errors.Is(err, ErrOutcomeUnknown) || !strings.Contains(err.Error(), "commit of 1 documents") {
		t.Errorf("commit: %v", err)
	}
	<-r.Lost()
	server.Start(t)
	// A connection of the pool that died with the server may come first.
	rows, err := r.Rows(t.Context(), catalogKeys(d))
	for range defaultConnections {
		if err == nil {
			break
		}
		rows, err = r.Rows(t.Context(), catalogKeys(d))
	}
	if err != nil || rows[0] != d {
		t.Errorf("rows: %+v, %v", rows, err)
	}
}

// TestFlockHolder: the process that holds the lock of a file is named.
func TestFlockHolder(t *testing.T) {
	r := freshSQLite(t)
	holder := exec.CommandContext(t.Context(), "flock", "--no-fork", "--exclusive", r.options.SQLite, "sleep", "600")
	if err := holder.Start(); err != nil {
		t.Fatal(err)
	}
	defer holder.Wait()
	defer holder.Process.Kill()
	for flockHolder(r.options.SQLite) == 0 {
		if t.Context().Err() != nil {
			t.Fatal("the lock is not taken")
		}
	}
	held, ok := r.Lock(t.Context(), false).(*catalog.HeldError)
	if !ok || held.PID != holder.Process.Pid {
		t.Errorf("%+v, want pid %d", held, holder.Process.Pid)
	}
	if text := held.Error(); !strings.Contains(text, strconv.Itoa(holder.Process.Pid)) || os.Getpid() == held.PID {
		t.Error(text)
	}
	// SQLite itself is not in the way, nor is it kept out.
	r.add("b", "1", "u", "1.json", "db://u/b/1")
}
