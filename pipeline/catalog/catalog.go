// Package catalog defines what the pipeline needs of a catalog: the record of
// which documents exist and where the payload of each one is. For Anchore that
// is the table archive_metadata (package catalog/anchore).
package catalog

import (
	"context"
	"fmt"
	"time"

	"github.com/kedge/kedge/drivers"
)

// Document is one row of the catalog as it was read.
type Document struct {
	drivers.Key
	// Name is documentName, the fourth part of the primary key: normally
	// ArchiveID + ".json", but not always.
	Name string
	// URI is content_url. NoURI says that it is NULL: a broken row.
	URI   string
	NoURI bool
	// Compressed is is_compressed (NULL is false).
	Compressed bool
	// Digest is the MD5 of the payload as stored, in lower-case hex; "" where
	// the row has none.
	Digest string
	// Bytes is the length of the payload as stored; -1 where the row has none.
	Bytes int64
}

// Position is a place in the catalog's order (bucket, archiveId, userId,
// documentName): just behind one document. The zero Position is the start.
type Position struct {
	Bucket, ArchiveID, UserID, Name string
}

// After is the position just behind d.
func (d Document) After() Position {
	return Position{Bucket: d.Bucket, ArchiveID: d.ArchiveID, UserID: d.UserID, Name: d.Name}
}

// Selection says which rows a migration is about.
type Selection struct {
	// Prefix selects rows whose URI begins with it; compared byte by byte, not
	// as a pattern.
	Prefix string
	// Buckets keeps only these logical buckets; all of them when empty.
	Buckets []string
}

// Totals counts a selection.
type Totals struct {
	// Documents and Bytes count the rows selected by prefix; Bytes is the sum
	// of their sizes as stored, rows without a size counting 0.
	Documents, Bytes int64
	// NoURI counts rows (of the selected buckets) whose URI is NULL.
	NoURI int64
	// NoDigest counts selected rows without a digest.
	NoDigest int64
	// Unknown counts rows (of the selected buckets) whose URI begins with none
	// of drivers.Schemes.
	Unknown int64
}

// Change is a new place for one document. It is applied only if the row's URI,
// digest, size and compression still are what Document says.
type Change struct {
	Document   Document
	URI        string
	Compressed bool
	Digest     string
	Bytes      int64
}

// Form is how the URIs of a scheme's rows are made from their keys: something,
// and then userId/bucket/archiveId or, when Hashed, localfs's path of MD5s.
type Form struct {
	Scheme string
	Hashed bool
	// Known are the prefixes that nobody has to be told of, at least one.
	Known []string
}

// Strays are rows, whenever they were changed, of any bucket, that name a place which
// begins with Prefix, and from which their own key cannot be told: it is not made from
// that key (as Form says, for Hashed), or it could be made from another key as well,
// because a part of the key has a slash. The zero value looks for none.
type Strays struct {
	Prefix string
	Hashed bool
	// Found is called with each one's place. An error of it ends the look, and is returned.
	Found func(uri string) error
}

// AwkwardKey is a regular expression for userId/bucket/archiveId: keys with what a
// URL parser or an HTTP client acts upon.
const AwkwardKey = `[?#\t\r\n]|(^|/)[.][.]?(/|$)`

// Reader reads a catalog. Its methods are safe for concurrent use, but for those
// of a Snapshot.
type Reader interface {
	// Count counts a selection, without the help of an index that may be damaged.
	Count(ctx context.Context, s Selection) (Totals, error)

	// Page reads at most limit rows behind after, in the catalog's order: those
	// selected, and those of the selected buckets whose URI is NULL. Fewer than
	// limit rows mean that the end is reached.
	Page(ctx context.Context, s Selection, after Position, limit int) ([]Document, error)

	// Rows reads every row that has one of these keys, whatever its name or
	// place.
	Rows(ctx context.Context, keys []drivers.Key) ([]Document, error)

	// Places looks once through the whole catalog at the rows of some schemes,
	// each given once, and calls fn with what their URIs say, each text once: where
	// the URI ends as its row's key makes it, with what comes before that, unless
	// it is known; and otherwise (odd) with the whole URI. form is the index of the
	// scheme's form. An error of fn ends it. Nothing else may be asked of the
	// Reader before it has returned.
	Places(ctx context.Context, forms []Form, fn func(form int, odd bool, place string) error) error

	// Awkward calls fn with the rows of a scheme whose key matches AwkwardKey. It may
	// scan the whole catalog. An error of fn ends it. Nothing else may be asked of
	// the Reader before it has returned.
	Awkward(ctx context.Context, scheme string, fn func(Document) error) error

	// Changed calls fn with the selected rows whose last_updated, in Unix seconds, is
	// since or later, in no particular order; where since is 0 also with those that
	// have none. Rows without a URI are not among them. latest is the largest
	// last_updated among them, since where there is none: whoever wrote a row set it
	// by its own clock, and before it committed. It looks once at the whole catalog,
	// without needing an index, and holds no more than a page of it. An error of fn
	// ends it and is returned. Nothing else may be asked of a Snapshot before it has
	// returned. In the same look it finds strays, if it is to.
	Changed(ctx context.Context, s Selection, since int64, strays Strays, fn func(Document) error) (latest int64, err error)

	// Naming says which of these URIs rows name, each once, by a scan of the whole
	// catalog: no index, which may be damaged, is asked.
	Naming(ctx context.Context, uris []string) ([]string, error)

	// Users lists the distinct user ids. It may scan the whole catalog.
	Users(ctx context.Context) ([]string, error)
}

