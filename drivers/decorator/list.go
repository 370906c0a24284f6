package decorator

import (
	"context"

	"github.com/kedge/kedge/drivers"
)

// List lists what the driver holds. Another attempt begins anew.
func (d *decorated[S]) List(ctx context.Context, fn func(uri string, info drivers.Info) error) error {
	lister, ok := d.Driver.(drivers.Lister)
	if !ok {
		return d.cannot(List, "list")
	}
	return d.list(ctx, "", false, fn, func(_ string, fn listed) error { return lister.List(ctx, fn) })
}

// ListProven lists what the driver holds with MD5s. Another attempt begins anew.
func (d *decorated[S]) ListProven(ctx context.Context, fn func(uri string, info drivers.Info) error) error {
	prover, ok := d.Driver.(drivers.Prover)
	if !ok {
		return d.cannot(List, "list with MD5s")
	}
	return d.list(ctx, "", false, fn, func(_ string, fn listed) error { return prover.ListProven(ctx, fn) })
}

// ListRange lists a part of what the driver holds. Another attempt goes on behind the last
// payload.
func (d *decorated[S]) ListRange(ctx context.Context, after, last string, fn func(uri string, info drivers.Info) error) error {
	ranger, ok := d.Driver.(drivers.Ranger)
	if !ok {
		return d.cannot(List, "list ranges")
	}
	return d.list(ctx, after, true, fn, func(after string, fn listed) error { return ranger.ListRange(ctx, after, last, fn) })
}

// PathURI is the driver's own.
func (d *decorated[S]) PathURI(path string) (string, error) {
	tree, ok := d.Driver.(drivers.Tree)
	if !ok {
		return "", d.cannot("uri", "hold trees")
	}
	return tree.PathURI(path)
}

// ListAfter lists a tree's paths. Another attempt goes on behind the last one.
func (d *decorated[S]) ListAfter(ctx context.Context, prefix, after string, fn func(path string, info drivers.Info) error) error {
	tree, ok := d.Driver.(drivers.Tree)
	if !ok {
		return d.cannot(List, "hold trees")
	}
	return d.list(ctx, after, true, fn, func(after string, fn listed) error { return tree.ListAfter(ctx, prefix, after, fn) })
}

// listed is called with each payload of a listing.
type listed = func(name string, info drivers.Info) error

// list lets listing call fn. What fn fails with ends it, and is returned as it is.
func (d *decorated[S]) list(ctx context.Context, after string, resumes bool, fn listed, listing func(after string, fn listed) error) error {
	op := d.begin(List, d.Place())
	op.Resumes = resumes
	var theirs error
	for op.next(ctx) {
		op.Listed = 0
		op.err = listing(after, func(name string, info drivers.Info) error {
			op.Listed++
			if d.hooks.Listed != nil {
				if refusal := d.hooks.Listed(ctx, op); refusal != nil {
					return refused(refusal, op.Name, op.uri)
				}
			}
			after = name
			theirs = fn(name, info)
			return theirs
		})
		if theirs != nil {
			break
		}
	}
	if err := d.end(op); theirs == nil {
		return err
	}
	return theirs
}
