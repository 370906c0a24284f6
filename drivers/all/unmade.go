package all

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/drivers/localfs"
)

// unmade is a store whose place is not there, and was not made, because it is
// only looked at: it names places, and holds nothing. What it does not embed of
// its driver's interfaces is not asked of it.
type unmade struct{ drivers.Driver }

// Missing says that a store's place is not there: Environment.Look was set, and
// without it Open would have made the place.
func Missing(d drivers.Driver) bool {
	_, missing := d.(unmade)
	return missing
}

// Capabilities are the driver's, without the interfaces that are not passed on.
func (u unmade) Capabilities() drivers.Capabilities {
	c := u.Driver.Capabilities()
	c.BatchGet, c.BatchPut, c.BatchDelete, c.NeedsSync, c.Lists, c.Uploads, c.Identifies = false, false, false, false, false, false, false
	return c
}

func absent(op, uri string) error {
	return &drivers.Error{Op: op, URI: uri, Kind: drivers.NotFound, Err: errors.New("the place itself is not there yet")}
}

// Get finds nothing.
func (u unmade) Get(_ context.Context, uri string) (io.ReadCloser, drivers.Info, error) {
	return nil, drivers.Info{}, absent("get", uri)
}

// Stat finds nothing.
func (u unmade) Stat(_ context.Context, uri string) (drivers.Info, error) {
	return drivers.Info{}, absent("stat", uri)
}

// Put stores nothing.
func (u unmade) Put(_ context.Context, uri string, _ drivers.Payload) (drivers.Receipt, error) {
	return drivers.Receipt{}, absent("put", uri)
}

// Delete has nothing to remove.
func (u unmade) Delete(context.Context, string) error { return nil }

// openLocalfs opens an archive; one that is looked at is not made.
func openLocalfs(ctx context.Context, o localfs.Options, e Environment) (drivers.Driver, error) {
	if _, err := os.Stat(o.ArchiveDataDir); e.Look && e.Create && errors.Is(err, fs.ErrNotExist) {
		d, err := localfs.Unmade(o)
		if err != nil {
			return nil, err
		}
		return unmade{d}, nil
	}
	if e.Create {
		if err := localfs.RefuseLinks(ctx, o); err != nil {
			return nil, err
		}
	}
	d, err := localfs.Open(ctx, o, e.Create && !e.Look)
	if err != nil {
		return nil, err
	}
	return d, nil
}
