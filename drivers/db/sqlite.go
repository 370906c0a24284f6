package db

import (
	"context"
	"crypto/md5"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/kedge/kedge/drivers"
)

// sqliteMaxBytes is the longest payload taken: SQLite itself forms values of up
// to 1 GB, but has all of one in its own memory, and encoded too.
const sqliteMaxBytes = 512 << 20

// file is a table in an SQLite file. Nothing here keeps a connection beyond one
// call: there may be only one.
type file struct {
	db      *sql.DB
	sql     sqliteStatements
	encodes bool
}

func openSQLite(ctx context.Context, db *sql.DB, t table) (*file, error) {
	var n int
	err := db.QueryRowContext(ctx, `SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = ?`, t.name).Scan(&n)
	if err != nil {
		return nil, err
	}
	if n == 0 {
		return nil, failure{drivers.Config, fmt.Errorf("the database has no table %s: is it Anchore's?", t.name)}
	}
	return &file{db, t.sqlite, t.encodes}, nil
}

// transaction runs fn in a transaction.
func (f *file) transaction(ctx context.Context, fn func(*sql.Tx) error) error {
	tx, err := f.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // no effect once committed
	if err := fn(tx); err != nil {
		return err
	}
	return tx.Commit()
}

// row is where a payload is.
type row struct {
	id      int64
	bytes   int64 // as stored: of base64, the text's
	encoded bool
	null    bool
}

// find looks a payload up; false when there is none.
func (f *file) find(ctx context.Context, tx *sql.Tx, key drivers.Key) (r row, ok bool, err error) {
	var bytes *int64
	err = tx.QueryRowContext(ctx, f.sql.read, key.UserID, key.Bucket, key.ArchiveID).Scan(&bytes, &r.encoded, &r.id)
	switch {
	case err == sql.ErrNoRows:
		return r, false, nil
	case bytes == nil:
		r.null = true
	default:
		r.bytes = *bytes
	}
	return r, err == nil, err
}

func (f *file) read(ctx context.Context, keys []drivers.Key, limits []int64) (map[int]found, error) {
	all := make(map[int]found, len(keys))
	err := f.transaction(ctx, func(tx *sql.Tx) error {
		for i, key := range keys {
			r, ok, err := f.find(ctx, tx, key)
			if err != nil {
				return err
			}
			if ok {
				if all[i], err = f.readRow(ctx, tx, r, limits[i]); err != nil {
					return err
				}
			}
		}
		return nil
	})
	return all, err
}

func (f *file) readRow(ctx context.Context, tx *sql.Tx, r row, limit int64) (found, error) {
	if r.null {
		return found{null: true}, nil
	}
	if !r.encoded && r.bytes > limit {
		return found{bytes: r.bytes}, nil
	}
	if !r.encoded || r.bytes*base64Line/(base64Line/3*4+1)-3 <= limit {
		data := []byte{}
		if err := tx.QueryRowContext(ctx, f.sql.whole, r.id).Scan(&data); err != nil {
			return found{}, err
		}
		if r.encoded {
			return decoded(data, limit), nil
		}
		return found{data: append([]byte{}, data...), bytes: int64(len(data))}, nil
	}
	// Only counted.
	var n counter
	if err := f.copyRow(ctx, tx, r, &n); err != nil {
		if ctx.Err() != nil {
			return found{}, err
		}
		return found{err: err}, nil
	}
	return found{bytes: int64(n)}, nil
}

// counter counts what is written to it.
type counter int64

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}

// copyRow writes a payload to w, piece by piece and decoded.
func (f *file) copyRow(ctx context.Context, tx *sql.Tx, r row, w io.Writer) error {
	var decoder *base64Writer
	if r.encoded {
		decoder = &base64Writer{w: w}
		w = decoder
	}
	for at := int64(0); at < r.bytes; {
		var piece []byte
		if err := tx.QueryRowContext(ctx, f.sql.slice, r.id, at+1, chunkBytes).Scan(&piece); err != nil {
			return err
		}
		if len(piece) == 0 {
			return io.ErrUnexpectedEOF
		}
		if _, err := w.Write(piece); err != nil {
			if r.encoded {
				return failure{drivers.Corrupt, err}
			}
			return err
		}
		at += int64(len(piece))
	}
	if decoder != nil {
		if err := decoder.Close(); err != nil {
			return failure{drivers.Corrupt, err}
		}
	}
	return nil
}

