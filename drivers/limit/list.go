package limit

import (
	"context"
	"errors"
	"fmt"

	"github.com/kedge/kedge/drivers"
)

// listedPerOperation is how many payloads count as one operation when they are
// listed: as many as S3 lists in one request.
const listedPerOperation = 1000

// List waits before the listing begins, and again after each thousand.
func (l *limited) List(ctx context.Context, fn func(uri string, info drivers.Info) error) error {
	lister, ok := l.Driver.(drivers.Lister)
	if !ok {
		return &drivers.Error{Op: "list", URI: l.Place(), Err: fmt.Errorf("driver %s cannot list: %w", l.Name(), errors.ErrUnsupported)}
	}
	return l.list(ctx, fn, func(fn func(string, drivers.Info) error) error { return lister.List(ctx, fn) })
}

// PathURI is the driver's own.
func (l *limited) PathURI(path string) (string, error) {
	tree, ok := l.Driver.(drivers.Tree)
	if !ok {
		return "", l.noTree("uri")
	}
	return tree.PathURI(path)
}

// ListAfter is like List.
func (l *limited) ListAfter(ctx context.Context, prefix, after string, fn func(path string, info drivers.Info) error) error {
	tree, ok := l.Driver.(drivers.Tree)
	if !ok {
		return l.noTree("list")
	}
	return l.list(ctx, fn, func(fn func(string, drivers.Info) error) error { return tree.ListAfter(ctx, prefix, after, fn) })
}

func (l *limited) noTree(op string) error {
	return &drivers.Error{Op: op, URI: l.Place(), Err: fmt.Errorf("driver %s holds no trees: %w", l.Name(), errors.ErrUnsupported)}
}

// list lets listing call fn. What fn returns comes back as it is.
func (l *limited) list(ctx context.Context, fn func(string, drivers.Info) error, listing func(func(string, drivers.Info) error) error) error {
	waited, err := l.admit(ctx, "list", l.Place(), 1, 0)
	if err != nil {
		return err
	}
	listed, theirs := 0, false
	err = listing(func(name string, info drivers.Info) error {
		if listed++; listed > listedPerOperation {
			more, err := l.admit(ctx, "list", l.Place(), 1, 0)
			waited += more
			if err != nil {
				return err
			}
			listed = 1
		}
		err := fn(name, info)
		theirs = theirs || err != nil
		return err
	})
	if theirs {
		return err
	}
	return holding(err, waited)
}
