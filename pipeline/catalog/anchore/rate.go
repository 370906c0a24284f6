package anchore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/kedge/kedge/pipeline/catalog"
)

const (
	// rateRows is how many rows are changed at most to measure that.
	rateRows = 8192
	// rateTime is how long they are changed, durableTime how long durable commits are
	// made, at most.
	rateTime    = 700 * time.Millisecond
	durableTime = 300 * time.Millisecond
	// ratePatience is how long a server may take for all of it.
	ratePatience = 10 * time.Second
)

// rateTable stands for archive_metadata: nobody else sees it, and it ends with its
// transaction.
const rateTable = `CREATE TEMP TABLE kedge_rate (LIKE archive_metadata INCLUDING INDEXES) ON COMMIT DROP`

// CommitRate changes a copy of rows in a temporary table, by the statement of Commit in
// a transaction that is rolled back. What that does not have, waiting for the log to be
// durable, is measured apart: with transactions that make an empty temporary table and
// end it again.
func (p *postgres) CommitRate(ctx context.Context, batch int) (float64, error) {
	ctx, cancel := context.WithTimeout(ctx, ratePatience)
	defer cancel()
	const doing = "measure how many rows can be changed a second"
	conn, err := p.pool.Acquire(ctx)
	if err != nil {
		return 0, failed(ctx, doing, err)
	}
	defer conn.Release()
	changed, took, err := rateOfChanges(ctx, conn.Conn(), batch)
	if err != nil || changed == 0 {
		return 0, failed(ctx, doing, unlessRefused(err))
	}
	durable, err := durableCommit(ctx, conn.Conn())
	if err != nil {
		return 0, failed(ctx, doing, unlessRefused(err))
	}
	batches := (changed + batch - 1) / batch
	return float64(changed) / (took + time.Duration(batches)*durable).Seconds(), nil
}

// unlessRefused leaves out that the server does not let anybody measure: a role without
// the right to temporary tables, a standby.
func unlessRefused(err error) error {
	if refused := (*pgconn.PgError)(nil); errors.As(err, &refused) {
		return nil
	}
	return err
}

// rateOfChanges says how many rows were changed in which time.
func rateOfChanges(ctx context.Context, conn *pgx.Conn, batch int) (changed int, took time.Duration, err error) {
	tx, err := conn.Begin(ctx)
	if err != nil {
		return 0, 0, err
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }() // nothing is kept either way
	for _, statement := range []string{
		rateTable,
		fmt.Sprintf(`INSERT INTO pg_temp.kedge_rate SELECT * FROM archive_metadata WHERE content_url IS NOT NULL LIMIT %d`, rateRows),
		// As in the session that commits.
		`SET LOCAL enable_seqscan = off`, `SET LOCAL enable_hashjoin = off`, `SET LOCAL enable_mergejoin = off`,
	} {
		if _, err := tx.Exec(ctx, statement); err != nil {
			return 0, 0, err
		}
	}
	rows, err := tx.Query(ctx, `SELECT `+documentColumns+` FROM pg_temp.kedge_rate `+inOrder)
	if err != nil {
		return 0, 0, err
	}
	docs, err := pgx.CollectRows(rows, toDocument)
	if err != nil {
		return 0, 0, err
	}
	statement := strings.Replace(commitStatement, "UPDATE archive_metadata m", "UPDATE pg_temp.kedge_rate m", 1)
	pid := conn.PgConn().PID()
	return timed(docs, batch, func(changes []catalog.Change) (n int, err error) {
		args := slices.Insert(commitArguments(changes), 9, any(time.Now().Unix()))
		var numbers []int64
		err = tx.QueryRow(ctx, statement, append(args, pid)...).Scan(&pid, &numbers)
		return len(numbers), err
	})
}

