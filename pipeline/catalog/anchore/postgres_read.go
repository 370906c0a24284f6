package anchore

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/pipeline/catalog"
)

// reader reads the catalog through the pool or within one transaction.
type reader struct {
	q interface {
		Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
		QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
	}
}

// selected is the condition on content_url. COALESCE hides it from the planner,
// which would otherwise sort the whole table for each page when its statistics
// say that few rows have the prefix.
var selected = `COALESCE(` + begins("content_url", "$%[1]d::text") + `, true)`

// begins says in SQL that a text begins with another one, byte by byte. PostgreSQL
// has a function for that from version 11 on only.
func begins(text, with string) string {
	return fmt.Sprintf(`left(%s, length(%s)) = %s COLLATE "C"`, text, with, with)
}

const documentColumns = `bucket, "archiveId", "userId", "documentName", content_url,
	coalesce(is_compressed, false), coalesce(digest, ''), coalesce(size, -1)`

const inOrder = `ORDER BY bucket, "archiveId", "userId", "documentName"`

func (r reader) Count(ctx context.Context, s catalog.Selection) (catalog.Totals, error) {
	var t catalog.Totals
	where, args := "", []any{s.Prefix, drivers.Schemes}
	if len(s.Buckets) > 0 {
		// Never by an index: what is found by one is compared with what is counted.
		where, args = `WHERE bucket || '' = ANY($3::text[])`, append(args, s.Buckets)
	}
	err := r.q.QueryRow(ctx, `
		SELECT count(*) FILTER (WHERE hit), coalesce(sum(size) FILTER (WHERE hit), 0)::int8,
		       count(*) FILTER (WHERE hit IS NULL), count(*) FILTER (WHERE hit AND coalesce(digest, '') = ''),
		       count(*) FILTER (WHERE scheme <> ALL($2::text[]))
		FROM (SELECT `+begins("content_url", "$1::text")+` AS hit, split_part(content_url, '://', 1) || '://' AS scheme, size, digest
		      FROM archive_metadata `+where+`) m`,
		args...).Scan(&t.Documents, &t.Bytes, &t.NoURI, &t.NoDigest, &t.Unknown)
	return t, failed(ctx, "count the catalog's documents", err)
}

func (r reader) Page(ctx context.Context, s catalog.Selection, after catalog.Position, limit int) ([]catalog.Document, error) {
	if limit <= 0 {
		return nil, fmt.Errorf("page of %d documents", limit)
	}
	docs, err := again(ctx, func() ([]catalog.Document, error) { return r.page(ctx, s, after, limit) })
	return docs, failed(ctx, "read a page of the catalog", err)
}

func (r reader) page(ctx context.Context, s catalog.Selection, after catalog.Position, limit int) ([]catalog.Document, error) {
	start := after == catalog.Position{}
	if len(s.Buckets) == 0 {
		if start {
			return r.pageWhere(ctx, nil, limit, `true`, s.Prefix)
		}
		return r.pageWhere(ctx, nil, limit, `(bucket, "archiveId", "userId", "documentName") > ($2, $3, $4, $5)`,
			s.Prefix, after.Bucket, after.ArchiveID, after.UserID, after.Name)
	}
	if start {
		return r.pageWhere(ctx, nil, limit, `bucket = ANY($2::text[])`, s.Prefix, s.Buckets)
	}
	// Two steps, each of which begins where the primary key's index says: with
	// bucket = ANY and the position in one condition, every page would read the
	// bucket from its beginning.
	var docs []catalog.Document
	if slices.Contains(s.Buckets, after.Bucket) {
		var err error
		docs, err = r.pageWhere(ctx, nil, limit, `bucket = $2 AND ("archiveId", "userId", "documentName") > ($3, $4, $5)`,
			s.Prefix, after.Bucket, after.ArchiveID, after.UserID, after.Name)
		if err != nil || len(docs) == limit {
			return docs, err
		}
	}
	return r.pageWhere(ctx, docs, limit, `bucket = ANY($2::text[]) AND bucket > $3`, s.Prefix, s.Buckets, after.Bucket)
}

// pageWhere adds selected rows to docs until they are limit. The prefix is the
// first argument.
func (r reader) pageWhere(ctx context.Context, docs []catalog.Document, limit int, where string, args ...any) ([]catalog.Document, error) {
	var q strings.Builder
	fmt.Fprintf(&q, "SELECT %s FROM archive_metadata WHERE %s AND ", documentColumns, where)
	fmt.Fprintf(&q, selected, 1)
	fmt.Fprintf(&q, " %s LIMIT $%d", inOrder, len(args)+1)
	rows, err := r.q.Query(ctx, q.String(), append(args, limit-len(docs))...)
	if err != nil {
		return nil, err
	}
	return pgx.AppendRows(slices.Grow(docs, min(limit-len(docs), mostGrown)), rows, toDocument)
}

// mostGrown bounds for how many rows room is made before it is known how many there are.
const mostGrown = 4096

// toDocument is document for pgx.
func toDocument(row pgx.CollectableRow) (catalog.Document, error) { return document(row) }

// document reads a row of documentColumns of either database.
func document(row interface{ Scan(into ...any) error }) (d catalog.Document, err error) {
	var uri *string
	err = row.Scan(&d.Bucket, &d.ArchiveID, &d.UserID, &d.Name, &uri, &d.Compressed, &d.Digest, &d.Bytes)
	if d.NoURI = uri == nil; !d.NoURI {
		d.URI = *uri
	}
	d.Digest = strings.ToLower(d.Digest)
	return d, err
}

