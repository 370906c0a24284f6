package pipeline

import (
	"github.com/kedge/kedge/checkpoint"
	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/pipeline/catalog"
	"github.com/kedge/kedge/pipeline/copies"
	"github.com/kedge/kedge/pipeline/progress"
	"github.com/kedge/kedge/pipeline/survey"
)

// batch is what flows through the pipeline: neighbours in the catalog's order,
// or what an interrupted run left.
type batch struct {
	number uint64
	items  []*item
	// entries are set for a batch of an earlier run, whose rows have to be read
	// again before anything is done: items are made from them.
	entries []checkpoint.Entry
	// recounted says that entries were counted as moved by the run that
	// recorded them.
	recounted bool
	// intended is durable before anything is put.
	intended *checkpoint.Ticket
	// recorded: so is that the record of copies proves nothing of what is going to be
	// put.
	recorded *checkpoint.Ticket
	// committed are set in place of entries for what an earlier pass has committed, and
	// whose sources are to be deleted.
	committed []copies.Copy
	// reserved is what the batch holds of the memory budget, in bytes.
	reserved int64
	// streams says that reserved has room for one streamed payload.
	streams bool
}

// item is one document on its way.
type item struct {
	doc  catalog.Document
	dest string // its URI at the destination
	life

	// revived: an earlier run had it in flight, or failed at it, so that what it
	// put may be at the destination.
	revived bool
	mover   mover
	neighbours
	// copy is what the record of copies has of the document; its State is None where
	// that has nothing, or was not asked.
	copy copies.Copy
	// traces: by what is known again whatever was put at its place by earlier runs.
	traces copies.Traces

	carriage carriage
	// allowance is how many bytes of it may be held beside the payload as
	// fetched, when its compression changes.
	allowance int64
	payload   []byte
	// rotten is the MD5 of what was streamed from the source and is not what the
	// catalog says; "" else, and of what is held.
	rotten string

	// What is stored at the destination. For a streamed item digest and bytes
	// are known after the put.
	compressed bool
	digest     string
	bytes      int64
	receipt    drivers.Receipt

	fetchedBytes int64
	// plainDigest and plainBytes are of the plain document, "" and -1 where it
	// was not looked at.
	plainDigest string
	plainBytes  int64

	progress.Track
}

// mover says which run has moved a document, or is to. An earlier one has only where
// it was found moved.
type mover uint8

const (
	thisRun       mover = iota
	earlierRun          // which did not count it: this one does
	earlierCounts       // which counted it: what is left is to delete the source
	forgottenRun        // an earlier one, of which the catalog knows nothing: nothing is at the source
)

// carriage is how a payload travels, and who compares it with the catalog's digest.
// A held one may come to be streamed, never the other way round.
type carriage uint8

const (
	held              carriage = iota // as a whole, in memory; its MD5 is computed here
	heldUnhashed                      // the same; the destination compares. Keeps its form
	streamed                          // never as a whole, see stream.go; compared here as it passes
	streamedUnchecked                 // the same, during one put of which the destination compares
)

func (c carriage) streamed() bool { return c >= streamed }

// neighbours are the rows of other documents that have one of an item's places.
type neighbours struct {
	// siblings: other rows have the same key under another documentName, so that
	// they share places. atDest is the one of these that names dest already.
	siblings bool
	atDest   *catalog.Document
	// alone: the walk through the catalog has shown that there is no such row.
	alone bool
	// atSource is who else may have his payload at the source's place; delete finds
	// that out.
	atSource survey.Sharing
}

func (it *item) entry() checkpoint.Entry {
	return entryOf(it.doc)
}

func entryOf(d catalog.Document) checkpoint.Entry {
	return checkpoint.Entry{UserID: d.UserID, Bucket: d.Bucket, ArchiveID: d.ArchiveID, Name: d.Name, URI: d.URI}
}

func keyOf(e checkpoint.Entry) drivers.Key {
	return drivers.Key{UserID: e.UserID, Bucket: e.Bucket, ArchiveID: e.ArchiveID}
}

// CatalogBytes is how long its payload is as the catalog counts it; 0 where that does
// not say.
func (it *item) CatalogBytes() int64 { return max(it.doc.Bytes, 0) }

// WorkBytes is how long an item's payload is, as far as that is known.
func (it *item) WorkBytes() int64 { return max(it.bytes, it.fetchedBytes, it.doc.Bytes, 0) }

// pending gives the items that still have to be moved.
func (b *batch) pending() []*item {
	return b.filter(func(it *item) bool { return it.pending() })
}

// carrying gives those of them whose payloads still have to be brought.
func (b *batch) carrying() []*item {
	return b.filter(func(it *item) bool { return it.carries() })
}

func (b *batch) filter(keep func(*item) bool) []*item {
	var items []*item
	for _, it := range b.items {
		if keep(it) {
			items = append(items, it)
		}
	}
	return items
}

// keysOf gives the distinct keys of the batch, but for those of items that are not wanted.
func (b *batch) keysOf(wanted func(*item) bool) []drivers.Key {
	seen := make(map[drivers.Key]bool, len(b.items)+len(b.entries))
	var keys []drivers.Key
	add := func(k drivers.Key) {
		if !seen[k] {
			seen[k] = true
			keys = append(keys, k)
		}
	}
	for _, it := range b.items {
		if wanted(it) {
			add(it.doc.Key)
		}
	}
	for _, e := range b.entries {
		add(keyOf(e))
	}
	for _, c := range b.committed {
		add(c.Key)
	}
	return keys
}
