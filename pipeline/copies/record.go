package copies

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/kedge/kedge/checkpoint"
	"github.com/kedge/kedge/checkpoint/gather"
	"github.com/kedge/kedge/drivers"
)

// version is the layout of the file; another one is refused.
const version = 1

// what the file is called in messages.
const what = "record of copies"

var (
	bucketMeta     = []byte("meta")
	bucketBuckets  = []byte("buckets")  // number -> Anchore's logical bucket
	bucketIntended = []byte("intended") // key -> value
	bucketCopies   = []byte("copies")   // key -> value
	keyHeader      = []byte("header")   // Header as JSON
	keyCounts      = []byte("counts")   // varints, by state
	keyPlaces      = []byte("places")   // the URIs that the stores make of placesKey, as JSON
)

// placesKey is the document by whose URIs the stores of the file are known again: the
// file leaves away the URIs that they make.
var placesKey = drivers.Key{UserID: "user", Bucket: "bucket", ArchiveID: "archive"}

// Header is the record's state beside its entries.
type Header struct {
	Version     int       `json:"version"`
	Fingerprint string    `json:"fingerprint"`
	Description string    `json:"description"`
	Created     time.Time `json:"created"`
	// TaskID is the row in the table tasks, 0 before there is one.
	TaskID int64 `json:"task_id,omitempty"`
	// TaskCreated is when that row was made, as the row says it: a database that was restored
	// gives the same number again. Zero where the record does not know it.
	TaskCreated time.Time `json:"task_created,omitzero"`
	// Began is when the first of the copies may have been put, by the clock of the store
	// that the way there leads to.
	Began time.Time `json:"began,omitzero"`
	// Deleting says that a migration has begun to delete sources.
	Deleting bool `json:"deleting,omitempty"`
	// Suspect says that payloads were deleted at the destination that may have been copies:
	// none is to be believed that was not looked at.
	Suspect bool `json:"suspect,omitempty"`
	// Keeping says that the last migration was one with --nodelete, so that what a killed
	// one has committed and not recorded is kept.
	Keeping bool `json:"keeping,omitempty"`
	// Rounds counts how often the catalog has been looked through to its end.
	Rounds int64 `json:"rounds,omitempty"`
	// Since is the last_updated up to which it has been.
	Since int64 `json:"since,omitempty"`
	// Moved is how fast documents were copied in the round that has copied most of them.
	Moved Moved `json:"moved,omitzero"`
	// Pulse is what the catalog said of its changes at that time; the catalog's own text.
	Pulse string `json:"pulse,omitempty"`
}

// Moved are documents that were copied in some time.
type Moved struct {
	Documents int64         `json:"documents"`
	Bytes     int64         `json:"bytes"`
	Took      time.Duration `json:"took"` // in nanoseconds
}

// Opening says which record is opened, and how.
type Opening struct {
	Identity checkpoint.Identity
	// Source and Destination make the URIs of the run's stores. The file leaves them
	// away: with other stores it is refused.
	Source, Destination func(drivers.Key) (string, error)
	// Turned opens the record of the way there on the way back: the run's source is the
	// record's destination.
	Turned bool
}

// Record is an open record of copies. Its methods are safe for concurrent use. Beside
// the database's own pages it holds nothing that grows with the entries. Changes come
// into the file in the order in which they are asked for, many of them with one fsync,
// each as a whole.
type Record struct {
	path   string
	db     *bolt.DB
	turned bool
	places places // those of the file
	writer *gather.Writer

	asking sync.Mutex // guards header, and that its changes are asked for in their order
	header Header

	numbers numbers
	// touched counts entries since the file's pages were let go.
	touched atomic.Int64

	mu     sync.Mutex    // guards counts; the writer takes it
	counts [states]int64 // as durable, by the file's states

	// The writer's own.
	last    Header
	written [states]int64
}

// Path is where the record of the migration with this checkpoint is.
func Path(checkpoint string) string { return checkpoint + ".copies" }

// Exists says whether there is a record. It neither opens nor changes it.
func Exists(path string) (bool, error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("look for the %s: %w", what, err)
	default:
		return info.Size() > 0, nil
	}
}

// Remove deletes the file of a closed record; that it is gone is no error.
func Remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove the %s: %w", what, err)
	}
	return nil
}

// DamagedError says that the file is no record, or cannot be read any more.
type DamagedError struct {
	Path string
	Err  error
}

// Error tells the file and the mend.
func (e *DamagedError) Error() string {
	return fmt.Sprintf("%s %s is damaged (%v): remove it, and run the same command again; without it kedge copies or proves again what stands at the destination, and nothing else is lost", what, e.Path, e.Err)
}

// Unwrap gives the cause.
func (e *DamagedError) Unwrap() error { return e.Err }

// Open opens a migration's record, or makes a new one (mode 0600, its folder 0700). It
// fails with *checkpoint.MismatchError for another migration's, with
// *checkpoint.InUseError while another process has it, and with *DamagedError.
func Open(path string, o Opening) (*Record, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("make the folder of the %s: %w", what, err)
	}
	db, err := bolt.Open(path, 0o600, &bolt.Options{Timeout: time.Second, FreelistType: bolt.FreelistMapType, NoFreelistSync: true})
	if err != nil {
		return nil, openError(path, err)
	}
	db.AllocSize = allocBytes
	r := newRecord(path, db, o)
	if err := r.load(o.Identity); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	r.writer = gather.New(gather.Options{DB: db, What: what + " " + path, Last: r.finish, Point: "recorded"})
	return r, nil
}

func newRecord(path string, db *bolt.DB, o Opening) *Record {
	r := &Record{path: path, db: db, turned: o.Turned, places: places{source: o.Source, destination: o.Destination}}
	if o.Turned {
		r.places = r.places.turned()
	}
	return r
}

