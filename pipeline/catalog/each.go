package catalog

import "context"

// Each reads the whole catalog, so many rows at a time, and calls fn with each of them.
func Each(ctx context.Context, cat Reader, rows int, fn func(Document) error) error {
	var position Position
	for {
		page, err := cat.Page(ctx, Selection{}, position, rows)
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
