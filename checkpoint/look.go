package checkpoint

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

// Summary is what a checkpoint tells somebody who only looks at it.
type Summary struct {
	Header
	// InFlight counts the documents of batches that were intended and not done.
	InFlight int64
	// Failed counts the documents that had failed, by class.
	Failed map[string]int64
}

// Look reads the checkpoint of a migration without changing or making anything;
// nil where there is none. It fails as Open does: with *MismatchError for the
// file of another migration and *InUseError while a migration has it open.
func Look(path string, id Identity) (*Summary, error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist), err == nil && info.Size() == 0:
		return nil, nil // one of no length was made and never written to
	case err != nil:
		return nil, fmt.Errorf("look at the checkpoint: %w", err)
	}
	db, err := bolt.Open(path, 0o600, &bolt.Options{Timeout: time.Second, ReadOnly: true})
	if err != nil {
		return nil, openError(path, err)
	}
	c := &Checkpoint{path: path, db: db}
	s, err := c.summary(id)
	if cerr := db.Close(); err == nil && cerr != nil {
		err = fmt.Errorf("look at the checkpoint: %w", cerr)
	}
	return s, err
}

// openError tells why a checkpoint could not be opened.
func openError(path string, err error) error {
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return &InUseError{Path: path}
	case errors.Is(err, bolterrors.ErrInvalid), errors.Is(err, bolterrors.ErrChecksum), errors.Is(err, bolterrors.ErrVersionMismatch):
		return fmt.Errorf("%s is not a checkpoint of kedge, or is damaged: %w", path, err)
	default:
		return fmt.Errorf("open checkpoint: %w", err)
	}
}

// summary reads everything. A file of which only the first transaction is
// missing holds nothing yet.
func (c *Checkpoint) summary(id Identity) (*Summary, error) {
	found := false
	err := c.db.View(func(tx *bolt.Tx) error {
		meta := tx.Bucket(bucketMeta)
		if meta == nil || meta.Get(keyHeader) == nil {
			return nil
		}
		found = true
		return c.accept(meta.Get(keyHeader), id)
	})
	if err != nil || !found {
		return nil, err
	}
	s := &Summary{Header: c.header, Failed: make(map[string]int64)}
	if err := c.InFlight(func(_ uint64, entries []Entry) error {
		s.InFlight += int64(len(entries))
		return nil
	}); err != nil {
		return nil, err
	}
	_, err = c.Failures(nil, func(f Failure) bool {
		s.Failed[f.Class]++
		return true
	})
	return s, err
}

// accept takes a header that was read, if it is this migration's.
func (c *Checkpoint) accept(raw []byte, id Identity) error {
	if err := json.Unmarshal(raw, &c.header); err != nil {
		return fmt.Errorf("checkpoint %s is damaged: %w", c.path, err)
	}
	if c.header.Version != version {
		return fmt.Errorf("checkpoint %s has version %d, this kedge writes %d: finish the migration with the kedge that began it", c.path, c.header.Version, version)
	}
	if c.header.Fingerprint != id.Fingerprint {
		return &MismatchError{Path: c.path, Is: c.header.Description, Wanted: id.Description}
	}
	return nil
}
