// Package checkpoint keeps what an interrupted migration needs to go on, in one
// bbolt file: how far it has enumerated the catalog, the documents of the batches
// that were in flight, the documents that failed, and the counts so far.
//
// The catalog itself says where each document is. The checkpoint holds only what
// the catalog cannot say any more: the source of a document whose row already names
// the destination. So when a migration is killed between commit and delete, the next
// run finds that source and removes it. The checkpoint drops a batch that is done, so
// it stays small, whatever the number of documents.
package checkpoint

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/kedge/kedge/checkpoint/gather"
)

// version is the layout of the file; another one is refused.
const version = 1

var (
	bucketMeta     = []byte("meta")     // "header" -> Header as JSON
	bucketInFlight = []byte("inflight") // batch number, big endian -> entries
	bucketFailed   = []byte("failed")   // document key -> Failure
	keyHeader      = []byte("header")
)

// Identity tells one migration from another.
type Identity struct {
	// Fingerprint is equal for two runs exactly when the one may go on with
	// what the other left.
	Fingerprint string
	// Description says in one line what the migration does, without secrets,
	// for the message when a checkpoint of another migration is refused.
	Description string
}

// Identify gives the identity of the migration that is described so.
func Identify(description string) Identity {
	sum := sha256.Sum256([]byte(description))
	return Identity{Fingerprint: hex.EncodeToString(sum[:16]), Description: description}
}

// Counts are what a migration has done so far, over all its runs. Bytes are
// payload bytes as stored.
type Counts struct {
	Moved        int64 `json:"moved"`         // documents whose row names the destination now
	BytesRead    int64 `json:"bytes_read"`    // at the source
	BytesWritten int64 `json:"bytes_written"` // at the destination
	NoDigest     int64 `json:"no_digest"`     // moved documents whose row had no digest to check
	AlreadyThere int64 `json:"already_there"` // found done by an earlier, interrupted run
	// CopiedBefore are moved documents whose payloads stood at the destination already, by
	// the record of copies.
	CopiedBefore int64 `json:"copied_before,omitempty"`
	// Adopted are moved documents that were at the destination already, though their rows
	// named the source, where nothing was: the catalog had fallen back.
	Adopted int64 `json:"adopted,omitempty"`
	// Skipped are documents that nothing had to be done for.
	Skipped int64 `json:"skipped,omitempty"`
	// BytesCounted are the bytes of the moved and the skipped documents as they
	// were counted at the start: what their rows say, whatever was read.
	BytesCounted int64 `json:"bytes_counted,omitempty"`
}

// Add adds other to c.
func (c *Counts) Add(other Counts) {
	c.Moved += other.Moved
	c.BytesRead += other.BytesRead
	c.BytesWritten += other.BytesWritten
	c.NoDigest += other.NoDigest
	c.AlreadyThere += other.AlreadyThere
	c.CopiedBefore += other.CopiedBefore
	c.Adopted += other.Adopted
	c.Skipped += other.Skipped
	c.BytesCounted += other.BytesCounted
}

// Header is the checkpoint's state beside batches and failures.
type Header struct {
	Version     int       `json:"version"`
	Fingerprint string    `json:"fingerprint"`
	Description string    `json:"description"`
	Created     time.Time `json:"created"`
	// Since is when this pass over the catalog began, by the destination's clock: what
	// it says is older was put by somebody else. Zero where that is not known.
	Since time.Time `json:"since,omitzero"`
	// TaskID is the migration's row in the table tasks, 0 before there is one.
	TaskID int64 `json:"task_id"`
	// Documents is the number of documents to migrate, counted at the start.
	Documents int64 `json:"documents"`
	// Bytes is how many they have, as counted at the start; 0 in a file that an
	// older kedge began.
	Bytes int64 `json:"bytes,omitempty"`
	// Recorded says that what is committed is to be deleted by a record of copies.
	Recorded bool `json:"recorded,omitempty"`
	// Position is where enumeration goes on: behind the last batch intended.
	Position Position `json:"position"`
	// NextBatch is the number of the next batch.
	NextBatch uint64 `json:"next_batch"`
	// Finished says that enumeration reached its end and every batch is done:
	// what is left are failures.
	Finished bool `json:"finished"`
	// JournalBytes is the length of the journal when the last batch was done.
	JournalBytes int64  `json:"journal_bytes,omitempty"`
	Counts       Counts `json:"counts"`
}

// MismatchError says that the file belongs to another migration.
type MismatchError struct {
	What       string // what the file is; "" for a checkpoint
	Path       string
	Is, Wanted string // descriptions
}

