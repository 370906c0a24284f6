// Package db keeps payloads in an Anchore database: driver "db" in the table
// archive_document, as text or base64, and driver "db2" in the table
// object_storage, as bytes. Both work on PostgreSQL and on an SQLite file.
//
// # The rows
//
// archive_document has a fourth key column, documentName, which a URI does not
// hold. Anchore always names a row archiveId + ".json", reads by the three other
// columns and takes whichever row comes first. Here:
//
//   - Get reads the row with that name, or else the first by name.
//   - Put writes that row and removes others of the same three columns, so that
//     nobody can read what was replaced.
//   - Delete removes them all.
//   - List leaves out rows whose user or bucket is empty or holds a "/", because
//     the URI they would have is another key's.
//
// # Connections
//
// The driver shares its caller's pool. The reader of a long payload keeps one
// connection until it is closed. At most half of the pool is given to such readers,
// so that what they read can be written through the same pool. On SQLite nothing
// keeps a connection: a long payload passes through a temporary file without a name,
// in os.TempDir.
package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/kedge/kedge/drivers"
)

const (
	// inlineBytes is the longest payload that is read in one piece by Get.
	inlineBytes = 1 << 20
	// chunkBytes is the piece in which longer ones are read and written. It is a
	// multiple of 57, the bytes in a line of base64, so that pieces can be
	// encoded one by one.
	chunkBytes = 57 * 36792 // a little under 2 MiB
	// streamBytes is what a piece takes on its way: as it was read, as it is
	// sent, and what the buffers round up.
	streamBytes = 4 * chunkBytes
)

// Database is an open database. It is not closed by the drivers.
type Database struct {
	// Postgres is the pool to use. It has at least two connections, and its
	// sessions must not have synchronous_commit off.
	Postgres *pgxpool.Pool
	// SQLite is the file to use when Postgres is nil.
	SQLite *sql.DB
	// Place names the database for messages, without any secret. Whether the
	// database keeps what it is given is asked by whoever opened it; the drivers ask
	// it of their table only.
	Place string
}

// backend is a table on one kind of database. Its errors are as they came from
// the database, or failures; store makes them *drivers.Error.
type backend interface {
	// read gives the payloads of the keys that have one, those only of at most
	// limits[i] bytes whole.
	read(ctx context.Context, keys []drivers.Key, limits []int64) (map[int]found, error)
	// stream opens a payload of any length.
	stream(ctx context.Context, key drivers.Key) (io.ReadCloser, int64, error)
	// write stores payloads of different keys, and gives what the database says of
	// each.
	write(ctx context.Context, items []item) ([]stored, error)
	// writeStream stores a payload whose first piece has been read.
	writeStream(ctx context.Context, key drivers.Key, first []byte, rest *intake) (stored, error)
	remove(ctx context.Context, keys []drivers.Key) error
	// updated gives the Unix time at which a key's payload was written, nil where
	// there is none or it is not told.
	updated(ctx context.Context, key drivers.Key) (*int64, error)
	// page lists at most limit payloads behind after (from the beginning where
	// it is nil), in the order of the table's primary key.
	// proven has it compute MD5s.
	page(ctx context.Context, after *drivers.Key, limit int, proven bool) ([]entry, error)
	// versions says whether the database tells versions.
	versions() bool
}

// found is a payload that is there. data is nil when it is longer than the
// limit, and when none is set (null).
type found struct {
	data  []byte
	bytes int64
	null  bool
	err   error
	// version is that of the row, "" where the database has none.
	version string
}

// stored is what the database says of a payload that it has taken: the MD5 that it
// has computed of it, and the row's version; "" where it cannot.
type stored struct{ md5, version string }

// item is a payload to be stored.
type item struct {
	key  drivers.Key
	data []byte
}

// entry is a payload in a listing.
type entry struct {
	key   drivers.Key
	bytes int64
	stored
}

// store is a driver.
type store struct {
	name, place string
	compresses  bool
	workers     int
	streamBytes int64
	maxBytes    int64 // the longest payload that the database can hold
	volatile    string
	table       backend
}

var (
	_ drivers.Driver  = (*store)(nil)
	_ drivers.Batcher = (*store)(nil)
	_ drivers.Lister  = (*store)(nil)
	_ drivers.Prover  = (*store)(nil)
)

// OpenDB opens the driver db: table archive_document, URIs db://…, payloads
// never compressed. It fails with kind Config where the table is missing.
func OpenDB(ctx context.Context, d Database) (drivers.Driver, error) {
	return open(ctx, d, "db", documents)
}

// OpenDB2 opens the driver db2: table object_storage, URIs db2://…. It fails
// with kind Config where the table is missing.
func OpenDB2(ctx context.Context, d Database) (drivers.Driver, error) {
	return open(ctx, d, "db2", objects)
}

// table is one of the two tables: its name, what Anchore's drivers do with it,
// and its statements on both kinds of database.
type table struct {
	name       string
	compresses bool
	encodes    bool // payloads are text, and base64 where they cannot be
	postgres   postgresStatements
	sqlite     sqliteStatements
}

func open(ctx context.Context, d Database, name string, t table) (drivers.Driver, error) {
	s := &store{name: name, place: name + ":// in " + d.Place, compresses: t.compresses, streamBytes: streamBytes}
	var err error
	switch {
	case d.Postgres != nil:
		s.workers, s.maxBytes = 8, postgresMaxBytes
		s.table, err = openPostgres(ctx, d.Postgres, t)
		if err == nil {
			s.volatile, err = unlogged(ctx, d.Postgres, t.name)
		}
	case d.SQLite != nil:
		s.workers, s.maxBytes = 2, sqliteMaxBytes
		s.table, err = openSQLite(ctx, d.SQLite, t)
	default:
		err = failure{drivers.Config, errors.New("no database is given")}
	}
	if err != nil {
		return nil, fail(ctx, "open", s.place, err)
	}
	return s, nil
}

func (s *store) Name() string   { return s.name }
func (s *store) Scheme() string { return s.name + "://" }
func (s *store) Prefix() string { return s.name + "://" }
func (s *store) Place() string  { return s.place }

// Close does nothing: the database belongs to who gave it.
func (s *store) Close() error { return nil }

func (s *store) Capabilities() drivers.Capabilities {
	return drivers.Capabilities{
		Compresses:  s.compresses,
		ParsesURI:   true,
		BatchGet:    true,
		BatchPut:    true,
		BatchDelete: true,
		Lists:       true,
		ListTells:   s.table.versions(),
		ListProves:  true,
		StreamBytes: s.streamBytes, GetStreamBytes: s.streamBytes,
		Workers:  s.workers,
		Volatile: s.volatile,
	}
}

// tooLong is the failure of a payload that the database cannot hold.
func (s *store) tooLong(bytes int64) error {
	return failure{drivers.TooLarge, fmt.Errorf("the payload has %d bytes, the database holds at most %d in one", bytes, s.maxBytes)}
}
