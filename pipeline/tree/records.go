package tree

import (
	"encoding/json"
	"fmt"
	"strings"

	bolt "go.etcd.io/bbolt"
)

// outcome is what has become of a part of a range. It is recorded as a whole,
// with how far the range has come.
type outcome struct {
	rangeID, last string // the range and the last path of it that is done
	proofs        map[string]proof
	forget        []string // paths whose proofs hold no longer
	manifests     []listedManifest
	named         []string // paths of blobs that links name
	failures      []Failure
	counts        Counts
	journalBytes  int64
}

// record makes an outcome durable. Outcomes that come at the same time share a
// transaction.
func (s *state) record(o outcome) error {
	return s.told(s.db.Batch(func(tx *bolt.Tx) error {
		h, err := readHeader(tx)
		if err != nil {
			return err
		}
		h.Counts.add(o.counts)
		h.JournalBytes = max(h.JournalBytes, o.journalBytes)
		if err := writeHeader(tx, h); err != nil {
			return err
		}
		return o.write(tx)
	}))
}

func (o outcome) write(tx *bolt.Tx) error {
	if o.rangeID != "" {
		if err := tx.Bucket(bucketPositions).Put([]byte(o.rangeID), []byte(o.last)); err != nil {
			return err
		}
	}
	proven, failed := tx.Bucket(bucketProven), tx.Bucket(bucketFailed)
	proven.FillPercent = fillPercent
	for _, path := range o.forget {
		if err := proven.Delete(shortKey(path)); err != nil {
			return err
		}
	}
	for path, p := range o.proofs {
		if err := proven.Put(shortKey(path), p.encode()); err != nil {
			return err
		}
		if err := failed.Delete([]byte(path)); err != nil {
			return err
		}
	}
	for _, m := range o.manifests {
		if err := tx.Bucket(bucketManifests).Put(m.key(), m.encode()); err != nil {
			return err
		}
	}
	for _, path := range o.named {
		if err := tx.Bucket(bucketNamed).Put(shortKey(path), nil); err != nil {
			return err
		}
	}
	for _, f := range o.failures {
		raw, err := json.Marshal(f)
		if err != nil {
			return err
		}
		if err := failed.Put([]byte(f.Path), raw); err != nil {
			return err
		}
	}
	return nil
}

// shortKey leaves away what all paths begin with: there may be millions of them.
func shortKey(path string) []byte { return []byte(strings.TrimPrefix(path, root)) }

// fillPercent is how full the database's pages are made: paths are recorded in
// their order, so that a page is rarely split later.
const fillPercent = 0.9

// position is how far a range has come in the phase under way, "" if it has not
// begun.
func (s *state) position(rangeID string) (last string, err error) {
	err = s.view(func(tx *bolt.Tx) error {
		last = string(tx.Bucket(bucketPositions).Get([]byte(rangeID)))
		return nil
	})
	return last, err
}

// proof finds what has been proved of a path.
func (s *state) proof(path string) (p proof, found bool, err error) {
	err = s.view(func(tx *bolt.Tx) (err error) {
		if raw := tx.Bucket(bucketProven).Get(shortKey(path)); raw != nil {
			found = true
			p, err = decodeProof(raw)
		}
		return err
	})
	return p, found, err
}

// proofs gives what has been proved of the paths behind after, up to and with
// upTo.
func (s *state) proofs(after, upTo string) (map[string]proof, error) {
	found := map[string]proof{}
	err := s.view(func(tx *bolt.Tx) error {
		cursor := tx.Bucket(bucketProven).Cursor()
		for k, v := cursor.Seek(shortKey(after)); k != nil; k, v = cursor.Next() {
			path := root + string(k)
			if path == after {
				continue
			}
			if path > upTo {
				break
			}
			p, err := decodeProof(v)
			if err != nil {
				return err
			}
			found[path] = p
		}
		return nil
	})
	return found, err
}

// eachUnnamed calls fn with the paths that have been proved and that no link
// names, in order.
func (s *state) eachUnnamed(fn func(path string, p proof) error) error {
	return s.view(func(tx *bolt.Tx) error {
		named := tx.Bucket(bucketNamed)
		return tx.Bucket(bucketProven).ForEach(func(k, v []byte) error {
			if key, _ := named.Cursor().Seek(k); string(key) == string(k) {
				return nil
			}
			p, err := decodeProof(v)
			if err != nil {
				return err
			}
			return fn(root+string(k), p)
		})
	})
}

// failure finds why a path failed in this pass.
func (s *state) failure(path string) (f Failure, found bool, err error) {
	err = s.view(func(tx *bolt.Tx) error {
		if raw := tx.Bucket(bucketFailed).Get([]byte(path)); raw != nil {
			found = true
			return json.Unmarshal(raw, &f)
		}
		return nil
	})
	return f, found, err
}

// failures calls fn with every failure, in the order of the paths.
func (s *state) failures(fn func(Failure)) error {
	return s.view(func(tx *bolt.Tx) error {
		return tx.Bucket(bucketFailed).ForEach(func(k, v []byte) error {
			var f Failure
			if err := json.Unmarshal(v, &f); err != nil {
				return fmt.Errorf("%w: %q", errDamaged, k)
			}
			fn(f)
			return nil
		})
	})
}

// manifestsAfter gives the next links of a class that were listed when the pass
// began, at most n, behind a path.
func (s *state) manifestsAfter(c class, after string, n int) (list []listedManifest, err error) {
	err = s.view(func(tx *bolt.Tx) error {
		cursor := tx.Bucket(bucketManifests).Cursor()
		start := listedManifest{class: c, path: after}.key()
		for k, v := cursor.Seek(start); k != nil && k[0] == byte(c) && len(list) < n; k, v = cursor.Next() {
			if string(k) == string(start) {
				continue
			}
			m, err := decodeManifest(k, v)
			if err != nil {
				return err
			}
			list = append(list, m)
		}
		return nil
	})
	return list, err
}

// listed says whether a link was there when the pass began.
func (s *state) listed(c class, path string) (found bool, err error) {
	err = s.view(func(tx *bolt.Tx) error {
		key := listedManifest{class: c, path: path}.key()
		k, _ := tx.Bucket(bucketManifests).Cursor().Seek(key)
		found = string(k) == string(key)
		return nil
	})
	return found, err
}
