package anchore

import (
	"cmp"
	"context"
	"crypto/md5"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/pipeline/catalog"
)

// sqlite is the catalog in an SQLite file. It has one connection: the file
// allows one writer anyway, and nobody meets a busy database within a process.
type sqlite struct {
	db     *sql.DB
	path   string
	lock   fileLock
	pulse  pulse
	closed sync.Once
}

func openSQLite(ctx context.Context, o Options) (*sqlite, error) {
	path, err := filepath.Abs(o.SQLite)
	if err == nil {
		path, err = filepath.EvalSymlinks(path)
	}
	if err == nil {
		var info os.FileInfo
		if info, err = os.Stat(path); err == nil && !info.Mode().IsRegular() {
			err = fmt.Errorf("%s is not a file", path)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("cannot open the database file %s: %w", o.SQLite, err)
	}
	db, err := sql.Open("sqlite", sqliteName(path, "rw"))
	if err != nil {
		return nil, fmt.Errorf("cannot open the database file %s: %w", path, err)
	}
	db.SetMaxOpenConns(1)
	l := &sqlite{db: db, path: path}
	l.lock.lost = make(chan struct{})
	if err := l.check(ctx); err != nil {
		db.Close()
		return nil, err
	}
	return l, nil
}

// check looks for Anchore's tables.
func (l *sqlite) check(ctx context.Context) error {
	var missing []string
	for _, t := range tables {
		var n int
		err := l.db.QueryRowContext(ctx, `SELECT count(*) FROM sqlite_schema WHERE type IN ('table', 'view') AND name = ?`, t).Scan(&n)
		if err != nil {
			return failed(ctx, "cannot open the database file "+l.path, err)
		}
		if n == 0 {
			missing = append(missing, t)
		}
	}
	if len(missing) > 0 {
		return missingTables(l.Place(), missing)
	}
	return nil
}

func (l *sqlite) Place() string { return "sqlite://" + l.path }

func (l *sqlite) Close() error {
	var err error
	l.closed.Do(func() {
		l.pulse.mu.Lock()
		defer l.pulse.mu.Unlock()
		l.pulse.end()
		err = l.db.Close()
		l.lock.close()
	})
	return err
}

// conditions makes a WHERE clause of a selection. The unary plus keeps bucket
// from leading the index, which is needed in the order of the primary key; the
// comparison with the prefix is one of bytes.
func conditions(s catalog.Selection, args []any) (string, []any) {
	where := `(content_url IS NULL OR coalesce(substr(CAST(content_url AS BLOB), 1, length(CAST(? AS BLOB))), x'') = CAST(? AS BLOB))`
	args = append(args, s.Prefix, s.Prefix)
	if len(s.Buckets) > 0 {
		where += ` AND +bucket IN (?` + strings.Repeat(`, ?`, len(s.Buckets)-1) + `)`
		for _, b := range s.Buckets {
			args = append(args, b)
		}
	}
	return where, args
}

func (l *sqlite) Count(ctx context.Context, s catalog.Selection) (catalog.Totals, error) {
	var t catalog.Totals
	where, args := conditions(s, nil)
	err := l.db.QueryRowContext(ctx, `
		SELECT count(content_url), coalesce(sum(size) FILTER (WHERE content_url IS NOT NULL), 0),
		       count(*) FILTER (WHERE content_url IS NULL),
		       count(*) FILTER (WHERE content_url IS NOT NULL AND coalesce(digest, '') = '')
		FROM archive_metadata WHERE `+where, args...).Scan(&t.Documents, &t.Bytes, &t.NoURI, &t.NoDigest)
	if err != nil {
		return t, failed(ctx, "count the catalog's documents", err)
	}
	t.Unknown, err = l.unknown(ctx, s.Buckets)
	return t, failed(ctx, "count the catalog's documents", err)
}

func (l *sqlite) Page(ctx context.Context, s catalog.Selection, after catalog.Position, limit int) ([]catalog.Document, error) {
	if limit <= 0 {
		return nil, fmt.Errorf("page of %d documents", limit)
	}
	where, args := conditions(s, nil)
	if after != (catalog.Position{}) {
		where += ` AND (bucket, "archiveId", "userId", "documentName") > (?, ?, ?, ?)`
		args = append(args, after.Bucket, after.ArchiveID, after.UserID, after.Name)
	}
	docs, err := l.documents(ctx, nil, where+" "+inOrder+" LIMIT ?", append(args, limit)...)
	return docs, failed(ctx, "read a page of the catalog", err)
}

// documents adds the rows that a condition (and what follows it) selects.
func (l *sqlite) documents(ctx context.Context, docs []catalog.Document, where string, args ...any) ([]catalog.Document, error) {
	rows, err := l.db.QueryContext(ctx, `SELECT `+documentColumns+` FROM archive_metadata WHERE `+where, args...)
	if err != nil {
		return nil, err
	}
	return appendRows(docs, rows, func() (catalog.Document, error) { return document(rows) })
}

// appendRows adds what one makes of each of the rows, and closes them.
func appendRows[T any](list []T, rows *sql.Rows, one func() (T, error)) ([]T, error) {
	defer rows.Close()
	for rows.Next() {
		v, err := one()
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	return list, rows.Err()
}

func (l *sqlite) Rows(ctx context.Context, keys []drivers.Key) ([]catalog.Document, error) {
	var docs []catalog.Document
	seen := make(map[drivers.Key]bool, len(keys))
	for _, k := range keys {
		if seen[k] {
			continue
		}
		seen[k] = true
		var err error
		docs, err = l.documents(ctx, docs, `bucket = ? AND "archiveId" = ? AND "userId" = ? `+inOrder, k.Bucket, k.ArchiveID, k.UserID)
		if err != nil {
			return nil, failed(ctx, "read rows of the catalog", err)
		}
	}
	slices.SortFunc(docs, func(a, b catalog.Document) int {
		return cmp.Or(cmp.Compare(a.Bucket, b.Bucket), cmp.Compare(a.ArchiveID, b.ArchiveID),
			cmp.Compare(a.UserID, b.UserID), cmp.Compare(a.Name, b.Name))
	})
	return docs, nil
}

// unknown counts the rows whose URI begins with no known scheme.
func (l *sqlite) unknown(ctx context.Context, buckets []string) (n int64, err error) {
	where, args := conditions(catalog.Selection{Buckets: buckets}, nil)
	for _, scheme := range drivers.Schemes {
		where += ` AND substr(content_url, 1, ?) <> ?`
		args = append(args, len(scheme), scheme)
	}
	err = l.db.QueryRowContext(ctx, `SELECT count(content_url) FROM archive_metadata WHERE `+where, args...).Scan(&n)
	return n, err
}

func (l *sqlite) Places(ctx context.Context, forms []catalog.Form, fn func(form int, odd bool, place string) error) error {
	for i, f := range forms {
		told := make(map[string]bool)
		for _, known := range f.Known {
			told[known] = true
		}
		err := l.eachURI(ctx, f.Scheme, func(d catalog.Document) error {
			place, made := strings.CutSuffix(d.URI, tail(d, f.Hashed))
			if made && told[place] {
				return nil
			}
			if made {
				told[place] = true
			}
			return fn(i, !made, place)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

var awkwardKey = regexp.MustCompile(catalog.AwkwardKey)

func (l *sqlite) Awkward(ctx context.Context, scheme string, fn func(catalog.Document) error) error {
	return l.eachURI(ctx, scheme, func(d catalog.Document) error {
		if !awkwardKey.MatchString(tail(d, false)) {
			return nil
		}
		return fn(d)
	})
}

// Snapshot is the catalog itself: the file's one connection is not to be kept
// from who changes it.
func (l *sqlite) Snapshot(context.Context) (catalog.Snapshot, error) { return sqliteSnapshot{l}, nil }

type sqliteSnapshot struct{ *sqlite }

// Lasting is false.
func (sqliteSnapshot) Lasting() bool { return false }

// Close does nothing: the catalog stays open.
func (sqliteSnapshot) Close() {}

func (l *sqlite) Renamed(ctx context.Context, limit int) ([]drivers.Key, error) {
	docs, err := l.documents(ctx, nil, `"documentName" <> "archiveId" || '.json' LIMIT ?`, limit)
	if err != nil {
		return nil, failed(ctx, "look for documents under other names", err)
	}
	keys := make([]drivers.Key, len(docs))
	for i, d := range docs {
		keys[i] = d.Key
	}
	return keys, nil
}

// eachURI looks at a scheme's rows one by one: SQLite has no MD5.
func (l *sqlite) eachURI(ctx context.Context, scheme string, fn func(catalog.Document) error) error {
	const pageRows = 1000
	var after catalog.Position
	for {
		docs, err := l.Page(ctx, catalog.Selection{Prefix: scheme}, after, pageRows)
		if err != nil {
			return err
		}
		for _, d := range docs {
			after = d.After()
			if d.NoURI {
				continue
			}
			if err := fn(d); err != nil {
				return err
			}
		}
		if len(docs) < pageRows {
			return nil
		}
	}
}

// tail is what a URI made from the row's key ends with.
func tail(d catalog.Document, hashed bool) string {
	if !hashed {
		return d.UserID + "/" + d.Bucket + "/" + d.ArchiveID
	}
	id := fmt.Sprintf("%x", md5.Sum([]byte(d.ArchiveID)))
	return fmt.Sprintf("%x/%s/%s/%s.json", md5.Sum([]byte(d.UserID)), d.Bucket, id[:2], id)
}

func (l *sqlite) Users(ctx context.Context) ([]string, error) {
	rows, err := l.db.QueryContext(ctx, `SELECT DISTINCT "userId" FROM archive_metadata ORDER BY 1`)
	if err != nil {
		return nil, failed(ctx, "list the catalog's users", err)
	}
	users, err := appendRows(nil, rows, func() (user string, err error) {
		err = rows.Scan(&user)
		return user, err
	})
	return users, failed(ctx, "list the catalog's users", err)
}

func (l *sqlite) Commit(ctx context.Context, changes []catalog.Change) ([]bool, error) {
	applied := make([]bool, len(changes))
	if len(changes) == 0 {
		return applied, nil
	}
	doing := fmt.Sprintf("commit of %d documents", len(changes))
	if !l.lock.held() {
		return nil, fmt.Errorf("%s: %w", doing, errNotLocked)
	}
	err := transaction(ctx, l.db, func(tx *sql.Tx) error { return applyChanges(ctx, tx, changes, applied) })
	if err != nil {
		return nil, failed(ctx, doing, err)
	}
	return applied, nil
}

// applyChanges compares and swaps row by row, and says of each whether it did.
func applyChanges(ctx context.Context, tx *sql.Tx, changes []catalog.Change, applied []bool) error {
	update, err := tx.PrepareContext(ctx, `
		UPDATE archive_metadata SET content_url = ?, is_compressed = ?, digest = nullif(?, ''), size = nullif(?, -1), last_updated = ?
		WHERE bucket = ? AND "archiveId" = ? AND "userId" = ? AND "documentName" = ? AND content_url IS ?
		  AND coalesce(is_compressed, false) = ? AND lower(coalesce(digest, '')) = ? AND coalesce(size, -1) = ?`)
	if err != nil {
		return err
	}
	defer update.Close()
	now := time.Now().Unix()
	for i, c := range changes {
		d := c.Document
		var old any = d.URI
		if d.NoURI {
			old = nil
		}
		done, err := update.ExecContext(ctx, c.URI, c.Compressed, c.Digest, c.Bytes, now, d.Bucket, d.ArchiveID, d.UserID, d.Name, old,
			d.Compressed, d.Digest, d.Bytes)
		if err != nil {
			return err
		}
		n, err := done.RowsAffected()
		if err != nil {
			return err
		}
		applied[i] = n == 1
	}
	return nil
}

// transaction runs fn in a transaction.
func transaction(ctx context.Context, db *sql.DB, fn func(*sql.Tx) error) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // no effect once committed
	if err := fn(tx); err != nil {
		return err
	}
	return tx.Commit()
}
