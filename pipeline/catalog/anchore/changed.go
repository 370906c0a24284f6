package anchore

import (
	"context"
	"fmt"
	"strings"

	"github.com/kedge/kedge/pipeline/catalog"
)

// lastUpdated is the column of time; a row without one is as old as can be.
const lastUpdated = `coalesce(last_updated, 0)`

// Changed is one statement, a sequential scan, whose answer is read as it comes.
func (r reader) Changed(ctx context.Context, s catalog.Selection, since int64, strays catalog.Strays, fn func(catalog.Document) error) (int64, error) {
	const doing = "look for rows of the catalog that have changed"
	where, args := begins("content_url", "$1::text"), []any{s.Prefix}
	argument := func(value any, kind string) string {
		args = append(args, value)
		return fmt.Sprintf("$%d::%s", len(args), kind)
	}
	if since > 0 {
		where += ` AND coalesce(last_updated >= ` + argument(since, "int8") + `, false)`
	}
	if len(s.Buckets) > 0 {
		where += ` AND bucket || '' = ANY(` + argument(s.Buckets, "text[]") + `)` // not by the primary key's index
	}
	astray := "false"
	if strays.Found != nil {
		prefix := argument(strays.Prefix, "text")
		astray = begins("content_url", prefix) + ` AND (content_url <> ` + prefix + ` || ` + tailOf(strays.Hashed)
		if !strays.Hashed {
			astray += ` OR position('/' in "userId" || bucket) > 0`
		}
		astray += `)`
	}
	rows, err := r.q.Query(ctx, `SELECT `+documentColumns+`, `+lastUpdated+`, `+where+`, `+astray+` FROM archive_metadata WHERE (`+where+`) OR (`+astray+`)`, args...)
	if err != nil {
		return since, failed(ctx, doing, err)
	}
	defer rows.Close()
	latest := since
	for rows.Next() {
		var c dated
		if c.Document, err = document(andThen{rows, []any{&c.at, &c.selected, &c.stray}}); err != nil {
			return latest, failed(ctx, doing, err)
		}
		if latest, err = c.tell(latest, strays, fn); err != nil {
			return latest, err
		}
	}
	return latest, failed(ctx, doing, rows.Err())
}

// dated is a row with its last_updated, and why it was looked for.
type dated struct {
	catalog.Document
	at              int64
	selected, stray bool
}

// tell tells of a row.
func (c dated) tell(before int64, strays catalog.Strays, fn func(catalog.Document) error) (latest int64, err error) {
	if c.stray {
		if err := strays.Found(c.URI); err != nil {
			return before, err
		}
	}
	if !c.selected {
		return before, nil
	}
	return max(before, c.at), fn(c.Document)
}

// andThen scans more columns than it is asked for.
type andThen struct {
	row  interface{ Scan(into ...any) error }
	more []any
}

// Scan reads the row.
func (a andThen) Scan(into ...any) error { return a.row.Scan(append(into, a.more...)...) }

// Changed reads page after page along the primary key: rows that are left open
// would keep everybody else from the file's one connection.
func (l *sqlite) Changed(ctx context.Context, s catalog.Selection, since int64, strays catalog.Strays, fn func(catalog.Document) error) (int64, error) {
	const pageRows = 1000
	latest, after := since, catalog.Position{}
	for {
		page, err := l.changed(ctx, s, since, strays, after, pageRows)
		if err != nil {
			return latest, failed(ctx, "look for rows of the catalog that have changed", err)
		}
		for _, c := range page {
			after = c.After()
			c.stray = strays.Found != nil && isStray(c.Document, strays)
			if latest, err = c.tell(latest, strays, fn); err != nil {
				return latest, err
			}
		}
		if len(page) < pageRows {
			return latest, nil
		}
	}
}

func isStray(d catalog.Document, s catalog.Strays) bool {
	end, begins := strings.CutPrefix(d.URI, s.Prefix)
	return begins && (end != tail(d, s.Hashed) || !s.Hashed && strings.Contains(d.UserID+d.Bucket, "/"))
}

func (l *sqlite) changed(ctx context.Context, s catalog.Selection, since int64, strays catalog.Strays, after catalog.Position, limit int) ([]dated, error) {
	selected, args := conditions(s, nil)
	if since > 0 {
		selected, args = selected+` AND coalesce(last_updated >= ?, 0)`, append(args, since)
	}
	where, args := `(`+selected+`)`, append(args, args...) // it is a column, too
	if strays.Found != nil {
		at, more := conditions(catalog.Selection{Prefix: strays.Prefix}, nil)
		where, args = `(`+where+` OR `+at+`)`, append(args, more...)
	}
	where += ` AND content_url IS NOT NULL`
	if after != (catalog.Position{}) {
		where += ` AND (bucket, "archiveId", "userId", "documentName") > (?, ?, ?, ?)`
		args = append(args, after.Bucket, after.ArchiveID, after.UserID, after.Name)
	}
	rows, err := l.db.QueryContext(ctx, `SELECT `+documentColumns+`, `+lastUpdated+`, `+selected+` FROM archive_metadata WHERE `+where+
		` `+inOrder+` LIMIT ?`, append(args, limit)...)
	if err != nil {
		return nil, err
	}
	return appendRows(nil, rows, func() (c dated, err error) {
		c.Document, err = document(andThen{rows, []any{&c.at, &c.selected}})
		return c, err
	})
}
