package anchore

import (
	"context"
	"fmt"

	"github.com/kedge/kedge/pipeline/catalog"
)

// lastUpdated is the column of time; a row without one is as old as can be.
const lastUpdated = `coalesce(last_updated, 0)`

// Changed is one statement whose answer is read as it comes. Where an index on
// last_updated is, which Anchore does not make, the server may go by it.
func (r reader) Changed(ctx context.Context, s catalog.Selection, since int64, fn func(catalog.Document) error) (int64, error) {
	const doing = "look for rows of the catalog that have changed"
	where, args := begins("content_url", "$1::text"), []any{s.Prefix}
	if since > 0 {
		args = append(args, since)
		where += fmt.Sprintf(` AND last_updated >= $%d::int8`, len(args))
	}
	if len(s.Buckets) > 0 {
		args = append(args, s.Buckets)
		where += fmt.Sprintf(` AND bucket || '' = ANY($%d::text[])`, len(args)) // not by the primary key's index
	}
	rows, err := r.q.Query(ctx, `SELECT `+documentColumns+`, `+lastUpdated+` FROM archive_metadata WHERE `+where, args...)
	if err != nil {
		return since, failed(ctx, doing, err)
	}
	defer rows.Close()
	latest := since
	for rows.Next() {
		var at int64
		d, err := document(andThen{rows, &at})
		if err != nil {
			return latest, failed(ctx, doing, err)
		}
		if err := fn(d); err != nil {
			return latest, err
		}
		latest = max(latest, at)
	}
	return latest, failed(ctx, doing, rows.Err())
}

// andThen scans one column more than it is asked for.
type andThen struct {
	row  interface{ Scan(into ...any) error }
	more any
}

// Scan reads the row.
func (a andThen) Scan(into ...any) error { return a.row.Scan(append(into, a.more)...) }

// Changed reads page after page along the primary key: rows that are left open
// would keep everybody else from the file's one connection.
func (l *sqlite) Changed(ctx context.Context, s catalog.Selection, since int64, fn func(catalog.Document) error) (int64, error) {
	const pageRows = 1000
	latest, after := since, catalog.Position{}
	for {
		page, err := l.changed(ctx, s, since, after, pageRows)
		if err != nil {
			return latest, failed(ctx, "look for rows of the catalog that have changed", err)
		}
		for _, c := range page {
			after = c.After()
			if err := fn(c.Document); err != nil {
				return latest, err
			}
			latest = max(latest, c.at)
		}
		if len(page) < pageRows {
			return latest, nil
		}
	}
}

// dated is a row with its last_updated.
type dated struct {
	catalog.Document
	at int64
}

func (l *sqlite) changed(ctx context.Context, s catalog.Selection, since int64, after catalog.Position, limit int) ([]dated, error) {
	where, args := conditions(s, nil)
	where += ` AND content_url IS NOT NULL`
	if since > 0 {
		where, args = where+` AND last_updated >= ?`, append(args, since)
	}
	if after != (catalog.Position{}) {
		where += ` AND (bucket, "archiveId", "userId", "documentName") > (?, ?, ?, ?)`
		args = append(args, after.Bucket, after.ArchiveID, after.UserID, after.Name)
	}
	rows, err := l.db.QueryContext(ctx, `SELECT `+documentColumns+`, `+lastUpdated+` FROM archive_metadata WHERE `+where+
		` `+inOrder+` LIMIT ?`, append(args, limit)...)
	if err != nil {
		return nil, err
	}
	return appendRows(nil, rows, func() (c dated, err error) {
		c.Document, err = document(andThen{rows, &c.at})
		return c, err
	})
}
