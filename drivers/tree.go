package drivers

import "context"

// Tree is implemented by drivers that can hold a tree of files with paths of
// its own making, such as the storage of a registry, beside documents whose
// URIs are made from keys. A path is relative to the store's place, in the form
// "docker/registry/v2/blobs/sha256/00/…/data": no slash at either end, no empty,
// "." or ".." component.
type Tree interface {
	// PathURI is the URI of a path, for Get, Put, Stat and Delete. It fails with
	// kind InvalidKey where the backend cannot hold the path.
	PathURI(path string) (string, error)

	// ListAfter calls fn with every payload whose path begins with prefix and is
	// greater than after, in ascending order of the paths' bytes, until fn
	// returns an error, which ListAfter returns. after is "" for all of them.
	// What is put or deleted meanwhile may be listed or not. A backend that
	// lists in another order makes it fail rather than leave anything out.
	ListAfter(ctx context.Context, prefix, after string, fn func(path string, info Info) error) error
}
