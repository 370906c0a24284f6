package anchore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/kedge/kedge/internal/crash"
	"github.com/kedge/kedge/pipeline/catalog"
)

// commitAttempts is how often a commit is tried that the server rolled back
// because it met another transaction.
const commitAttempts = 3

// commitStatement is one transaction by itself. It names all four key columns,
// compares and swaps, and leaves every other column alone. In another process of
// the server than the one that has the lock it changes nothing, and says so.
const commitStatement = `
	WITH done AS (
	UPDATE archive_metadata m
	SET content_url = u.url, is_compressed = u.compressed, digest = nullif(u.digest, ''),
	    size = nullif(u.size, -1), last_updated = $10
	FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[],
	            $6::text[], $7::bool[], $8::text[], $9::int8[], $11::bool[], $12::text[], $13::int8[])
	     WITH ORDINALITY AS u(bucket, archive, "user", name, old, url, compressed, digest, size, old_compressed, old_digest, old_size, n)
	WHERE m.bucket = u.bucket AND m."archiveId" = u.archive AND m."userId" = u."user" AND m."documentName" = u.name
	  AND m.content_url IS NOT DISTINCT FROM u.old AND coalesce(m.is_compressed, false) = u.old_compressed
	  AND lower(coalesce(m.digest, '')) = u.old_digest AND coalesce(m.size, -1) = u.old_size
	  AND pg_backend_pid() = $14
	RETURNING u.n)
	SELECT pg_backend_pid(), ARRAY(SELECT n FROM done)`

// errOtherSession says that a pooler changed the session that had the lock.
var errOtherSession = fmt.Errorf("%w: its session was changed for another one by a connection pooler (nothing was changed; connect to PostgreSQL itself, or set pool_mode=session)", errNotLocked)

func (p *postgres) Commit(ctx context.Context, changes []catalog.Change) ([]bool, error) {
	applied := make([]bool, len(changes))
	if len(changes) == 0 {
		return applied, nil
	}
	doing := fmt.Sprintf("commit of %d documents", len(changes))
	l := &p.lock
	// Longer than the server is ever silent. The session has no bound of its own,
	// for it may have to wait for the lock.
	ctx, cancel := context.WithTimeout(ctx, l.options.silence())
	defer cancel()
	l.use.Lock()
	defer l.use.Unlock()
	numbers, err := l.commitAgain(ctx, commitArguments(changes))
	switch {
	case errors.Is(err, errNotLocked):
		return nil, fmt.Errorf("%s: %w", doing, err)
	case err != nil && outcomeUnknown(err):
		return nil, &plain{fmt.Sprintf("%s: the database's session ended and %v: %s", doing, ErrOutcomeUnknown, oneLine(err.Error())),
			errors.Join(ErrOutcomeUnknown, ctx.Err(), err)}
	case err != nil:
		return nil, failed(ctx, doing, err)
	}
	for _, n := range numbers {
		applied[n-1] = true
	}
	return applied, nil
}

// commitAgain is commit, tried again where the server has rolled it back.
func (l *lockSession) commitAgain(ctx context.Context, args []any) ([]int64, error) {
	if l.conn == nil {
		return nil, errNotLocked
	}
	if l.conn.IsClosed() {
		l.die()
		return nil, fmt.Errorf("%w: its session has ended", errNotLocked)
	}
	for attempt := 1; ; attempt++ {
		numbers, err := l.commit(ctx, args)
		if err != nil && attempt < commitAttempts && ctx.Err() == nil && rolledBack(err) {
			continue
		}
		if err != nil && l.conn.IsClosed() {
			l.die()
		}
		return numbers, err
	}
}

// commit runs the statement and gives the numbers, from 1, of the changes that
// were applied.
func (l *lockSession) commit(ctx context.Context, args []any) ([]int64, error) {
	args = slices.Insert(slices.Clone(args), 9, any(time.Now().Unix()))
	statement := commitStatement
	if crash.Mutated("no-compare-and-swap") {
		statement = statement[:strings.Index(statement, "AND m.content_url")] + statement[strings.Index(statement, "AND pg_backend_pid()"):]
	}
	var pid int
	var numbers []int64
	if err := l.conn.QueryRow(ctx, statement, append(args, l.pid)...).Scan(&pid, &numbers); err != nil {
		return nil, err
	}
	if pid != l.pid {
		closeSession(l.conn)
		return nil, errOtherSession
	}
	return numbers, nil
}

func commitArguments(changes []catalog.Change) []any {
	n := len(changes)
	buckets, ids, users, names := make([]string, n), make([]string, n), make([]string, n), make([]string, n)
	old, urls := make([]*string, n), make([]string, n)
	compressed, digests, sizes := make([]bool, n), make([]string, n), make([]int64, n)
	oldCompressed, oldDigests, oldSizes := make([]bool, n), make([]string, n), make([]int64, n)
	for i, c := range changes {
		buckets[i], ids[i], users[i], names[i] = c.Document.Bucket, c.Document.ArchiveID, c.Document.UserID, c.Document.Name
		if !c.Document.NoURI {
			old[i] = &changes[i].Document.URI
		}
		urls[i], compressed[i], digests[i], sizes[i] = c.URI, c.Compressed, c.Digest, c.Bytes
		oldCompressed[i], oldDigests[i], oldSizes[i] = c.Document.Compressed, c.Document.Digest, c.Document.Bytes
	}
	return []any{buckets, ids, users, names, old, urls, compressed, digests, sizes, oldCompressed, oldDigests, oldSizes}
}

// rolledBack says that the server undid the transaction for another one's sake.
func rolledBack(err error) bool {
	e := (*pgconn.PgError)(nil)
	return errors.As(err, &e) && (e.Code == "40001" || e.Code == "40P01")
}

// outcomeUnknown says that the server may have committed: it has not refused
// the statement, and the statement may have reached it. A session that is
// terminated may be so between its commit and its answer.
func outcomeUnknown(err error) bool {
	if e := (*pgconn.PgError)(nil); errors.As(err, &e) {
		return e.SeverityUnlocalized != "ERROR" && e.Severity != "ERROR"
	}
	return !pgconn.SafeToRetry(err)
}
