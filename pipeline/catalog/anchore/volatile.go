package anchore

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/kedge/kedge/internal/mounts"
)

// Volatile asks for what makes PostgreSQL forget rows that were committed. With
// fsync off, nothing of what it says reaches the disk for certain before the
// computer stops; with full_page_writes off, a page that was half written then is
// never mended; a table that is not logged is emptied after any crash. That
// synchronous_commit is on, each session sees to itself. Amazon Aurora never writes
// pages, so that its full_page_writes, off or on, means nothing.
func (p *postgres) Volatile(ctx context.Context) (reasons []string, err error) {
	var fsync, fullPages, table string
	err = p.pool.QueryRow(ctx, `WITH RECURSIVE parts AS (
			SELECT to_regclass('archive_metadata')::oid AS oid UNION SELECT i.inhrelid FROM pg_inherits i JOIN parts p ON p.oid = i.inhparent)
		SELECT current_setting('fsync'),
			CASE WHEN to_regproc('aurora_version') IS NULL THEN current_setting('full_page_writes') ELSE 'on' END,
			(SELECT coalesce(min(c.oid::regclass::text), '') FROM pg_class c JOIN parts USING (oid) WHERE c.relpersistence <> 'p' AND c.relkind <> 'p')`).
		Scan(&fsync, &fullPages, &table)
	if err != nil {
		return nil, failed(ctx, "ask whether the database keeps what it is given", err)
	}
	if fsync != "on" {
		reasons = append(reasons, "the server runs with fsync=off, and may lose what was committed, or all of its data, when the computer stops (ALTER SYSTEM RESET fsync; SELECT pg_reload_conf())")
	}
	if fullPages != "on" {
		reasons = append(reasons, "the server runs with full_page_writes=off, and may not mend a page that was half written when the computer stops (ALTER SYSTEM RESET full_page_writes; SELECT pg_reload_conf())")
	}
	if table != "" {
		reasons = append(reasons, fmt.Sprintf("table %[1]s is UNLOGGED, and a crash of the server empties it (ALTER TABLE %[1]s SET LOGGED)", table))
	}
	return reasons, nil
}

// Volatile asks where the file lies.
func (l *sqlite) Volatile(context.Context) ([]string, error) {
	if reason := mounts.Volatile(filepath.Dir(l.path)); reason != "" {
		return []string{reason}, nil
	}
	return nil, nil
}
