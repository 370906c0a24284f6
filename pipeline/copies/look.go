package copies

import (
	"slices"

	bolt "go.etcd.io/bbolt"

	"github.com/kedge/kedge/pipeline/catalog"
)

// scanEntries bounds how many entries one read transaction goes through: what is changed
// during a long one makes the file grow.
const scanEntries = 4096

// Find gives the durable entries of documents, one for each, by key and name. Where there
// is none its state is None.
func (r *Record) Find(documents []catalog.Document) ([]Copy, error) {
	found := make([]Copy, len(documents))
	err := r.db.View(func(tx *bolt.Tx) error {
		defer r.touch(tx, len(documents))
		intended, copied := tx.Bucket(bucketIntended), tx.Bucket(bucketCopies)
		for i, d := range documents {
			found[i] = Copy{Key: d.Key, Name: d.Name}
			number, known := r.numbers.of(d.Bucket, false)
			if !known {
				continue
			}
			key, _ := inFile(number, d.Key, d.Name)
			value := intended.Get(key)
			if value == nil {
				value = copied.Get(key)
			}
			if value == nil {
				continue
			}
			var err error
			if found[i], err = r.read(key, value); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return found, nil
}

// mappedEntries is how many entries are looked at before the file's pages are let go:
// some 8 MiB of it.
const mappedEntries = 1 << 16

// touch notes that so many more entries were looked at in a transaction that reads.
func (r *Record) touch(tx *bolt.Tx, entries int) {
	if r.touched.Add(int64(entries)) >= mappedEntries {
		r.touched.Store(0)
		letGo(tx)
	}
}

// read reads an entry as the run sees it.
func (r *Record) read(key, value []byte) (Copy, error) {
	c, err := r.places.read(key, value, r.numbers.bucket)
	if err != nil {
		return c, r.damaged(key, err)
	}
	return r.seenCopy(c), nil
}

// Cursor is a place in the file's order, just behind one entry. The zero Cursor is the
// start.
type Cursor struct {
	part int    // of parts
	key  string // "" is the start of the part
}

// parts are the buckets with entries in the file's order.
var parts = [][]byte{bucketCopies, bucketIntended}

// Each gives the next durable entries of some states, of all when none is named: at most
// limit of them, in the file's order, behind a cursor, and the cursor behind them. None
// are given only at the end. An entry whose state is changed to Intended or from it
// meanwhile may be given twice, or not.
func (r *Record) Each(after Cursor, limit int, wanted ...State) (copies []Copy, behind Cursor, err error) {
	behind, err = r.scan(after, limit, wanted, func(k, v []byte) error {
		c, err := r.read(k, v)
		copies = append(copies, c)
		return err
	})
	if err != nil {
		return nil, behind, err
	}
	return copies, behind, nil
}

// scan calls fn with the next entries as they stand in the file, as Each gives them.
func (r *Record) scan(after Cursor, limit int, wanted []State, fn func(k, v []byte) error) (behind Cursor, err error) {
	given := 0
	for after.part < len(parts) && given < limit {
		intended := after.part == 1
		if len(wanted) != 0 && !slices.ContainsFunc(wanted, func(s State) bool { return (s == Intended) == intended }) {
			after = Cursor{part: after.part + 1}
			continue
		}
		if after, given, err = r.scanPart(after, given, limit, wanted, fn); err != nil {
			return after, err
		}
	}
	return after, nil
}

// scanPart looks at the next entries of a part in one read transaction. given counts
// those that fn was called with.
func (r *Record) scanPart(after Cursor, given, limit int, wanted []State, fn func(k, v []byte) error) (Cursor, int, error) {
	err := r.db.View(func(tx *bolt.Tx) error {
		looked := 0
		defer func() { r.touch(tx, looked) }()
		cursor := tx.Bucket(parts[after.part]).Cursor()
		k, v := cursor.Seek([]byte(after.key))
		if k != nil && string(k) == after.key {
			k, v = cursor.Next()
		}
		var last []byte
		for ; k != nil && looked < scanEntries && given < limit; looked++ {
			last = k
			s, err := stateOf(v)
			if err != nil {
				return r.damaged(k, err)
			}
			if len(wanted) == 0 || slices.Contains(wanted, r.seen(s)) {
				given++
				if err := fn(k, v); err != nil {
					return err
				}
			}
			k, v = cursor.Next()
		}
		if k == nil {
			after = Cursor{part: after.part + 1}
		} else {
			after.key = string(last)
		}
		return nil
	})
	return after, given, err
}
