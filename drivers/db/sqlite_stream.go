package db

import (
	"bufio"
	"context"
	"database/sql"
	"io"
	"os"
	"time"

	"github.com/kedge/kedge/drivers"
)

// stream copies a long payload to a temporary file, so that neither memory nor
// the connection is kept while it is read.
func (f *file) stream(ctx context.Context, key drivers.Key) (io.ReadCloser, int64, error) {
	to, err := spool()
	if err != nil {
		return nil, 0, err
	}
	err = f.transaction(ctx, func(tx *sql.Tx) error {
		r, ok, err := f.find(ctx, tx, key)
		switch {
		case err != nil:
			return err
		case !ok:
			return errMissing
		case r.null:
			return errNull
		}
		return f.copyRow(ctx, tx, r, to)
	})
	var n int64
	if err == nil {
		n, err = to.Seek(0, io.SeekCurrent)
	}
	if err == nil {
		_, err = to.Seek(0, io.SeekStart)
	}
	if err != nil {
		to.Close()
		return nil, 0, err
	}
	return &spooled{Reader: bufio.NewReader(to), file: to}, n, nil
}

// spooled reads a temporary file.
type spooled struct {
	*bufio.Reader
	file   *os.File
	closed bool
}

func (s *spooled) Close() error {
	if s.closed {
		return nil
	}
	s.closed = true
	return s.file.Close()
}

// writeStream takes the whole payload into a temporary file before it asks for
// the connection, which the payload's source may need.
func (f *file) writeStream(ctx context.Context, key drivers.Key, first []byte, rest *intake) (stored, error) {
	held, err := spool()
	if err != nil {
		return stored{}, err
	}
	defer held.Close()
	check := textCheck{bad: !f.encodes}
	for chunk := first; len(chunk) > 0; {
		check.write(chunk)
		if _, err := held.Write(chunk); err != nil {
			return stored{}, err
		}
		n, err := rest.next(ctx, first[:cap(first)])
		if err != nil {
			return stored{}, err
		}
		chunk = first[:n]
	}
	if _, err := held.Seek(0, io.SeekStart); err != nil {
		return stored{}, err
	}
	encoded := f.encodes && !check.isText()
	return stored{}, f.transaction(ctx, func(tx *sql.Tx) error {
		return f.gather(ctx, tx, key, held, first[:cap(first)], encoded)
	})
}

// gather stores a payload from pieces in a temporary table.
func (f *file) gather(ctx context.Context, tx *sql.Tx, key drivers.Key, from io.Reader, buf []byte, encoded bool) error {
	_, err := tx.ExecContext(ctx, `CREATE TABLE IF NOT EXISTS temp.kedge_chunk (n INTEGER PRIMARY KEY, chunk BLOB NOT NULL)`)
	if err != nil {
		return err
	}
	for end := false; !end; {
		n, err := io.ReadFull(from, buf)
		switch err {
		case nil:
		case io.EOF, io.ErrUnexpectedEOF: // of a file: its end
			end = true
		default:
			return err
		}
		chunk := buf[:n]
		if encoded { // buf is a multiple of a line
			chunk = encodeBase64(chunk)
		}
		if n == 0 {
			break
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO temp.kedge_chunk (chunk) VALUES (?)`, chunk); err != nil {
			return err
		}
	}
	if err := f.clearOthers(ctx, tx, key); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, f.sql.gather, key.UserID, key.Bucket, key.ArchiveID, encoded, time.Now().Unix()); err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `DELETE FROM temp.kedge_chunk`)
	return err
}
