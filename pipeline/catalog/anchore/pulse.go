package anchore

import (
	"context"
	"database/sql"
	"fmt"
	"sync"
)

// Pulse is what the server counts of the table and of its partitions, if it does:
// the rows that were added, changed and removed, also by transactions that were
// rolled back. The number of the table's file tells of TRUNCATE, which is not
// counted. Counters begin anew when somebody resets them, after a crash and on
// another server; the times of that are in it, so that they do not come to the
// same numbers unnoticed.
//
// A session reports what it has counted after its commit, when it becomes idle,
// but not twice within a second. Since version 15 it does so within 10 s, or 60 s
// on a busy server, when it stays idle; before, with its next statement only.
// (pg_stat_force_next_flush would make this session report, and not the others.)
func (p *postgres) Pulse(ctx context.Context) (string, error) {
	pulse, err := again(ctx, func() (pulse string, err error) {
		err = p.pool.QueryRow(ctx, pulseOf).Scan(&pulse)
		return pulse, err
	})
	return pulse, failed(ctx, "ask whether the catalog has changed", err)
}

// pulseOf looks at no row of the table. It is empty where counting is off, be it for
// some role or database only, and where the table is something that is not counted,
// such as a view.
const pulseOf = `
	WITH RECURSIVE parts AS (
		SELECT to_regclass('archive_metadata')::oid AS oid UNION SELECT i.inhrelid FROM pg_inherits i JOIN parts p ON p.oid = i.inhparent),
	tables AS (SELECT c.oid, c.relkind FROM pg_class c JOIN parts USING (oid)),
	here AS (SELECT oid FROM pg_database WHERE datname = current_database())
	SELECT CASE
		WHEN current_setting('track_counts') <> 'on' THEN ''
		WHEN EXISTS (SELECT FROM pg_db_role_setting, here, unnest(setconfig) s
			WHERE setdatabase IN (0, here.oid) AND lower(s) LIKE 'track_counts=%') THEN ''
		WHEN EXISTS (SELECT FROM tables WHERE relkind NOT IN ('r', 'p')) THEN ''
		ELSE concat_ws(' ', pg_postmaster_start_time(), pg_stat_get_bgwriter_stat_reset_time(),
			(SELECT pg_stat_get_db_stat_reset_time(oid) FROM here),
			(SELECT string_agg(concat_ws('/', oid, pg_relation_filenode(oid), pg_stat_get_tuples_inserted(oid),
				pg_stat_get_tuples_updated(oid), pg_stat_get_tuples_deleted(oid)), ' ' ORDER BY oid) FROM tables))
		END`

// pulse is a connection to the file that changes nothing: SQLite tells each
// connection whether another one has changed the file. The zero pulse opens it when
// it is first asked.
type pulse struct {
	mu     sync.Mutex
	db     *sql.DB
	conn   *sql.Conn
	serial int // of the connection: versions of two have nothing to do with one another
}

// Pulse is the version of the whole file.
func (l *sqlite) Pulse(ctx context.Context) (string, error) {
	l.pulse.mu.Lock()
	defer l.pulse.mu.Unlock()
	version, err := l.pulse.version(ctx, l.path)
	if err != nil {
		l.pulse.end()
		return "", failed(ctx, "ask whether the catalog has changed", err)
	}
	return fmt.Sprintf("%d.%d", l.pulse.serial, version), nil
}

// version asks, with a connection that is kept. Only with mu held.
func (p *pulse) version(ctx context.Context, path string) (version int64, err error) {
	if p.conn == nil {
		p.serial++
		if p.db, err = sql.Open("sqlite", sqliteName(path, "rw")); err != nil {
			return 0, err
		}
		if p.conn, err = p.db.Conn(ctx); err != nil {
			return 0, err
		}
	}
	err = p.conn.QueryRowContext(ctx, `PRAGMA data_version`).Scan(&version)
	return version, err
}

// end closes the connection. Only with mu held.
func (p *pulse) end() {
	if p.conn != nil {
		p.conn.Close()
	}
	if p.db != nil {
		p.db.Close()
	}
	p.conn, p.db = nil, nil
}
