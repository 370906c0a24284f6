package audit

import (
	"context"

	"github.com/kedge/kedge/checkpoint"
	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/pipeline/catalog"
	"github.com/kedge/kedge/pipeline/failure"
	"github.com/kedge/kedge/pipeline/progress"
)

// document is one that is looked at.
type document struct {
	progress.Track
	doc          catalog.Document
	failure      *checkpoint.Failure
	fetchedBytes int64
}

// CatalogBytes is how long its payload is as the catalog counts it; 0 where that does
// not say.
func (d *document) CatalogBytes() int64 { return max(d.doc.Bytes, 0) }

// WorkBytes is how long its payload is, as far as that is known.
func (d *document) WorkBytes() int64 { return max(d.fetchedBytes, d.doc.Bytes, 0) }

// fail marks the document as not well, for the first reason that is given.
func (d *document) fail(stage, class string, err error) {
	if d.failure == nil {
		d.failure = &checkpoint.Failure{Entry: d.entry(), Stage: stage, Class: class, Reason: failure.Reason(err)}
	}
}

func (d *document) entry() checkpoint.Entry {
	return checkpoint.Entry{UserID: d.doc.UserID, Bucket: d.doc.Bucket, ArchiveID: d.doc.ArchiveID, Name: d.doc.Name, URI: d.doc.URI}
}

// batch is what is checked together: neighbours in the catalog's order.
type batch struct {
	number    uint64
	documents []*document
	// entries are set for a batch of an interrupted audit, whose rows are read again.
	entries []checkpoint.Entry
}

// revive reads the rows of a batch of an earlier run again; rows that are gone
// need no check any more.
func (a *audit) revive(ctx context.Context, b *batch) error {
	seen := make(map[drivers.Key]bool, len(b.entries))
	var keys []drivers.Key
	for _, e := range b.entries {
		if k := keyOf(e); !seen[k] {
			seen[k] = true
			keys = append(keys, k)
		}
	}
	rows, err := a.Catalog.Rows(ctx, keys)
	if err != nil {
		return err
	}
	for _, e := range b.entries {
		for _, row := range rows {
			if row.Key == keyOf(e) && row.Name == e.Name {
				b.documents = append(b.documents, &document{doc: row})
			}
		}
	}
	return nil
}

func keyOf(e checkpoint.Entry) drivers.Key {
	return drivers.Key{UserID: e.UserID, Bucket: e.Bucket, ArchiveID: e.ArchiveID}
}