// Snapshot reads the catalog as it was at one moment. It is not safe for
// concurrent use.
type Snapshot interface {
	Reader
	// Lasting says that the Snapshot goes on saying what the catalog said at that
	// moment, and keeps nobody waiting, whatever is changed meanwhile. One that is
	// not must be read before anything is changed.
	Lasting() bool
	// Close ends it; to close it again does nothing.
	Close()
}

// Catalog is a catalog of documents. All methods are safe for concurrent use.
type Catalog interface {
	Reader

	// Renamed reads the keys, at most limit of them, of rows whose documentName
	// is not archiveId + ".json": only these can share a key with another row.
	// It may scan the whole catalog.
	Renamed(ctx context.Context, limit int) ([]drivers.Key, error)

	// Snapshot begins to read the catalog as it is now.
	Snapshot(ctx context.Context) (Snapshot, error)

	// Pulse is a text that is another one after rows of the catalog were changed,
	// added or removed by anybody, and costs next to nothing whatever the catalog's
	// size. "" says that the database cannot tell. It may also be another one
	// although nothing has changed. What was committed before Pulse was asked may show
	// in it later only: on SQLite never, on PostgreSQL within a minute, before version
	// 15 not before the session that made the change does something else or ends. So
	// a Pulse that is asked before the catalog is read, and is the same afterwards,
	// spares reading it once more for a while, and is never a proof.
	Pulse(ctx context.Context) (string, error)

	// Commit applies changes in one transaction, through the session that holds
	// the lock, and says of each whether it was applied; one that was not found
	// its row changed or gone. When it returns without error, the changes are
	// durable. Only after Lock.
	Commit(ctx context.Context, changes []Change) ([]bool, error)

	// CommitRate measures how many rows a second Commit can change here, so many in
	// a transaction, within about a second: with copies of some of the catalog's rows
	// that only this session sees. No row is changed, and nothing of it is left. It
	// needs no lock. 0 where that cannot be found out: there are no rows, or nothing
	// may be written, or no temporary table made.
	CommitRate(ctx context.Context, batch int) (rowsPerSecond float64, err error)

	// Lock takes the migration lock that Anchore takes. Without wait it fails
	// with a *HeldError when somebody has it.
	Lock(ctx context.Context, wait bool) error
	// Holder says who holds the migration lock, nil if nobody does. It takes and
	// waits for nothing. A process that this computer cannot see is not found in
	// an SQLite file.
	Holder(ctx context.Context) (*HeldError, error)
	// Lost is closed when the session that holds the lock has ended without
	// Unlock: nothing more may be changed then.
	Lost() <-chan struct{}
	// Unlock gives the lock back.
	Unlock(ctx context.Context) error

	// StartTask writes a migration task in state running and returns its id. online
	// says that Anchore's services go on meanwhile; a table of an older installation
	// that cannot say so is not told.
	StartTask(ctx context.Context, from, to string, documents int64, online bool) (int64, error)
	// UpdateTask writes a task's state and counts; last_state becomes the state
	// before, where it differs. Ending states (complete, failed) set ended_at;
	// running clears it and writes this process as the executor.
	UpdateTask(ctx context.Context, id int64, state TaskState, documents, migrated int64) error
	// EndStale ends, as failed, other migration tasks that say running: while
	// this session holds the lock, none is.
	EndStale(ctx context.Context, except int64) error
	// Tasks lists all migration tasks in the order of their ids.
	Tasks(ctx context.Context) ([]Task, error)

	// Place identifies the catalog for messages and fingerprints, without any
	// secret.
	Place() string
	// Volatile says why what was committed may be gone after a crash or a restart,
	// each reason in one phrase; none where nothing is known against the catalog.
	Volatile(ctx context.Context) ([]string, error)
	// Close gives up the connections.
	Close() error
}

// TaskState is a state that Anchore's tasks table knows.
type TaskState string

// The states of a task.
const (
	TaskInitializing TaskState = "initializing"
	TaskPending      TaskState = "pending"
	TaskRunning      TaskState = "running"
	TaskComplete     TaskState = "complete"
	TaskFailed       TaskState = "failed"
)

// Task is a row of tasks joined with archive_migration_tasks. Times are UTC;
// the zero time is NULL.
type Task struct {
	ID                               int64
	State, LastState                 TaskState
	Created, Started, Ended, Updated time.Time
	Executor                         string
	From, To                         string
	Documents, Migrated              int64
	// Online is online_migration; NULL, and a table without that column, are false.
	Online bool
}

// HeldError says who holds the migration lock.
type HeldError struct {
	PID         int    // the holder's server process (PostgreSQL) or process, 0 if unknown
	Client      string // the holder's address, "local socket", or "" if unknown
	Application string
	User        string
	Since       time.Time // when the holder's session began; zero if unknown
}

// Error tells the holder in one line.
func (e *HeldError) Error() string {
	s := "another migration holds the lock (2, 1)"
	if e.PID != 0 {
		s += fmt.Sprintf(": pid %d", e.PID)
	}
	if e.Client != "" {
		s += " from " + e.Client
	}
	if e.Application != "" {
		s += fmt.Sprintf(" (%s)", e.Application)
	}
	if e.User != "" {
		s += " as " + e.User
	}
	if !e.Since.IsZero() {
		s += " since " + e.Since.UTC().Format("2006-01-02 15:04:05Z")
	}
	return s
}
