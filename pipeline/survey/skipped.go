package survey

import (
	"context"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/pipeline/catalog"
	"github.com/kedge/kedge/pipeline/failure"
)

// skippedPage is how many rows are read at once to be counted.
const skippedPage = 5000

// Skipped compares what a scan of the whole catalog finds of a selection (after a
// migration, what is left of it) with what is found by going through it in its order,
// as migrations and audits do. Where that finds fewer it returns a failure.SkippedError.
// Where the scan finds nothing, nothing can have been skipped. Without a lasting snapshot (SQLite) both would be of
// different moments; there text sorts by its bytes, for ever.
func Skipped(ctx context.Context, snapshot catalog.Snapshot, selection catalog.Selection) error {
	if !snapshot.Lasting() {
		return nil
	}
	left, err := snapshot.Count(ctx, selection)
	if err != nil || left.Documents == 0 {
		return err
	}
	var seen int64
	var at catalog.Position
	for {
		docs, err := snapshot.Page(ctx, selection, at, skippedPage)
		if err != nil {
			return err
		}
		found, err := lookedUp(ctx, snapshot, docs)
		if err != nil {
			return err
		}
		for _, d := range docs {
			if !d.NoURI && found[d.After()] {
				seen++
			}
		}
		if len(docs) < skippedPage {
			break
		}
		at = docs[len(docs)-1].After()
	}
	if seen < left.Documents {
		return &failure.SkippedError{Rows: left.Documents - seen}
	}
	return nil
}

// lookedUp says which rows are found by their keys, too. The first page is read from the
// index's beginning, and so has also what a search in the index leads past.
func lookedUp(ctx context.Context, snapshot catalog.Snapshot, docs []catalog.Document) (map[catalog.Position]bool, error) {
	keys := make([]drivers.Key, len(docs))
	for i, d := range docs {
		keys[i] = d.Key
	}
	rows, err := snapshot.Rows(ctx, keys)
	found := make(map[catalog.Position]bool, len(rows))
	for _, row := range rows {
		found[row.After()] = true
	}
	return found, err
}
