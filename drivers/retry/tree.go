package retry

import (
	"context"
	"errors"
	"fmt"

	"github.com/kedge/kedge/drivers"
)

var _ drivers.Tree = (*driver)(nil)

// PathURI is the driver's own.
func (d *driver) PathURI(path string) (string, error) {
	tree, ok := d.Driver.(drivers.Tree)
	if !ok {
		return "", d.noTree("uri")
	}
	return tree.PathURI(path)
}

// ListAfter is repeated behind the last payload that was listed. What fn
// returns ends it, whatever its kind.
func (d *driver) ListAfter(ctx context.Context, prefix, after string, fn func(path string, info drivers.Info) error) error {
	tree, ok := d.Driver.(drivers.Tree)
	if !ok {
		return d.noTree("list")
	}
	var stopped error // what fn returned
	for {
		begun := false
		err := d.repeat(ctx, "list", d.Place(), func() error {
			err := tree.ListAfter(ctx, prefix, after, func(path string, info drivers.Info) error {
				begun = true
				after = path
				stopped = fn(path, info)
				return stopped
			})
			if stopped != nil || begun && drivers.KindOf(err) == drivers.Temporary {
				return nil
			}
			begun = false
			return err
		})
		switch {
		case stopped != nil:
			return stopped
		case err != nil || !begun:
			return err
		}
		// It broke off on its way: with a new policy, for it had come on.
	}
}

func (d *driver) noTree(op string) error {
	return &drivers.Error{Op: op, URI: d.Place(), Err: fmt.Errorf("driver %s holds no trees: %w", d.Name(), errors.ErrUnsupported)}
}
