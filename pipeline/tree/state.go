package tree

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/kedge/kedge/checkpoint"
)

// stateVersion is the layout of the file; another one is refused.
const stateVersion = 1

var (
	bucketMeta      = []byte("meta")      // "header" -> header as JSON
	bucketPositions = []byte("positions") // range -> last path done
	bucketProven    = []byte("proven")    // path -> proof
	bucketManifests = []byte("manifests") // class, path -> what the destination had
	bucketFailed    = []byte("failed")    // path -> Failure as JSON
	bucketNamed     = []byte("named")     // audit: paths of blobs that a link names
	keyHeader       = []byte("header")
)

// header is the state beside what scales with the number of files.
type header struct {
	Version     int       `json:"version"`
	Fingerprint string    `json:"fingerprint"`
	Description string    `json:"description"`
	Created     time.Time `json:"created"`
	// Pass counts the times that the tree was gone through. Finished says that
	// the last of them came to its end.
	Pass     int64 `json:"pass"`
	Phase    phase `json:"phase"`
	Finished bool  `json:"finished"`
	// Files and Bytes are what there is to move, 0 while that is being counted.
	Files        int64  `json:"files"`
	Bytes        int64  `json:"bytes"`
	Counted      bool   `json:"counted"`
	JournalBytes int64  `json:"journal_bytes,omitempty"`
	Counts       Counts `json:"counts"`
}

// proof says that a file stands at the destination with the right bytes.
type proof struct {
	pass   int64  // in which it was last looked at
	bytes  int64  // its length
	stored string // drivers.Info.Version at the destination, "" if not told
	source string // and at the source, "" for a blob
}

func (p proof) encode() []byte {
	b := binary.AppendVarint(nil, p.pass)
	b = binary.AppendVarint(b, p.bytes)
	b = binary.AppendUvarint(b, uint64(len(p.stored)))
	b = append(b, p.stored...)
	return append(b, p.source...)
}

var errDamaged = errors.New("a record is damaged")

func decodeProof(b []byte) (p proof, err error) {
	r := bytes.NewReader(b)
	if p.pass, err = binary.ReadVarint(r); err != nil {
		return p, errDamaged
	}
	if p.bytes, err = binary.ReadVarint(r); err != nil {
		return p, errDamaged
	}
	n, err := binary.ReadUvarint(r)
	rest := b[len(b)-r.Len():]
	if err != nil || n > uint64(len(rest)) {
		return p, errDamaged
	}
	p.stored, p.source = string(rest[:n]), string(rest[n:])
	return p, nil
}

// state is an open state file (bbolt, mode 0600): how far each range of the
// phase under way has come, and which files the destination has been proved to
// hold, so that a later run need not read them again. Beside the database's own
// pages nothing of it is held in memory. Safe for concurrent use.
type state struct {
	path string
	db   *bolt.DB
	// resumed: the file is that of a run which did not come to its end.
	resumed bool
}

// gatherDelay is how long a change waits for others to share its fsync.
const gatherDelay = 2 * time.Millisecond

// openState opens the state of a migration or audit, or makes a new one. It
// fails as checkpoint.Open does.
func openState(path string, id checkpoint.Identity) (*state, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("make the checkpoint's folder: %w", err)
	}
	db, err := bolt.Open(path, 0o600, &bolt.Options{Timeout: time.Second, FreelistType: bolt.FreelistMapType, NoFreelistSync: true})
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return nil, &checkpoint.InUseError{Path: path}
	case errors.Is(err, bolterrors.ErrInvalid), errors.Is(err, bolterrors.ErrChecksum), errors.Is(err, bolterrors.ErrVersionMismatch):
		return nil, fmt.Errorf("%s is not a checkpoint of kedge, or is damaged: %w", path, err)
	case err != nil:
		return nil, fmt.Errorf("open checkpoint: %w", err)
	}
	db.MaxBatchDelay = gatherDelay
	s := &state{path: path, db: db}
	if err := s.load(id); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return s, nil
}

