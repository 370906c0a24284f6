package checkpoint

import (
	"fmt"

	bolt "go.etcd.io/bbolt"
)

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
