package metrics

import (
	"context"
	"errors"
	"fmt"

	"github.com/kedge/kedge/drivers"
)

// List is the driver's own.
func (d *metered) List(ctx context.Context, fn func(uri string, info drivers.Info) error) error {
	lister, ok := d.Driver.(drivers.Lister)
	if !ok {
		return d.cannot("list", "list")
	}
	return lister.List(ctx, fn)
}

// PathURI is the driver's own.
func (d *metered) PathURI(path string) (string, error) {
	tree, ok := d.Driver.(drivers.Tree)
	if !ok {
		return "", d.cannot("uri", "hold trees")
	}
	return tree.PathURI(path)
}

// ListAfter is the driver's own.
func (d *metered) ListAfter(ctx context.Context, prefix, after string, fn func(path string, info drivers.Info) error) error {
	tree, ok := d.Driver.(drivers.Tree)
	if !ok {
		return d.cannot("list", "hold trees")
	}
	return tree.ListAfter(ctx, prefix, after, fn)
}

func (d *metered) cannot(op, what string) error {
	return &drivers.Error{Op: op, URI: d.Place(), Err: fmt.Errorf("driver %s cannot %s: %w", d.Name(), what, errors.ErrUnsupported)}
}
