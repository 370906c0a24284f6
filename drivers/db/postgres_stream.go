package db

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/kedge/kedge/drivers"
)

// streamSettings let a transaction take as long as the other side of the stream
// does.
const streamSettings = `SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0`

// pieces reads a long payload: one statement cuts it into pieces, which come as
// they are read, so that all of them are of one version of the row.
type pieces struct {
	cancel context.CancelFunc
	tx     pgx.Tx
	rows   pgx.Rows
	done   func()

	piece []byte // what is left of the current row; valid until the next one
	at    int64  // offset of the next piece
	bytes int64
	ended bool
}

func (p *postgres) stream(ctx context.Context, key drivers.Key) (io.ReadCloser, int64, error) {
	select {
	case p.streams <- struct{}{}:
	case <-ctx.Done():
		return nil, 0, ctx.Err()
	}
	s := &pieces{done: func() { <-p.streams }}
	if err := s.open(ctx, p, key); err != nil {
		s.Close()
		return nil, 0, err
	}
	return s, s.bytes, nil
}

func (s *pieces) open(ctx context.Context, p *postgres, key drivers.Key) error {
	ctx, s.cancel = context.WithCancel(ctx)
	var err error
	if s.tx, err = p.pool.BeginTx(ctx, pgx.TxOptions{AccessMode: pgx.ReadOnly}); err != nil {
		return err
	}
	if _, err = s.tx.Conn().PgConn().Exec(ctx, streamSettings).ReadAll(); err != nil {
		return err
	}
	s.rows, err = s.tx.Query(ctx, p.sql.stream, mode, key.UserID, key.Bucket, key.ArchiveID, chunkBytes)
	if err != nil {
		return err
	}
	switch err := s.next(); {
	case err == io.EOF:
		return errMissing
	case err != nil:
		return err
	}
	return nil
}

// next goes to the next piece, io.EOF behind the last one.
func (s *pieces) next() error {
	if !s.rows.Next() {
		if err := s.rows.Err(); err != nil {
			return err
		}
		s.ended = true
		return io.EOF
	}
	var at, bytes *int64
	var piece pgtype.DriverBytes // not a copy
	if err := s.rows.Scan(&at, &bytes, &piece); err != nil {
		return err
	}
	if bytes == nil {
		return errNull
	}
	if *at != s.at {
		return errors.New("the pieces of the payload come out of order")
	}
	s.bytes = *bytes
	s.at += int64(len(piece))
	s.piece = piece
	return nil
}

func (s *pieces) Read(p []byte) (int, error) {
	for len(s.piece) == 0 {
		if s.ended {
			return 0, io.EOF
		}
		if err := s.next(); err != nil {
			return 0, err
		}
	}
	n := copy(p, s.piece)
	s.piece = s.piece[n:]
	return n, nil
}

// Close gives the connection back. When the payload has not been read to its
// end, the connection is given up: what is still to come could be a gigabyte.
func (s *pieces) Close() error {
	if s.done == nil {
		return nil
	}
	defer s.done()
	s.done = nil
	s.piece, s.ended = nil, true
	if s.tx == nil {
		s.cancel()
		return nil
	}
	if s.rows != nil {
		if s.at < s.bytes {
			s.cancel()
		}
		s.rows.Close()
	}
	// It has changed nothing; when this fails, the pool discards the connection.
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_ = s.tx.Rollback(ctx)
	s.cancel()
	return nil
}

// chunkTable is where the pieces of a long payload wait, one table for each
// session, emptied at the end of every transaction.
const (
	findChunkTable = `SELECT to_regclass('pg_temp.kedge_chunk') IS NOT NULL`
	makeChunkTable = `CREATE TEMPORARY TABLE kedge_chunk (n int4 NOT NULL, chunk bytea NOT NULL) ON COMMIT DELETE ROWS;
		ALTER TABLE pg_temp.kedge_chunk ALTER COLUMN chunk SET STORAGE EXTERNAL`
)

func (p *postgres) writeStream(ctx context.Context, key drivers.Key, first []byte, rest *intake) (stored, error) {
	var proof stored
	err := pgx.BeginTxFunc(ctx, p.pool, pgx.TxOptions{IsoLevel: pgx.ReadCommitted, AccessMode: pgx.ReadWrite}, func(tx pgx.Tx) error {
		if err := prepareChunks(ctx, tx); err != nil {
			return err
		}
		encoded, err := p.sendChunks(ctx, tx, first, rest)
		if err != nil {
			return err
		}
		if p.sql.clear != "" {
			if _, err := tx.Exec(ctx, p.sql.clear, mode, key.UserID, key.Bucket, key.ArchiveID); err != nil {
				return err
			}
		}
		if p.inherited {
			if _, err := tx.Exec(ctx, p.sql.clearChildren, mode, []string{key.UserID}, []string{key.Bucket}, []string{key.ArchiveID}); err != nil {
				return err
			}
		}
		err = tx.QueryRow(ctx, p.sql.gather, mode, key.UserID, key.Bucket, key.ArchiveID, encoded, time.Now().Unix()).Scan(&proof.md5, &proof.version)
		if err != nil {
			return err
		}
		return checkMD5(proof.md5, rest.md5())
	})
	return proof, err
}

func prepareChunks(ctx context.Context, tx pgx.Tx) error {
	c := tx.Conn().PgConn()
	if _, err := c.Exec(ctx, streamSettings).ReadAll(); err != nil {
		return err
	}
	var there bool
	if err := tx.QueryRow(ctx, findChunkTable).Scan(&there); err != nil || there {
		return err
	}
	_, err := c.Exec(ctx, makeChunkTable).ReadAll()
	return err
}

// sendChunks sends the whole payload and says whether it has to be encoded.
func (p *postgres) sendChunks(ctx context.Context, tx pgx.Tx, first []byte, rest *intake) (encoded bool, err error) {
	check := textCheck{asciiOnly: p.asciiOnly, bad: !p.encodes}
	buf, chunk := first, first
	for n := 1; len(chunk) > 0; n++ {
		check.write(chunk)
		if _, err := tx.Exec(ctx, `INSERT INTO pg_temp.kedge_chunk VALUES ($1, $2)`, mode, n, chunk); err != nil {
			return false, err
		}
		filled, err := rest.next(ctx, buf[:cap(buf)])
		if err != nil {
			return false, err
		}
		chunk = buf[:filled]
	}
	return !check.isText(), nil
}
