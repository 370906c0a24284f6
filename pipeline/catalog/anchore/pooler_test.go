package anchore

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/kedge/kedge/internal/testenv"
	"github.com/kedge/kedge/pipeline/catalog"
)

// behindPgBouncer is an installation's database by way of a pooler.
func behindPgBouncer(t *testing.T, settings map[string]string) (*testenv.PgBouncerServer, Options) {
	t.Helper()
	server := testenv.Postgres(t)
	url := server.Database(t)
	conn := connect(t, url)
	if _, err := conn.Exec(t.Context(), pgTables); err != nil {
		t.Fatal(err)
	}
	pooler := testenv.NewPgBouncer(t, server, settings)
	return pooler, Options{Postgres: pooler.Through(t, url)}
}

// Start-up parameters that a pooler refuses are set after connecting, in every
// session, and everything works in session mode.
func TestThroughAPoolerInSessionMode(t *testing.T) {
	for _, settings := range []map[string]string{
		{"pool_mode": "session"},
		{"pool_mode": "session", "server_round_robin": "1", "default_pool_size": "8"},
	} {
		_, o := behindPgBouncer(t, settings)
		o.StatementTimeout, o.Application = 90*time.Second, "test"
		o.Postgres += "?pool_max_conns=4&lock_timeout=7s&synchronous_commit=off&TimeZone=UTC&options=-c%20work_mem%3D5MB%20--geqo-threshold%3D13"
		c := mustOpen(t, o)
		const ask = `SELECT concat_ws(' ', current_setting('statement_timeout'), current_setting('synchronous_commit'), current_setting('work_mem'),
			current_setting('geqo_threshold'), current_setting('client_encoding'), current_setting('lock_timeout'), current_setting('application_name'))`
		want := func(who, want string, q interface {
			QueryRow(context.Context, string, ...any) pgx.Row
		}) {
			t.Helper()
			var got string
			if err := q.QueryRow(t.Context(), ask).Scan(&got); err != nil || got != want {
				t.Errorf("%s: %q, want %q: %v", who, got, want, err)
			}
		}
		want("pool", "90s on 5MB 13 UTF8 7s test", c.Postgres())
		held, err := c.Snapshot(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		want("snapshot", "90s on 5MB 13 UTF8 7s test", held.(*snapshot).conn)
		held.Close()
		if err := c.Lock(t.Context(), false); err != nil {
			t.Fatal(err)
		}
		want("lock", "90s on 5MB 13 UTF8 0 test migrate", c.database.(*postgres).lock.conn)
		if err := c.Unlock(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// A pooler that gives each transaction another session is refused, however many
// it has, before anything is set or locked.
func TestAPoolerInTransactionModeIsRefused(t *testing.T) {
	for _, mode := range []string{"transaction", "statement"} {
		for _, size := range []int{1, 2, 20} {
			for _, roundRobin := range []int{0, 1} {
				t.Run(fmt.Sprintf("%s, %d, round robin %d", mode, size, roundRobin), func(t *testing.T) {
					t.Parallel()
					_, o := behindPgBouncer(t, map[string]string{
						"pool_mode": mode, "default_pool_size": fmt.Sprint(size), "server_round_robin": fmt.Sprint(roundRobin),
						// What is lent to kedge by somebody who knows of the refusal.
						"ignore_startup_parameters": "statement_timeout",
					})
					// Sessions that the pooler has already, all idle.
					busy := make([]*pgx.Conn, size)
					for i := range busy {
						busy[i] = connect(t, o.Postgres)
					}
					done := make(chan error, size)
					for _, conn := range busy {
						go func() { _, err := conn.Exec(context.Background(), `SELECT pg_sleep(0.05)`); done <- err }()
					}
					for range busy {
						if err := <-done; err != nil {
							t.Fatal(err)
						}
					}
					o.StatementTimeout = 90 * time.Second
					c, err := Open(t.Context(), o)
					if err == nil {
						c.Close()
						t.Fatal("not refused")
					}
					if text := err.Error(); !strings.Contains(text, "pool_mode=session") || strings.Contains(text, "\n") {
						t.Errorf("told as %q", text)
					}
				})
			}
		}
	}
}

// A session that becomes another one while the lock is held loses the lock, and
// nothing is committed through it.
func TestAPoolerThatChangesItsMode(t *testing.T) {
	pooler, o := behindPgBouncer(t, map[string]string{"pool_mode": "session"})
	c := mustOpen(t, o)
	direct := connect(t, strings.Replace(o.Postgres, fmt.Sprint(pooler.Port), fmt.Sprint(testenv.Postgres(t).Port), 1))
	if _, err := direct.Exec(t.Context(), `INSERT INTO archive_metadata (bucket, "archiveId", "userId", "documentName", content_url) VALUES ('b', '1', 'u', '1.json', 'db://u/b/1')`); err != nil {
		t.Fatal(err)
	}
	docs, err := c.Page(t.Context(), catalog.Selection{Prefix: "db://"}, catalog.Position{}, 1)
	if err != nil || len(docs) != 1 {
		t.Fatalf("%v, %v", docs, err)
	}
	if err := c.Lock(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	// The watcher is kept from finding it out before the commit does.
	c.database.(*postgres).lock.stopWatching()
	pooler.Set(t, "pool_mode=transaction")
	lost := c.Lost()
	for range 10 {
		other := connect(t, o.Postgres)
		if _, err := other.Exec(t.Context(), `BEGIN`); err != nil {
			t.Fatal(err)
		}
		if got, err := c.Commit(t.Context(), []catalog.Change{{Document: docs[0], URI: "s3://b/1", Bytes: -1}}); err != nil {
			if !strings.Contains(err.Error(), "session") {
				t.Errorf("told as %v", err)
			}
			select {
			case <-lost:
			default:
				t.Error("the lock does not count as lost")
			}
			var uri string
			if err := direct.QueryRow(t.Context(), `SELECT content_url FROM archive_metadata`).Scan(&uri); err != nil || uri != "db://u/b/1" {
				t.Errorf("the row says %q: %v", uri, err)
			}
			return
		} else if !got[0] {
			t.Fatal("neither committed nor an error")
		}
		// Still the session that has the lock: back, and take the next process away.
		if _, err := direct.Exec(t.Context(), `UPDATE archive_metadata SET content_url = 'db://u/b/1', digest = NULL, size = NULL`); err != nil {
			t.Fatal(err)
		}
	}
	t.Fatal("the session did not change")
}
