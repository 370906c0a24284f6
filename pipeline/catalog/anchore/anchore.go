// Package anchore is the catalog of an Anchore installation: the table
// archive_metadata, the migration tasks beside it, and the lock that Anchore's
// own migrations take. It works on PostgreSQL, as Anchore does, and on an
// SQLite file with the same tables, for demonstrations and tests.
package anchore

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/kedge/kedge/pipeline/catalog"
)

// Options says which database to open, and how. Exactly one of Postgres and
// SQLite is set.
type Options struct {
	// Postgres is a connection URL: postgresql://user:password@host:port/name. Its
	// pool_max_conns bounds the pool, which the drivers db and db2 share: 16 unless
	// it is given, and at least 4. The lock's session comes on top.
	Postgres string
	// SQLite is the path of a database file, which must exist.
	SQLite string
	// ConnectTimeout bounds one attempt to connect; 0 leaves it to the URL.
	ConnectTimeout time.Duration
	// StatementTimeout bounds each statement at the server; 0 sets no bound.
	// Waiting for the lock is not bounded by it.
	StatementTimeout time.Duration
	// Retries is how often connecting is tried again, with a pause, while the
	// server cannot be reached or is not ready. A refusal is not tried again.
	Retries int
	// LockPatience is how long the lock's session may leave a question unanswered
	// before the lock counts as lost; 0 is 30 s.
	LockPatience time.Duration
	// Silence is how long a statement may go without a byte of its answer before
	// its connection is given up; 0 is 10 minutes. Waiting for the lock is not
	// bounded by it.
	Silence time.Duration
	// Application is the application_name that the server shows, default
	// "kedge". The lock's session adds Command to it.
	Application string
	// Command is what takes the lock, default "migrate".
	Command string
}

// ErrOutcomeUnknown is in the chain of a Commit's error when the connection
// broke before the server had answered: the changes are either all applied or
// none of them is. Catalog.Rows tells.
var ErrOutcomeUnknown = errors.New("whether it was applied is not known")

// Catalog is an open catalog; it implements catalog.Catalog. All methods are
// safe for concurrent use.
type Catalog struct {
	database
	pool *pgxpool.Pool
	file *sql.DB
}

// database is what both kinds of database are to the Catalog.
type database interface{ catalog.Catalog }

var _ catalog.Catalog = (*Catalog)(nil)

// Open connects to the database and checks that Anchore's tables are there. No
// error holds the password.
func Open(ctx context.Context, o Options) (*Catalog, error) {
	if o.Application == "" {
		o.Application = "kedge"
	}
	switch {
	case o.Postgres != "" && o.SQLite != "":
		return nil, errors.New("both a PostgreSQL URL and an SQLite file are given as the database")
	case o.Postgres != "":
		p, err := openPostgres(ctx, o)
		if err != nil {
			return nil, err
		}
		return &Catalog{database: p, pool: p.pool}, nil
	case o.SQLite != "":
		l, err := openSQLite(ctx, o)
		if err != nil {
			return nil, err
		}
		return &Catalog{database: l, file: l.db}, nil
	default:
		return nil, errors.New("no database is given")
	}
}

// Postgres is the connection pool, nil on SQLite. It belongs to the Catalog:
// who shares it does not close it.
func (c *Catalog) Postgres() *pgxpool.Pool { return c.pool }

// SQLite is the database file, nil on PostgreSQL. It has one connection, so
// whoever holds a transaction or rows of it open keeps all others waiting. It
// belongs to the Catalog: who shares it does not close it.
func (c *Catalog) SQLite() *sql.DB { return c.file }

// tables are those of Anchore's that a catalog cannot do without.
var tables = []string{"archive_metadata", "tasks", "archive_migration_tasks"}
