package torture

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// rowID is the primary key of archive_metadata.
type rowID struct{ bucket, archiveID, userID, name string }

// row is a row of archive_metadata.
type row struct {
	id          rowID
	url, digest *string
	compressed  *bool
	size        *int64
	whole       string // all columns
	fixed       string // those that a migration must not change
}

func (d *document) rowID(name string) rowID {
	return rowID{d.key.Bucket, d.key.ArchiveID, d.key.UserID, name}
}

// seed fills stores and catalog, and returns the rows as they are then.
func (m *model) seed(ctx context.Context, conn *pgx.Conn, from, to *place) (map[rowID]row, error) {
	atSource, atDestination := make(map[string][]byte), make(map[string][]byte)
	var rows [][]any
	for i, d := range m.documents {
		if d.atSource() {
			atSource[from.uri(d.key)] = d.payload
		}
		if d.atDestination() {
			atDestination[to.uri(d.key)] = d.payload
		}
		for _, name := range d.names {
			rows = append(rows, []any{d.key.Bucket, d.key.ArchiveID, d.key.UserID, name, d.url, d.flag, d.digest, d.size,
				[]any{nil, `{"note": 1}`}[i%2], 1500000000 + i, 1500000000 + i, "active", nil})
		}
	}
	if err := from.store.fill(ctx, atSource); err != nil {
		return nil, err
	}
	if err := to.store.fill(ctx, atDestination); err != nil {
		return nil, err
	}
	columns := []string{"bucket", "archiveId", "userId", "documentName", "content_url", "is_compressed", "digest", "size",
		"document_metadata", "created_at", "last_updated", "record_state_key", "record_state_val"}
	if _, err := conn.CopyFrom(ctx, pgx.Identifier{"archive_metadata"}, columns, pgx.CopyFromRows(rows)); err != nil {
		return nil, err
	}
	for _, p := range []*place{from, to} {
		if err := p.layout.Spread(ctx, conn, "archive_metadata"); err != nil {
			return nil, err
		}
	}
	if _, err := conn.Exec(ctx, "ANALYZE archive_metadata"); err != nil {
		return nil, err
	}
	return readCatalog(ctx, conn)
}

// readCatalog reads the whole catalog.
func readCatalog(ctx context.Context, conn *pgx.Conn) (map[rowID]row, error) {
	found, err := conn.Query(ctx, `SELECT bucket, "archiveId", "userId", "documentName", content_url, digest, is_compressed, size,
		to_jsonb(m)::text, (to_jsonb(m) - '{content_url,digest,is_compressed,size,last_updated}'::text[])::text FROM archive_metadata m`)
	if err != nil {
		return nil, err
	}
	rows := make(map[rowID]row)
	var r row
	_, err = pgx.ForEachRow(found, []any{&r.id.bucket, &r.id.archiveID, &r.id.userID, &r.id.name, &r.url, &r.digest, &r.compressed, &r.size, &r.whole, &r.fixed}, func() error {
		copied := r
		copied.url, copied.digest, copied.compressed, copied.size = clone(r.url), clone(r.digest), clone(r.compressed), clone(r.size)
		rows[r.id] = copied
		return nil
	})
	return rows, err
}

func clone[T any](p *T) *T {
	if p == nil {
		return nil
	}
	v := *p
	return &v
}

// task is a row of tasks joined with archive_migration_tasks.
type task struct {
	id                  int64
	state, from, to     string
	ended, online       bool
	documents, migrated int64
}

// terminal says that the migration of the task is over.
func (t task) terminal() bool { return t.state == "complete" || t.state == "failed" }

func readTasks(ctx context.Context, conn *pgx.Conn) ([]task, error) {
	rows, err := conn.Query(ctx, `SELECT t.id, t.state::text, m.migrate_from_driver, m.migrate_to_driver, t.ended_at IS NOT NULL, coalesce(m.online_migration, false),
		m.archive_documents_to_migrate, m.archive_documents_migrated
		FROM tasks t JOIN archive_migration_tasks m ON m.id = t.id ORDER BY t.id`)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (t task, err error) {
		err = row.Scan(&t.id, &t.state, &t.from, &t.to, &t.ended, &t.online, &t.documents, &t.migrated)
		return t, err
	})
}
