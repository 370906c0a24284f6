package tree

import (
	"sync"
	"time"

	"github.com/kedge/kedge/pipeline/journal"
)

// journalWriter appends to the audit journal: a record a file that was copied,
// deleted or failed. What stood at the destination already has none.
type journalWriter struct {
	mu sync.Mutex
	w  *journal.Writer
}

func openJournal(checkpoint string, good int64) (*journalWriter, error) {
	w, err := journal.Open(journal.Path(checkpoint), good)
	if err != nil {
		return nil, err
	}
	return &journalWriter{w: w}, nil
}

// append writes the records of some files, durably, and gives the journal's
// length; 0 when there were none.
func (j *journalWriter) append(pass int64, items []*item, src, dst Store) (int64, error) {
	if j == nil { // an audit has none
		return 0, nil
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	written := false
	for _, it := range items {
		r, ok := it.record(pass, src, dst)
		if !ok {
			continue
		}
		written = true
		if err := j.w.Append(r); err != nil {
			return 0, err
		}
	}
	if !written {
		return 0, nil
	}
	return j.w.Offset(), j.w.Sync()
}

// record is the journal's line for a file. A repository's name stands where
// documents have their bucket, the path where they have their id.
func (it *item) record(pass int64, src, dst Store) (journal.Record, bool) {
	r := journal.Record{When: time.Now(), Task: pass, Bucket: it.repository, ArchiveID: it.path, PlainBytes: -1, StoredBytes: -1}
	var err error
	switch {
	case it.failure != nil:
		r.Result, r.Class, r.Reason = journal.Failed, it.failure.Class, it.failure.Reason
	case it.counts.Deleted > 0:
		r.Result = journal.Purged
	case it.held && it.receipt != nil:
		r.Result, r.StoredDigest, r.StoredBytes = journal.Kept, it.receipt.MD5, it.receipt.Bytes
		r.PlainBytes = r.StoredBytes
		if r.To, err = dst.PathURI(it.path); err != nil {
			r.To = it.path
		}
	default:
		return r, false
	}
	if r.From, err = src.PathURI(it.path); err != nil {
		r.From = it.path
	}
	return r, true
}

func (j *journalWriter) close() error {
	if j == nil {
		return nil
	}
	return j.w.Close()
}
