package torture

import (
	"bytes"
	"compress/zlib"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/kedge/kedge/drivers"
)

// manager puts, gets and deletes documents as Anchore's services do: by the steps
// of ObjectStorageManager (anchore_engine/subsys/object_store/manager.py, 1.1),
// in its order, with the statements that SQLAlchemy makes of them. A put stores
// the payload and then merges the row; a delete removes the row and then the
// payload; a get reads the row and then the payload, and compares the digest.
// Nothing is atomic but each single statement's transaction. It can be used
// concurrently, each document by one writer at a time.
type manager struct {
	pool    *pgxpool.Pool
	place   *place
	rule    compression
	backend backend
	now     func() int64 // the service's clock, in seconds
	// between is called between the steps of a put or delete; an error ends it
	// there, as if the service had been killed.
	between func() error
}

// backend is one of Anchore's storage drivers.
type backend interface {
	put(ctx context.Context, k drivers.Key, payload []byte) error
	get(ctx context.Context, k drivers.Key) ([]byte, error)
	remove(ctx context.Context, k drivers.Key) error
}

// errNoPayload says that there is nothing where a row points.
var errNoPayload = errors.New("there is no payload")

func newManager(pool *pgxpool.Pool, p *place, rule compression, now func() int64, between func() error) *manager {
	return &manager{pool: pool, place: p, rule: rule, now: now, between: between, backend: p.store.asAnchore(pool, p, between)}
}

func (m *manager) put(ctx context.Context, k drivers.Key, plain []byte) error {
	payload, compressed := plain, m.rule.compresses(m.place, len(plain))
	if compressed {
		payload = deflate(plain)
	}
	if err := m.between(); err != nil {
		return err
	}
	if err := m.backend.put(ctx, k, payload); err != nil {
		return fmt.Errorf("put the payload: %w", err)
	}
	if err := m.between(); err != nil {
		return err
	}
	return m.merge(ctx, k, metadata{m.place.uri(k), compressed, hexMD5(payload), int64(len(payload))})
}

// metadata is what a put writes into a row.
type metadata struct {
	url        string
	compressed bool
	digest     string
	size       int64
}

const wholeKey = ` WHERE bucket = $1 AND "archiveId" = $2 AND "userId" = $3 AND "documentName" = $4`

// merge is Session.merge of a row, whose documentName is the archive id with
// .json: it reads the row, and inserts it, or updates those columns that are
// others now. A put of the same bytes changes nothing, last_updated neither.
func (m *manager) merge(ctx context.Context, k drivers.Key, want metadata) error {
	return pgx.BeginFunc(ctx, m.pool, func(tx pgx.Tx) error {
		key := []any{k.Bucket, k.ArchiveID, k.UserID, k.ArchiveID + ".json"}
		var url, digest, note *string
		var compressed *bool
		var size *int64
		err := tx.QueryRow(ctx, `SELECT content_url, is_compressed, digest, size, document_metadata FROM archive_metadata`+wholeKey, key...).
			Scan(&url, &compressed, &digest, &size, &note)
		now := m.now()
		switch {
		case errors.Is(err, pgx.ErrNoRows):
			_, err = tx.Exec(ctx, `INSERT INTO archive_metadata (bucket, "archiveId", "userId", "documentName", content_url, is_compressed, digest, size,
				document_metadata, created_at, last_updated, record_state_key, record_state_val) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, NULL, $9, $10, 'active', NULL)`,
				append(key, want.url, want.compressed, want.digest, want.size, now, now)...)
		case err == nil:
			changed := changedColumns(
				column{"content_url", url == nil || *url != want.url, want.url},
				column{"is_compressed", compressed == nil || *compressed != want.compressed, want.compressed},
				column{"digest", digest == nil || *digest != want.digest, want.digest},
				column{"size", size == nil || *size != want.size, want.size},
				column{"document_metadata", note != nil, nil},
			)
			err = update(ctx, tx, "archive_metadata", wholeKey, key, changed, now)
		}
		if err != nil {
			return fmt.Errorf("merge the row: %w", err)
		}
		return m.between()
	})
}

// column is a column of a row that is updated.
type column struct {
	name    string
	changed bool
	value   any
}

func changedColumns(all ...column) (changed []column) {
	for _, c := range all {
		if c.changed {
			changed = append(changed, c)
		}
	}
	return changed
}

// update changes columns of a row and last_updated; without a column it does
// nothing.
func update(ctx context.Context, tx pgx.Tx, table, where string, key []any, columns []column, now int64) error {
	if len(columns) == 0 {
		return nil
	}
	var sets []string
	args := append([]any(nil), key...)
	for _, c := range append(columns, column{"last_updated", true, now}) {
		args = append(args, c.value)
		sets = append(sets, fmt.Sprintf("%s = $%d", c.name, len(args)))
	}
	_, err := tx.Exec(ctx, "UPDATE "+table+" SET "+strings.Join(sets, ", ")+where, args...)
	return err
}

// get gives a document's plain bytes, nil where there is no row.
func (m *manager) get(ctx context.Context, k drivers.Key) ([]byte, error) {
	var url, digest *string
	var compressed *bool
	err := pgx.BeginFunc(ctx, m.pool, func(tx pgx.Tx) error {
		return tx.QueryRow(ctx, `SELECT content_url, is_compressed, digest FROM archive_metadata WHERE "userId" = $1 AND bucket = $2 AND "archiveId" = $3 LIMIT 1`,
			k.UserID, k.Bucket, k.ArchiveID).Scan(&url, &compressed, &digest)
	})
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("read the row: %w", err)
	case url == nil || *url != m.place.uri(k):
		return nil, fmt.Errorf("the row names %q, and not %s", text(url), m.place.uri(k))
	}
	payload, err := m.backend.get(ctx, k)
	if err != nil {
		return nil, fmt.Errorf("read the payload: %w", err)
	}
	if digest != nil && *digest != hexMD5(payload) {
		return nil, fmt.Errorf("digest mismatch: the row has %s, the payload %s", *digest, hexMD5(payload))
	}
	if compressed == nil || !*compressed {
		return append([]byte{}, payload...), nil
	}
	return inflate(payload)
}

func inflate(payload []byte) ([]byte, error) {
	z, err := zlib.NewReader(bytes.NewReader(payload))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(z)
}

func text(s *string) string {
	if s == nil {
		return "NULL"
	}
	return *s
}

func (m *manager) remove(ctx context.Context, k drivers.Key) error {
	if err := m.between(); err != nil {
		return err
	}
	var found bool
	err := pgx.BeginFunc(ctx, m.pool, func(tx pgx.Tx) error {
		var name string
		err := tx.QueryRow(ctx, `SELECT "documentName" FROM archive_metadata WHERE "userId" = $1 AND bucket = $2 AND "archiveId" = $3 LIMIT 1`,
			k.UserID, k.Bucket, k.ArchiveID).Scan(&name)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		if err == nil {
			found = true
			_, err = tx.Exec(ctx, `DELETE FROM archive_metadata`+wholeKey, k.Bucket, k.ArchiveID, k.UserID, name)
		}
		if err != nil {
			return err
		}
		return m.between()
	})
	if err != nil {
		return fmt.Errorf("delete the row: %w", err)
	}
	if !found {
		return errors.New("delete: there is no row")
	}
	if err := m.between(); err != nil {
		return err
	}
	if err := m.backend.remove(ctx, k); err != nil {
		return fmt.Errorf("delete the payload: %w", err)
	}
	return nil
}
