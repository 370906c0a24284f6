package copies

import (
	"errors"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/kedge/kedge/pipeline/catalog"
)

// Glance gives the entries of documents as Find does, and the header, of a record that is
// not open. It changes nothing, and keeps the file only while it looks: who opens it
// meanwhile waits for a moment. It fails as Open does, and at once with
// *checkpoint.InUseError while somebody has the record open. One that was made and never
// written to has no entries.
func Glance(path string, o Opening, documents []catalog.Document) (found []Copy, h Header, err error) {
	db, err := bolt.Open(path, 0o600, &bolt.Options{ReadOnly: true, Timeout: time.Nanosecond})
	if err != nil {
		return nil, h, openError(path, err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	r := newRecord(path, db, o)
	written := false
	err = db.View(func(tx *bolt.Tx) error {
		meta := tx.Bucket(bucketMeta)
		if written = meta != nil && meta.Get(keyHeader) != nil; !written {
			return nil
		}
		return r.loadWritten(tx, o.Identity)
	})
	if err != nil || !written {
		return make([]Copy, len(documents)), h, err
	}
	found, err = r.Find(documents)
	return found, r.header, err
}