// Rows looks each key up by itself. A plain join would be planned as a scan of
// the whole table for each batch, until the table is far larger than a batch;
// OFFSET 0 keeps PostgreSQL from making one of it.
func (r reader) Rows(ctx context.Context, keys []drivers.Key) ([]catalog.Document, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	users, buckets, ids := make([]string, len(keys)), make([]string, len(keys)), make([]string, len(keys))
	for i, k := range keys {
		users[i], buckets[i], ids[i] = k.UserID, k.Bucket, k.ArchiveID
	}
	docs, err := again(ctx, func() ([]catalog.Document, error) {
		rows, err := r.q.Query(ctx, `
			SELECT `+documentColumns+`
			FROM (SELECT DISTINCT * FROM unnest($1::text[], $2::text[], $3::text[]) AS k(u, b, a)) k
			CROSS JOIN LATERAL (SELECT * FROM archive_metadata
			                    WHERE bucket = k.b AND "archiveId" = k.a AND "userId" = k.u OFFSET 0) d `+inOrder, users, buckets, ids)
		if err != nil {
			return nil, err
		}
		return pgx.AppendRows(make([]catalog.Document, 0, len(keys)), rows, toDocument)
	})
	return docs, failed(ctx, "read rows of the catalog", err)
}

// md5Of is the MD5 of a column's text in UTF-8, which Anchore's paths are made
// of; where the database does not know what its text is in, of its bytes.
func md5Of(column string) string {
	return `md5(convert_to(` + column + `, CASE WHEN getdatabaseencoding() = 'SQL_ASCII' THEN 'SQL_ASCII'::name ELSE 'UTF8'::name END))`
}

// tailOf is what a URI made from its row's key ends with, as SQL.
func tailOf(hashed bool) string {
	if hashed {
		user, id := md5Of(`"userId"`), md5Of(`"archiveId"`)
		return `(` + user + ` || '/' || bucket || '/' || left(` + id + `, 2) || '/' || ` + id + ` || '.json')`
	}
	return `("userId" || '/' || bucket || '/' || "archiveId")`
}

// Places is one sequential scan, which the server may share out among processes.
// A row that is where it should be costs it no more than putting that URI
// together; the others are few.
func (r reader) Places(ctx context.Context, forms []catalog.Form, fn func(form int, odd bool, place string) error) error {
	var args []any
	argument := func(text string) string {
		args = append(args, text)
		return fmt.Sprintf("$%d::text", len(args))
	}
	var form, tail, wanted strings.Builder
	for i, f := range forms {
		scheme := argument(f.Scheme)
		of := begins("content_url", scheme)
		fmt.Fprintf(&form, " WHEN %s THEN %d", of, i)
		fmt.Fprintf(&tail, " WHEN %s THEN %s", of, tailOf(f.Hashed))
		fmt.Fprintf(&wanted, " WHEN %s THEN true", of)
		for _, known := range f.Known {
			fmt.Fprintf(&wanted, " AND content_url <> %s || %s", argument(known), tailOf(f.Hashed))
		}
	}
	rows, err := r.q.Query(ctx, `
		SELECT DISTINCT form, odd, CASE WHEN odd THEN content_url ELSE left(content_url, length(content_url) - length(tail)) END
		FROM (SELECT content_url, form, tail, right(content_url, length(tail)) <> tail AS odd
		      FROM (SELECT content_url, CASE`+form.String()+` END AS form, CASE`+tail.String()+` END AS tail
		            FROM archive_metadata WHERE CASE`+wanted.String()+` ELSE false END) t) t`, args...)
	if err != nil {
		return failed(ctx, "look for places in the catalog", err)
	}
	defer rows.Close()
	for rows.Next() {
		var form int
		var odd bool
		var place string
		if err := rows.Scan(&form, &odd, &place); err != nil {
			return failed(ctx, "look for places in the catalog", err)
		}
		if err := fn(form, odd, place); err != nil {
			return err
		}
	}
	return failed(ctx, "look for places in the catalog", rows.Err())
}

func (r reader) Awkward(ctx context.Context, scheme string, fn func(catalog.Document) error) error {
	rows, err := r.q.Query(ctx, `SELECT `+documentColumns+` FROM archive_metadata
		WHERE `+begins("content_url", "$1::text")+` AND `+tailOf(false)+` ~ $2`, scheme, catalog.AwkwardKey)
	if err != nil {
		return failed(ctx, "look for awkward keys in the catalog", err)
	}
	docs, err := pgx.CollectRows(rows, toDocument)
	for _, d := range docs {
		if err := fn(d); err != nil {
			return err
		}
	}
	return failed(ctx, "look for awkward keys in the catalog", err)
}

func (r reader) Users(ctx context.Context) ([]string, error) {
	rows, err := r.q.Query(ctx, `SELECT DISTINCT "userId" FROM archive_metadata ORDER BY 1`)
	if err != nil {
		return nil, failed(ctx, "list the catalog's users", err)
	}
	users, err := pgx.CollectRows(rows, pgx.RowTo[string])
	return users, failed(ctx, "list the catalog's users", err)
}

func (p *postgres) Renamed(ctx context.Context, limit int) ([]drivers.Key, error) {
	keys, err := again(ctx, func() ([]drivers.Key, error) {
		rows, err := p.pool.Query(ctx, `
			SELECT DISTINCT "userId", bucket, "archiveId" FROM archive_metadata
			WHERE "documentName" <> "archiveId" || '.json' LIMIT $1`, limit)
		if err != nil {
			return nil, err
		}
		return pgx.CollectRows(rows, pgx.RowToStructByPos[drivers.Key])
	})
	return keys, failed(ctx, "look for documents under other names", err)
}
