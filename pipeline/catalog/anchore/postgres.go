package anchore

import (
	"context"
	"sync"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/kedge/kedge/pipeline/catalog"
)

// postgres is the catalog on PostgreSQL.
type postgres struct {
	reader // of the pool
	pool   *pgxpool.Pool
	config *pgx.ConnConfig
	place  string
	lock   lockSession
	closed sync.Once
}

func (p *postgres) Place() string { return p.place }

// Close waits until everything that was borrowed from the pool is back.
func (p *postgres) Close() error {
	p.closed.Do(func() {
		p.lock.end()
		p.pool.Close()
	})
	return nil
}

// Snapshot holds a transaction in a session of its own, so that the pool is no
// smaller for it.
func (p *postgres) Snapshot(ctx context.Context) (catalog.Snapshot, error) {
	conn, err := pgx.ConnectConfig(ctx, p.config.Copy())
	if err != nil {
		return nil, describe(err, p.config)
	}
	s := &snapshot{conn: conn}
	tx, err := conn.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
	if err == nil {
		s.reader = reader{tx}
		// The transaction sees what its first statement sees.
		_, err = tx.Exec(ctx, `SELECT`)
	}
	if err != nil {
		s.Close()
		return nil, failed(ctx, "begin to read the catalog", err)
	}
	return s, nil
}

// snapshot is a transaction that only reads.
type snapshot struct {
	reader
	conn *pgx.Conn
}

// Lasting is true: the server keeps old versions of rows for it.
func (s *snapshot) Lasting() bool { return true }

// Close ends the session, and the transaction with it. Nothing was changed.
func (s *snapshot) Close() { closeSession(s.conn) }
