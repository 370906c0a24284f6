package copies

import (
	"context"
	"crypto/md5"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/kedge/kedge/checkpoint"
	"github.com/kedge/kedge/pipeline/catalog"
	"github.com/kedge/kedge/pipeline/spread"
	"github.com/kedge/kedge/pipeline/store"
)

// Adopt makes the entries of copies whose record was lost, where the store shows by
// itself that it holds them: its listing tells the MD5 and the length that the row says.
// Nothing is moved. Memory does not grow with the number of documents.
type Adopt struct {
	Record *Record
	// Store is the run's destination. One that computes MD5s when it is asked to
	// (drivers.Prover) reads all that it holds for this.
	Store store.Store
	// Folder takes temporary files, as that of a Check does.
	Folder string
	// Rows calls fn with every row whose document is to be copied, until fn returns an
	// error, which Rows returns.
	Rows func(fn func(catalog.Document) error) error
	// KeepsForm says whether a document would be put in the form that it has at the
	// source: only then can its copy have the row's digest.
	KeepsForm func(catalog.Document) bool
}

// Run makes entries, as Copied, of documents that have none, and says how many. Whatever
// else the record has stays. When it has returned without error, they are durable.
func (a Adopt) Run(ctx context.Context) (adopted int64, err error) {
	if adopted, err = a.run(ctx); err != nil {
		return adopted, fmt.Errorf("look for copies at %s: %w", a.Store.Place(), err)
	}
	return adopted, nil
}

func (a Adopt) run(ctx context.Context) (adopted int64, err error) {
	list, err := listingOf(a.Store, true)
	if err != nil {
		return 0, err
	}
	folder, remove, err := workFolder(a.Folder)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, remove()) }()
	held, useful, err := spreadListing(ctx, folder, "listed", list, toldMD5|toldTag)
	if err != nil || !useful {
		return 0, err
	}
	rows, err := spread.Over(folder, "rows", func(put func([16]byte, []byte) error) error { return a.spreadRows(ctx, put) })
	if err != nil {
		return 0, err
	}
	var last *checkpoint.Ticket
	var count atomic.Int64
	for i := range held {
		if last, err = a.join(ctx, rows[i], held[i], last, &count); err != nil {
			break
		}
	}
	if last != nil {
		err = errors.Join(err, last.Wait(ctx))
	}
	return count.Load(), err
}

// spreadRows puts what the entry of each row would be, if its copy is there.
func (a Adopt) spreadRows(ctx context.Context, put func([16]byte, []byte) error) error {
	now := time.Now()
	var buffer []byte
	return a.Rows(func(d catalog.Document) error {
		uri, err := a.Store.URI(d.Key)
		if err != nil || d.NoURI || d.URI == uri || d.Digest == "" || d.Bytes < 0 || !a.KeepsForm(d) {
			return context.Cause(ctx)
		}
		c := Copy{Key: d.Key, Name: d.Name, State: Copied, When: now,
			Source: Side{URI: d.URI, Digest: d.Digest, Bytes: d.Bytes, Compressed: d.Compressed}}
		c.Destination = c.Source
		c.Destination.URI = uri
		k, v := a.Record.encode(c)
		buffer = appendBytes(appendBytes(buffer[:0], k), v)
		if err := put(md5.Sum([]byte(uri)), buffer); err != nil {
			return err
		}
		return context.Cause(ctx)
	})
}

// join records what one file says of rows and the other of the store. last is the ticket
// of the last change that was asked for.
func (a Adopt) join(ctx context.Context, rows, held string, last *checkpoint.Ticket, count *atomic.Int64) (*checkpoint.Ticket, error) {
	all, err := readListing(held)
	if err != nil {
		return last, err
	}
	var found []Copy
	record := func() {
		last = a.Record.adopt(found, count)
		found = found[:0]
	}
	err = a.Record.eachSpread(ctx, rows, func(sum [16]byte, c Copy) error {
		l, there := all[sum]
		if !there || l.bytes != c.Source.Bytes || !l.proves(c.Source.Digest) {
			return nil
		}
		c.Destination.sum, c.Destination.versioned = l.version, l.told&toldVersion != 0
		if found = append(found, c); len(found) == pageEntries {
			record()
		}
		return nil
	})
	if len(found) > 0 && err == nil {
		record()
	}
	return last, err
}

// adopt makes entries of copies that have none, and counts them.
func (r *Record) adopt(copies []Copy, count *atomic.Int64) *checkpoint.Ticket {
	none := func(was State) bool {
		if was == None {
			count.Add(1)
		}
		return was == None
	}
	return r.change(copies, func(_ *Copy, e *entry) { e.only = none })
}