// openError tells why a record could not be opened.
func openError(path string, err error) error {
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return &checkpoint.InUseError{What: what, Path: path}
	case errors.Is(err, bolterrors.ErrInvalid), errors.Is(err, bolterrors.ErrChecksum), errors.Is(err, bolterrors.ErrVersionMismatch):
		return &DamagedError{Path: path, Err: err}
	default:
		return fmt.Errorf("open the %s: %w", what, err)
	}
}

// allocBytes is by how much the file grows.
const allocBytes = 4 << 20

// load reads what stands beside the entries, or writes the first of it.
func (r *Record) load(id checkpoint.Identity) error {
	return r.db.Update(func(tx *bolt.Tx) error {
		for _, name := range [][]byte{bucketMeta, bucketBuckets, bucketIntended, bucketCopies} {
			if _, err := tx.CreateBucketIfNotExists(name); err != nil {
				return fmt.Errorf("write %s %s: %w", what, r.path, err)
			}
		}
		meta := tx.Bucket(bucketMeta)
		if meta.Get(keyHeader) == nil {
			r.last = Header{Version: version, Fingerprint: id.Fingerprint, Description: id.Description, Created: time.Now().UTC().Truncate(time.Second)}
			r.header = r.last
			return errors.Join(meta.Put(keyPlaces, r.known()), r.finish(tx))
		}
		return r.loadWritten(tx, id)
	})
}

// loadWritten is load of a record that has been written to.
func (r *Record) loadWritten(tx *bolt.Tx, id checkpoint.Identity) error {
	meta := tx.Bucket(bucketMeta)
	if err := r.numbers.read(tx.Bucket(bucketBuckets)); err != nil {
		return &DamagedError{Path: r.path, Err: err}
	}
	if err := r.accept(meta.Get(keyHeader), id); err != nil {
		return err
	}
	if string(meta.Get(keyPlaces)) != string(r.known()) {
		return &checkpoint.MismatchError{What: what, Path: r.path, Is: r.header.Description + ", with other places", Wanted: id.Description}
	}
	var ok bool
	if r.counts, ok = readCounts(meta.Get(keyCounts)); !ok {
		return &DamagedError{Path: r.path, Err: errors.New("its counts cannot be read")}
	}
	r.last, r.written = r.header, r.counts
	return nil
}

// accept takes a header that was read, if it is this migration's.
func (r *Record) accept(raw []byte, id checkpoint.Identity) error {
	if err := json.Unmarshal(raw, &r.header); err != nil {
		return &DamagedError{Path: r.path, Err: err}
	}
	if r.header.Version != version {
		return fmt.Errorf("%s %s has version %d, this kedge writes %d: go on with the kedge that began it, or remove it, which costs copying or proving again", what, r.path, r.header.Version, version)
	}
	if r.header.Fingerprint != id.Fingerprint {
		return &checkpoint.MismatchError{What: what, Path: r.path, Is: r.header.Description, Wanted: id.Description}
	}
	return nil
}

// known is by what the stores are known again.
func (r *Record) known() []byte {
	var uris [2]string
	for i, store := range []func(drivers.Key) (string, error){r.places.source, r.places.destination} {
		if uri, err := store(placesKey); err == nil {
			uris[i] = uri
		}
	}
	raw, _ := json.Marshal(uris) // two strings
	return raw
}

// finish ends a transaction: with the header and the counts.
func (r *Record) finish(tx *bolt.Tx) error {
	raw, err := json.Marshal(r.last)
	if err != nil {
		return err
	}
	meta := tx.Bucket(bucketMeta)
	if err := errors.Join(meta.Put(keyHeader, raw), meta.Put(keyCounts, appendCounts(r.written))); err != nil {
		return err
	}
	counts := r.written
	tx.OnCommit(func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.counts = counts
	})
	return nil
}

func appendCounts(counts [states]int64) (b []byte) {
	for _, n := range counts {
		b = binary.AppendVarint(b, n)
	}
	return b
}

func readCounts(b []byte) (counts [states]int64, ok bool) {
	r := &reader{rest: b}
	for i := range counts {
		counts[i] = r.varint()
	}
	return counts, r.err == nil && len(r.rest) == 0
}

// Path is the file's path.
func (r *Record) Path() string { return r.path }

// Header gives the state as it will be once all changes asked for are durable.
func (r *Record) Header() Header {
	r.asking.Lock()
	defer r.asking.Unlock()
	return r.header
}

// Update changes the header. Version and fingerprint must stay.
func (r *Record) Update(update func(*Header)) *checkpoint.Ticket {
	r.asking.Lock()
	defer r.asking.Unlock()
	update(&r.header)
	header := r.header
	return r.writer.Change(func(*bolt.Tx) error {
		r.last = header
		return nil
	})
}

// Counts gives how many durable entries there are of each state that has any.
func (r *Record) Counts() map[State]int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	counts := make(map[State]int64)
	for s, n := range r.counts {
		if n != 0 {
			counts[r.seen(State(s))] = n
		}
	}
	return counts
}

// Bytes is the length of the file in bytes, 0 where it cannot be told.
func (r *Record) Bytes() int64 {
	info, err := os.Stat(r.path)
	if err != nil {
		return 0
	}
	return info.Size()
}

// Close writes what is still waiting and closes the file. It returns the first error of
// any write.
func (r *Record) Close() error { return errors.Join(r.writer.Close(), r.db.Close()) }

// seen is a state of the file as the run sees it, or the reverse.
func (r *Record) seen(s State) State {
	if r.turned {
		return s.turned()
	}
	return s
}

// seenCopy is an entry of the file as the run sees it, or the reverse.
func (r *Record) seenCopy(c Copy) Copy {
	if r.turned {
		return c.turned()
	}
	return c
}