func (s *state) load(id checkpoint.Identity) error {
	return s.update(func(tx *bolt.Tx) error {
		if raw := tx.Bucket(bucketMeta); raw != nil {
			h, err := readHeader(tx)
			switch {
			case err != nil:
				return err
			case h.Fingerprint != id.Fingerprint:
				return &checkpoint.MismatchError{Path: s.path, Is: h.Description, Wanted: id.Description}
			case h.Version != stateVersion:
				return fmt.Errorf("version %d; this kedge writes %d: finish with the kedge that began it", h.Version, stateVersion)
			}
			s.resumed = h.Pass > 0 && !h.Finished
		}
		for _, name := range [][]byte{bucketMeta, bucketPositions, bucketProven, bucketManifests, bucketFailed, bucketNamed} {
			if _, err := tx.CreateBucketIfNotExists(name); err != nil {
				return err
			}
		}
		if tx.Bucket(bucketMeta).Get(keyHeader) != nil {
			return nil
		}
		return writeHeader(tx, header{Version: stateVersion, Fingerprint: id.Fingerprint, Description: id.Description, Created: time.Now().UTC().Truncate(time.Second)})
	})
}

func readHeader(tx *bolt.Tx) (h header, err error) {
	if err := json.Unmarshal(tx.Bucket(bucketMeta).Get(keyHeader), &h); err != nil {
		return h, errDamaged
	}
	return h, nil
}

func writeHeader(tx *bolt.Tx, h header) error {
	raw, err := json.Marshal(h)
	if err != nil {
		return err
	}
	return tx.Bucket(bucketMeta).Put(keyHeader, raw)
}

func (s *state) update(fn func(tx *bolt.Tx) error) error { return s.told(s.db.Update(fn)) }

func (s *state) view(fn func(tx *bolt.Tx) error) error { return s.told(s.db.View(fn)) }

// told adds the file's name to an error, unless it is a refusal that has it.
func (s *state) told(err error) error {
	var mismatch *checkpoint.MismatchError
	if err == nil || errors.As(err, &mismatch) {
		return err
	}
	return fmt.Errorf("checkpoint %s: %w", s.path, err)
}

// header gives the state as it is on disk.
func (s *state) header() (h header, err error) {
	err = s.view(func(tx *bolt.Tx) (err error) {
		h, err = readHeader(tx)
		return err
	})
	return h, err
}

// change changes the header and what else apply does, durably.
func (s *state) change(fn func(h *header), apply func(tx *bolt.Tx) error) error {
	return s.update(func(tx *bolt.Tx) error {
		h, err := readHeader(tx)
		if err != nil {
			return err
		}
		fn(&h)
		if apply != nil {
			if err := apply(tx); err != nil {
				return err
			}
		}
		return writeHeader(tx, h)
	})
}

// begin starts a new pass: failures, positions and the list of manifests are
// those of the last one and go. What has been proved stays.
func (s *state) begin(first phase) error {
	return s.change(func(h *header) {
		*h = header{Version: h.Version, Fingerprint: h.Fingerprint, Description: h.Description, Created: h.Created,
			Pass: h.Pass + 1, Phase: first, JournalBytes: h.JournalBytes}
	}, func(tx *bolt.Tx) error {
		return clearBuckets(tx, bucketPositions, bucketManifests, bucketFailed, bucketNamed)
	})
}

// enter starts a phase.
func (s *state) enter(p phase) error {
	return s.change(func(h *header) { h.Phase = p }, func(tx *bolt.Tx) error { return clearBuckets(tx, bucketPositions) })
}

// finish ends the pass.
func (s *state) finish() error {
	return s.change(func(h *header) { h.Finished = true }, func(tx *bolt.Tx) error {
		return clearBuckets(tx, bucketPositions, bucketManifests, bucketNamed)
	})
}

func clearBuckets(tx *bolt.Tx, names ...[]byte) error {
	for _, name := range names {
		if err := tx.DeleteBucket(name); err != nil && !errors.Is(err, bolterrors.ErrBucketNotFound) {
			return err
		}
		if _, err := tx.CreateBucket(name); err != nil {
			return err
		}
	}
	return nil
}

// Close closes the file.
func (s *state) close() error { return s.db.Close() }
