package catalog

import "context"

// Each reads the rows of a selection in the catalog's order, so many at a time, and calls
// fn with each of them, until that returns an error.
func Each(ctx context.Context, cat Reader, selection Selection, rows int, fn func(Document) error) error {
	var position Position
	for {
		page, err := cat.Page(ctx, selection, position, rows)
		if err != nil {
			return err
		}
		for _, d := range page {
			position = d.After()
			if err := fn(d); err != nil {
				return err
			}
		}
		if len(page) < rows {
			return nil
		}
	}
}
