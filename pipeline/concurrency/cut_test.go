package concurrency

import (
	"fmt"
	"testing"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/pipeline/catalog"
)

func cutAll(l Limits, docs []catalog.Document) [][]catalog.Document {
	c := Cutter[catalog.Document]{
		Limits: l,
		Key:    func(d catalog.Document) drivers.Key { return d.Key },
		Bytes:  func(d catalog.Document) int64 { return d.Bytes },
	}
	var batches [][]catalog.Document
	for _, d := range docs {
		if complete := c.Add(d); complete != nil {
			batches = append(batches, complete)
		}
	}
	if rest := c.Rest(); rest != nil {
		batches = append(batches, rest)
	}
	return batches
}

func document(id string, bytes int64) catalog.Document {
	return catalog.Document{Key: drivers.Key{UserID: "u", Bucket: "b", ArchiveID: id}, Name: id + ".json", Bytes: bytes}
}

func TestBatchesAreCut(t *testing.T) {
	l := Limits{BatchDocuments: 4, BatchBytes: 1000, StreamBytes: 600, UnknownBytes: 300}
	many := func(n int, bytes int64) (docs []catalog.Document) {
		for i := range n {
			docs = append(docs, document(fmt.Sprintf("d%d", i), bytes))
		}
		return docs
	}
	for _, c := range []struct {
		name string
		docs []catalog.Document
		want []int
	}{
		{"nothing", nil, nil},
		{"by number", many(9, 1), []int{4, 4, 1}},
		{"by bytes", many(5, 400), []int{2, 2, 1}},
		{"exactly full", many(4, 500), []int{2, 2}},
		{"a large one alone", append(append(many(2, 1), document("large", 601)), document("z", 1)), []int{2, 1, 1}},
		{"unknown lengths count for something", many(5, -1), []int{3, 2}},
	} {
		var got []int
		for _, b := range cutAll(l, c.docs) {
			got = append(got, len(b))
		}
		if fmt.Sprint(got) != fmt.Sprint(c.want) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

// Rows of one key share places and must not be worked on in two batches.
func TestRowsOfOneKeyStayTogether(t *testing.T) {
	l := Limits{BatchDocuments: 2, BatchBytes: 100, StreamBytes: 60}
	var docs []catalog.Document
	for _, id := range []string{"a", "b", "b", "b", "c", "c", "d"} {
		d := document(id, 61)
		d.Name = fmt.Sprint(len(docs))
		docs = append(docs, d)
	}
	where := make(map[string]int)
	for n, b := range cutAll(l, docs) {
		for _, it := range b {
			if before, seen := where[it.ArchiveID]; seen && before != n {
				t.Errorf("the rows of %s are in batches %d and %d", it.ArchiveID, before, n)
			}
			where[it.ArchiveID] = n
		}
	}
	if len(where) != 4 || where["a"] == where["b"] || where["c"] == where["d"] {
		t.Errorf("batches: %v", where)
	}
}