func (f *file) write(ctx context.Context, items []item) ([]stored, error) {
	err := f.transaction(ctx, func(tx *sql.Tx) error {
		for _, it := range items {
			if err := f.clearOthers(ctx, tx, it.key); err != nil {
				return err
			}
			data, encoded := it.data, f.encodes && !isText(it.data, false)
			if encoded {
				data = encodeBase64(data)
			}
			if data == nil {
				data = []byte{} // nil would be NULL
			}
			_, err := tx.ExecContext(ctx, f.sql.write, it.key.UserID, it.key.Bucket, it.key.ArchiveID, data, encoded, time.Now().Unix())
			if err != nil {
				return err
			}
		}
		return nil
	})
	return make([]stored, len(items)), err // SQLite has no md5()
}

// clearOthers removes rows of the key that a write would not replace.
func (f *file) clearOthers(ctx context.Context, tx *sql.Tx, key drivers.Key) error {
	if f.sql.clear == "" {
		return nil
	}
	_, err := tx.ExecContext(ctx, f.sql.clear, key.UserID, key.Bucket, key.ArchiveID)
	return err
}

func (f *file) remove(ctx context.Context, keys []drivers.Key) error {
	return f.transaction(ctx, func(tx *sql.Tx) error {
		for _, k := range keys {
			if _, err := tx.ExecContext(ctx, f.sql.remove, k.UserID, k.Bucket, k.ArchiveID); err != nil {
				return err
			}
		}
		return nil
	})
}

func (f *file) versions() bool { return false }

func (f *file) page(ctx context.Context, after *drivers.Key, limit int, proven bool) ([]entry, error) {
	entries, err := f.entries(ctx, after, limit)
	for i := range entries {
		if err == nil && proven {
			entries[i].md5, err = f.sum(ctx, entries[i].key)
		}
	}
	return entries, err
}

// sum reads a payload for its MD5, "" where it is gone or not sound.
func (f *file) sum(ctx context.Context, key drivers.Key) (sum string, err error) {
	err = f.transaction(ctx, func(tx *sql.Tx) error {
		r, ok, err := f.find(ctx, tx, key)
		if err != nil || !ok || r.null {
			return err
		}
		hash := md5.New()
		err = f.copyRow(ctx, tx, r, hash)
		if unsound := (failure{}); errors.As(err, &unsound) && unsound.kind == drivers.Corrupt {
			return nil
		}
		sum = hex.EncodeToString(hash.Sum(nil))
		return err
	})
	return sum, err
}

func (f *file) entries(ctx context.Context, after *drivers.Key, limit int) ([]entry, error) {
	q, args := f.sql.first, []any{limit}
	if after != nil {
		q, args = f.sql.page, []any{after.UserID, after.Bucket, after.ArchiveID, limit}
	}
	rows, err := f.db.QueryContext(ctx, q, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var entries []entry
	for rows.Next() {
		var e entry
		var bytes *int64
		if err := rows.Scan(&e.key.UserID, &e.key.Bucket, &e.key.ArchiveID, &bytes); err != nil {
			return nil, err
		}
		if bytes != nil {
			e.bytes = *bytes
		}
		entries = append(entries, e)
	}
	return entries, rows.Err()
}

// spool is a temporary file without a name.
func spool() (*os.File, error) {
	f, err := os.CreateTemp("", "kedge-*")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(f.Name()); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func (f *file) updated(ctx context.Context, key drivers.Key) (seconds *int64, err error) {
	err = f.db.QueryRowContext(ctx, f.sql.updated, key.UserID, key.Bucket, key.ArchiveID).Scan(&seconds)
	return seconds, err
}