// timed changes rows, a batch at a time, for as long as rateTime, and says how many were
// changed in which time. The first batch is not counted where there are others: it
// prepares the statement.
func timed(docs []catalog.Document, batch int, change func([]catalog.Change) (int, error)) (changed int, took time.Duration, err error) {
	began := time.Now()
	for first := true; len(docs) > 0 && (changed == 0 || time.Since(began) < rateTime); first = false {
		changes := make([]catalog.Change, min(batch, len(docs)))
		for i, d := range docs[:len(changes)] {
			changes[i] = catalog.Change{Document: d, URI: d.URI + "/moved", Compressed: !d.Compressed, Digest: d.Digest, Bytes: d.Bytes}
		}
		docs = docs[len(changes):]
		if first && len(docs) > 0 {
			if _, err := change(changes); err != nil {
				return 0, 0, err
			}
			began = time.Now()
			continue
		}
		n, err := change(changes)
		if err != nil {
			return 0, 0, err
		}
		changed += n
	}
	return changed, time.Since(began), nil
}

// durableCommit is how long a commit takes until it is durable, as the median of a few.
func durableCommit(ctx context.Context, conn *pgx.Conn) (time.Duration, error) {
	var took []time.Duration
	for began := time.Now(); len(took) < 3 || len(took) < 15 && time.Since(began) < durableTime; {
		tx, err := conn.Begin(ctx)
		if err != nil {
			return 0, err
		}
		_, err = tx.Exec(ctx, `CREATE TEMP TABLE kedge_rate () ON COMMIT DROP`)
		if err != nil {
			_ = tx.Rollback(context.WithoutCancel(ctx))
			return 0, err
		}
		commits := time.Now()
		if err := tx.Commit(ctx); err != nil {
			return 0, err
		}
		took = append(took, time.Since(commits))
	}
	slices.Sort(took)
	return took[len(took)/2], nil
}

// CommitRate changes a copy of rows in a file of its own beside the database, which has
// the same disk, with Commit's own transactions. The file is removed again.
func (l *sqlite) CommitRate(ctx context.Context, batch int) (float64, error) {
	const doing = "measure how many rows can be changed a second"
	docs, err := l.documents(ctx, nil, `content_url IS NOT NULL LIMIT ?`, rateRows)
	if err != nil {
		return 0, failed(ctx, doing, err)
	}
	if len(docs) == 0 {
		return 0, nil
	}
	var journal string // a word of SQLite's own
	if err := l.db.QueryRowContext(ctx, `PRAGMA journal_mode`).Scan(&journal); err != nil {
		return 0, failed(ctx, doing, err)
	}
	folder, err := os.MkdirTemp(filepath.Dir(l.path), ".kedge-rate-")
	if err != nil {
		return 0, nil // a folder that cannot be written: nothing can be changed there, either
	}
	defer os.RemoveAll(folder)
	changed, took, err := rateInFile(ctx, filepath.Join(folder, "rate.db"), journal, docs, batch)
	if err != nil {
		return 0, failed(ctx, doing, err)
	}
	return float64(changed) / took.Seconds(), nil
}

// rateInFile is rateOfChanges in a new file with this kind of journal.
func rateInFile(ctx context.Context, path, journal string, docs []catalog.Document, batch int) (changed int, took time.Duration, err error) {
	if err := CreateSchema(ctx, path); err != nil {
		return 0, 0, err
	}
	db, err := sql.Open("sqlite", sqliteName(path, "rw"))
	if err != nil {
		return 0, 0, err
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	if _, err := db.ExecContext(ctx, `PRAGMA journal_mode = `+journal); err != nil {
		return 0, 0, err
	}
	err = transaction(ctx, db, func(tx *sql.Tx) error {
		for _, d := range docs {
			if _, err := tx.ExecContext(ctx, `INSERT INTO archive_metadata (bucket, "archiveId", "userId", "documentName", content_url, is_compressed, digest, size) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
				d.Bucket, d.ArchiveID, d.UserID, d.Name, d.URI, d.Compressed, d.Digest, d.Bytes); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return 0, 0, err
	}
	return timed(docs, batch, func(changes []catalog.Change) (n int, err error) {
		applied := make([]bool, len(changes))
		err = transaction(ctx, db, func(tx *sql.Tx) error { return applyChanges(ctx, tx, changes, applied) })
		for _, done := range applied {
			if done {
				n++
			}
		}
		return n, err
	})
}
