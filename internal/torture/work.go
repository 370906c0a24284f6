package torture

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/kedge/kedge/checkpoint"
	"github.com/kedge/kedge/pipeline/journal"
)

// maxInFlight is how many batches may be between enumeration and their end: the
// workers of all stages and the channels between them, and what waits for the
// checkpoint's writer.
const maxInFlight = 100

// work follows, through the journal and the checkpoint, what the runs of a
// migration have done.
type work struct {
	checkpoint string
	read       int // records of the journal seen so far
	done       map[rowID]journal.Record
	// inFlight are the documents that some killed run had in flight, last those
	// of the last run.
	inFlight, last map[rowID]bool
	// header is the checkpoint's after the last run, empty where there is none.
	header checkpoint.Header
	// repeated counts documents that were done again.
	repeated int
}

func newWork(checkpoint string) *work {
	return &work{checkpoint: checkpoint, done: make(map[rowID]journal.Record), inFlight: make(map[rowID]bool)}
}

// look reads what the last run has added to the journal, and then, from the
// checkpoint, what it had in flight. It returns what is wrong about that.
func (w *work) look() (wrong []string, err error) {
	records, err := readJournal(journal.Path(w.checkpoint))
	if err != nil {
		return nil, err
	}
	if len(records) < w.read {
		return []string{fmt.Sprintf("the journal had %d records and has %d now", w.read, len(records))}, nil
	}
	for _, r := range records[w.read:] {
		if r.Result != journal.Moved && r.Result != journal.Kept {
			continue
		}
		id := rowID{r.Bucket, r.ArchiveID, r.UserID, r.DocumentName}
		if _, again := w.done[id]; again {
			w.repeated++
			if !w.inFlight[id] {
				wrong = append(wrong, fmt.Sprintf("%v was done again, though it was not in flight when a run ended", id))
			}
		}
		w.done[id] = r
	}
	w.read = len(records)
	batches, err := w.takeInFlight()
	if batches > maxInFlight {
		wrong = append(wrong, fmt.Sprintf("%d batches were in flight, more than the pipeline can hold", batches))
	}
	return wrong, err
}

// takeInFlight notes the documents of the batches that the checkpoint holds.
func (w *work) takeInFlight() (batches int, err error) {
	// A copy: what is looked at must not change.
	w.header, w.last = checkpoint.Header{}, make(map[rowID]bool)
	raw, err := os.ReadFile(w.checkpoint)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	copied := w.checkpoint + ".copy"
	if err := os.WriteFile(copied, raw, 0o600); err != nil {
		return 0, err
	}
	defer os.Remove(copied)
	if w.header, err = headerOf(copied); err != nil || w.header.Fingerprint == "" {
		return 0, err // killed before the checkpoint had a header
	}
	c, err := checkpoint.Open(copied, checkpoint.Identity{Fingerprint: w.header.Fingerprint})
	if err != nil {
		return 0, err
	}
	err = c.InFlight(func(_ uint64, entries []checkpoint.Entry) error {
		batches++
		for _, e := range entries {
			id := rowID{e.Bucket, e.ArchiveID, e.UserID, e.Name}
			w.inFlight[id], w.last[id] = true, true
		}
		return nil
	})
	return batches, errors.Join(err, c.Close())
}

// headerOf reads a checkpoint's header, without knowing whose it is.
func headerOf(path string) (h checkpoint.Header, err error) {
	info, err := os.Stat(path)
	if err != nil || info.Size() == 0 {
		return h, err
	}
	db, err := bolt.Open(path, 0o600, &bolt.Options{Timeout: time.Second})
	if err != nil {
		return h, fmt.Errorf("the checkpoint cannot be opened: %w", err)
	}
	err = db.View(func(tx *bolt.Tx) error {
		bucket := tx.Bucket([]byte("meta"))
		if bucket == nil {
			return nil
		}
		if raw := bucket.Get([]byte("header")); raw != nil {
			return json.Unmarshal(raw, &h)
		}
		return nil
	})
	return h, errors.Join(err, db.Close())
}

func readJournal(path string) ([]journal.Record, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || info.Size() < 8 {
		return nil, err // killed before its first record was written
	}
	r, err := journal.NewReader(f)
	if err != nil {
		return nil, err
	}
	var records []journal.Record
	for {
		record, err := r.Next()
		switch {
		case err == io.EOF, errors.Is(err, journal.ErrTorn):
			return records, nil
		case err != nil:
			return nil, err
		}
		records = append(records, record)
	}
}
