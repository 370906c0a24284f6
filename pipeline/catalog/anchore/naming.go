package anchore

import (
	"context"
	"encoding/json"

	"github.com/jackc/pgx/v5"
)

// Naming joins the table with the URIs. The empty text that is added keeps the server from
// an index that somebody may have made.
func (r reader) Naming(ctx context.Context, uris []string) ([]string, error) {
	const doing = "look for rows that name places at the destination"
	rows, err := r.q.Query(ctx, `SELECT DISTINCT u.uri FROM unnest($1::text[]) AS u(uri) JOIN archive_metadata ON content_url || '' = u.uri`, uris)
	if err != nil {
		return nil, failed(ctx, doing, err)
	}
	named, err := pgx.CollectRows(rows, pgx.RowTo[string])
	return named, failed(ctx, doing, err)
}

// Naming has SQLite make its own table of the URIs.
func (l *sqlite) Naming(ctx context.Context, uris []string) ([]string, error) {
	const doing = "look for rows that name places at the destination"
	list, err := json.Marshal(uris)
	if err != nil {
		return nil, failed(ctx, doing, err)
	}
	rows, err := l.db.QueryContext(ctx, `SELECT DISTINCT content_url FROM archive_metadata WHERE content_url IN (SELECT value FROM json_each(?))`, string(list))
	if err != nil {
		return nil, failed(ctx, doing, err)
	}
	named, err := appendRows(nil, rows, func() (uri string, err error) { return uri, rows.Scan(&uri) })
	return named, failed(ctx, doing, err)
}