// Error tells both migrations in one line.
func (e *MismatchError) Error() string {
	return fmt.Sprintf("%s %s belongs to another migration (%s), not to this one (%s): finish that one, or give another --checkpoint", orCheckpoint(e.What), e.Path, e.Is, e.Wanted)
}

// InUseError says that another process has the file open.
type InUseError struct {
	What string // what the file is; "" for a checkpoint
	Path string
}

// Error tells which file.
func (e *InUseError) Error() string {
	return fmt.Sprintf("%s %s is in use by another kedge", orCheckpoint(e.What), e.Path)
}

func orCheckpoint(what string) string { return cmp.Or(what, "checkpoint") }

// Checkpoint is an open checkpoint file. Its methods are safe for concurrent
// use. Changes are written by one goroutine that gathers what has come in
// meanwhile into one transaction, so that many batches share one fsync.
type Checkpoint struct {
	path    string
	db      *bolt.DB
	resumed bool

	mu     sync.Mutex // guards header
	header Header

	writer *gather.Writer
	last   Header // of the last change that was applied; the writer's own
}

// Open opens the checkpoint of a migration, or makes a new one (mode 0600, its
// folder 0700). It fails with *MismatchError for the file of another migration
// and *InUseError while another process has it.
func Open(path string, id Identity) (*Checkpoint, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("make the checkpoint's folder: %w", err)
	}
	db, err := bolt.Open(path, 0o600, &bolt.Options{Timeout: time.Second, FreelistType: bolt.FreelistMapType, NoFreelistSync: true})
	if err != nil {
		return nil, openError(path, err)
	}
	c := &Checkpoint{path: path, db: db}
	if err := c.load(id); err != nil {
		_ = db.Close()
		return nil, err
	}
	c.start()
	return c, nil
}

// load reads the header, or writes the first one.
func (c *Checkpoint) load(id Identity) error {
	return c.db.Update(func(tx *bolt.Tx) error {
		for _, name := range [][]byte{bucketMeta, bucketInFlight, bucketFailed} {
			if _, err := tx.CreateBucketIfNotExists(name); err != nil {
				return fmt.Errorf("write checkpoint %s: %w", c.path, err)
			}
		}
		raw := tx.Bucket(bucketMeta).Get(keyHeader)
		if raw == nil {
			c.header = Header{Version: version, Fingerprint: id.Fingerprint, Description: id.Description, Created: time.Now().UTC(), NextBatch: 1}
			return c.putHeader(tx, c.header)
		}
		c.resumed = true
		return c.accept(raw, id)
	})
}

func (c *Checkpoint) putHeader(tx *bolt.Tx, h Header) error {
	raw, err := json.Marshal(h)
	if err != nil {
		return err
	}
	return tx.Bucket(bucketMeta).Put(keyHeader, raw)
}

// Path is the file's path.
func (c *Checkpoint) Path() string { return c.path }

// Resumed says that the file was there already.
func (c *Checkpoint) Resumed() bool { return c.resumed }

// Header gives the state as it will be once all changes asked for are durable.
func (c *Checkpoint) Header() Header {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.header
}

// Begin starts a new pass over the catalog: position and counts from zero, with
// this task and this number of documents and bytes, at this time by the
// destination's clock. Failures stay until they are cleared.
func (c *Checkpoint) Begin(taskID, documents, bytes int64, since time.Time) *Ticket {
	return c.change(func(h *Header) {
		h.Since = since
		h.TaskID, h.Documents, h.Bytes = taskID, documents, bytes
		h.Position, h.Finished, h.Counts = Position{}, false, Counts{}
	}, nil)
}

// Finish marks the pass as ended: every batch is done.
func (c *Checkpoint) Finish() *Ticket {
	return c.change(func(h *Header) { h.Finished = true }, nil)
}

// Flush gives a ticket for all changes asked for before it.
func (c *Checkpoint) Flush() *Ticket {
	return c.change(func(*Header) {}, nil)
}

// Intend records a batch before anything is changed for it, and that
// enumeration goes on behind it. Batches must be intended in the order of
// enumeration. It returns the batch's number; the batch is durable when the
// ticket is.
func (c *Checkpoint) Intend(entries []Entry, position Position) (uint64, *Ticket) {
	raw := encodeEntries(entries)
	var number uint64
	ticket := c.change(func(h *Header) {
		number = h.NextBatch
		h.NextBatch++
		h.Position = position
	}, func(tx *bolt.Tx) error {
		return tx.Bucket(bucketInFlight).Put(batchKey(number), raw)
	})
	return number, ticket
}

// Outcome is how a batch ended.
type Outcome struct {
	Counts Counts
	// Failed are the documents that stay behind, Cleared those whose earlier
	// failure, if any, is over.
	Failed  []Failure
	Cleared []Entry
	// JournalBytes is the durable length of the journal; 0 leaves it.
	JournalBytes int64
}

