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
	"encoding/binary"
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
