package anchore

import (
	"context"
	"errors"

	"github.com/kedge/kedge/pipeline/catalog"
)

// ErrRowExists says that AddRow found a row with that key.
var ErrRowExists = errors.New("the catalog has a row with that key already")

// AddRow writes a new row as Anchore does when it puts a document. It never
// replaces one: a row with that key, whatever its document's name, is
// ErrRowExists.
func (c *Catalog) AddRow(ctx context.Context, d catalog.Document) error {
	const columns = `(bucket, "archiveId", "userId", "documentName", content_url, is_compressed, digest, size, created_at, last_updated, record_state_key)`
	now := taskTime().Unix()
	values := []any{d.Bucket, d.ArchiveID, d.UserID, d.Name, d.URI, d.Compressed, d.Digest, d.Bytes, now}
	var added int64
	if pool := c.Postgres(); pool != nil {
		tag, err := pool.Exec(ctx, `INSERT INTO archive_metadata `+columns+`
			SELECT $1::text, $2::text, $3::text, $4, $5, $6, $7, $8, $9, $9, 'active'
			WHERE NOT EXISTS (SELECT FROM archive_metadata WHERE bucket = $1::text AND "archiveId" = $2::text AND "userId" = $3::text)`, values...)
		if err != nil {
			return failed(ctx, "add a row to the catalog", err)
		}
		added = tag.RowsAffected()
	} else {
		done, err := c.SQLite().ExecContext(ctx, `INSERT INTO archive_metadata `+columns+`
			SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?9, 'active'
			WHERE NOT EXISTS (SELECT 1 FROM archive_metadata WHERE bucket = ?1 AND "archiveId" = ?2 AND "userId" = ?3)`, values...)
		if err != nil {
			return failed(ctx, "add a row to the catalog", err)
		}
		if added, err = done.RowsAffected(); err != nil {
			return failed(ctx, "add a row to the catalog", err)
		}
	}
	if added == 0 {
		return ErrRowExists
	}
	return nil
}

// RemoveRow removes a row that still says what AddRow wrote.
func (c *Catalog) RemoveRow(ctx context.Context, d catalog.Document) error {
	values := []any{d.Bucket, d.ArchiveID, d.UserID, d.Name, d.URI}
	if pool := c.Postgres(); pool != nil {
		_, err := pool.Exec(ctx, `DELETE FROM archive_metadata
			WHERE bucket = $1 AND "archiveId" = $2 AND "userId" = $3 AND "documentName" = $4 AND content_url = $5`, values...)
		return failed(ctx, "remove the test document's row", err)
	}
	_, err := c.SQLite().ExecContext(ctx, `DELETE FROM archive_metadata
		WHERE bucket = ? AND "archiveId" = ? AND "userId" = ? AND "documentName" = ? AND content_url = ?`, values...)
	return failed(ctx, "remove the test document's row", err)
}