// Done drops a batch and records how it ended. The outcome's slices must not be
// changed afterwards.
func (c *Checkpoint) Done(number uint64, o Outcome) *Ticket {
	return c.change(func(h *Header) {
		h.Counts.Add(o.Counts)
		h.JournalBytes = max(h.JournalBytes, o.JournalBytes)
	}, func(tx *bolt.Tx) error {
		if err := tx.Bucket(bucketInFlight).Delete(batchKey(number)); err != nil {
			return err
		}
		failed := tx.Bucket(bucketFailed)
		for _, e := range o.Cleared {
			if err := failed.Delete(e.documentKey()); err != nil {
				return err
			}
		}
		for _, f := range o.Failed {
			if err := failed.Put(f.documentKey(), f.encode()); err != nil {
				return err
			}
		}
		return nil
	})
}

// ClearFailures drops the failures for which drop returns true.
func (c *Checkpoint) ClearFailures(drop func(Failure) bool) error {
	return c.db.Update(func(tx *bolt.Tx) error {
		cursor := tx.Bucket(bucketFailed).Cursor()
		k, v := cursor.First()
		for k != nil {
			f, err := decodeFailure(v)
			if err != nil {
				return fmt.Errorf("checkpoint %s is damaged: %w", c.path, err)
			}
			if !drop(f) {
				k, v = cursor.Next()
				continue
			}
			key := append([]byte(nil), k...)
			if err := cursor.Delete(); err != nil {
				return err
			}
			// What a cursor points at after Delete is not promised.
			k, v = cursor.Seek(key)
		}
		return nil
	})
}

// InFlight gives the batches that were intended and never done, oldest first.
func (c *Checkpoint) InFlight(fn func(number uint64, entries []Entry) error) error {
	return c.db.View(func(tx *bolt.Tx) error {
		return tx.Bucket(bucketInFlight).ForEach(func(k, v []byte) error {
			entries, err := decodeEntries(v)
			if err != nil || len(k) != 8 {
				return fmt.Errorf("checkpoint %s is damaged: batch %x: %w", c.path, k, err)
			}
			return fn(binary.BigEndian.Uint64(k), entries)
		})
	})
}

// Failures gives the failed documents in order of their keys, starting behind
// after (nil: at the first), until fn returns false. It returns the key of the
// last one given, for the next call.
func (c *Checkpoint) Failures(after []byte, fn func(Failure) bool) ([]byte, error) {
	last := after
	err := c.db.View(func(tx *bolt.Tx) error {
		cursor := tx.Bucket(bucketFailed).Cursor()
		k, v := cursor.First()
		if after != nil {
			if k, v = cursor.Seek(after); k != nil && string(k) == string(after) {
				k, v = cursor.Next()
			}
		}
		for ; k != nil; k, v = cursor.Next() {
			f, err := decodeFailure(v)
			if err != nil {
				return fmt.Errorf("checkpoint %s is damaged: %w", c.path, err)
			}
			last = append([]byte(nil), k...)
			if !fn(f) {
				return nil
			}
		}
		return nil
	})
	return last, err
}

// HasFailed says whether a document is among the failures.
func (c *Checkpoint) HasFailed(e Entry) (failed bool, err error) {
	err = c.db.View(func(tx *bolt.Tx) error {
		failed = tx.Bucket(bucketFailed).Get(e.documentKey()) != nil
		return nil
	})
	return failed, err
}

// Recount changes the number of documents to migrate, and of their bytes.
func (c *Checkpoint) Recount(documents, bytes int64) *Ticket {
	return c.change(func(h *Header) { h.Documents, h.Bytes = documents, bytes }, nil)
}

// Record notes that what is committed from now on is to be deleted by a record of copies,
// or, with false, that there is none any more.
func (c *Checkpoint) Record(recorded bool) *Ticket {
	return c.change(func(h *Header) { h.Recorded = recorded }, nil)
}

// Count adds to the counts what needed no batch.
func (c *Checkpoint) Count(counts Counts) *Ticket {
	return c.change(func(h *Header) { h.Counts.Add(counts) }, nil)
}

// Close writes what is still waiting and closes the file. It returns the first
// error of any write.
func (c *Checkpoint) Close() error {
	return errors.Join(c.writer.Close(), c.db.Close())
}

// Remove deletes the file of a closed checkpoint; that it is gone is no error.
func Remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove checkpoint: %w", err)
	}
	return nil
}

func batchKey(number uint64) []byte {
	return binary.BigEndian.AppendUint64(nil, number)
}
