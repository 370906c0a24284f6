package preflight

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/pipeline/catalog"
	"github.com/kedge/kedge/pipeline/failure"
	"github.com/kedge/kedge/pipeline/probe"
	"github.com/kedge/kedge/pipeline/route"
	"github.com/kedge/kedge/pipeline/store"
)

// Check looks at a run that has not begun. What it refuses is a failure.RefusedError.
type Check struct {
	Route   route.Route
	Catalog catalog.Catalog
	// Checkpoint is the path of the checkpoint file, Migration what tells the migration
	// from others.
	Checkpoint, Migration string
	// KeepSource: no source is deleted. AllowVolatile: sources are, also where places may
	// not keep what they are given.
	KeepSource, AllowVolatile bool
	// PageRows is how many rows are read at a time.
	PageRows int
	Log      *slog.Logger
}

// Untried finds the reasons that can be found without writing anything.
func (c Check) Untried(ctx context.Context) error {
	src, dst := c.Route.Source, c.Route.Destination
	if src.Place() == dst.Place() {
		return failure.Refused("source and destination are the same place, %s: nothing to migrate", src.Place())
	}
	if err := c.checkpointInside(src, dst); err != nil {
		return err
	}
	if !c.KeepSource {
		if err := failure.RefuseCarried(ctx, c.Log, c.AllowVolatile, src.Driver, dst.Driver); err != nil {
			return err
		}
	}
	for _, bucket := range c.Route.Buckets {
		some, err := c.Catalog.Page(ctx, catalog.Selection{Buckets: []string{bucket}}, catalog.Position{}, 1)
		if err != nil {
			return err
		}
		if len(some) == 0 {
			return fmt.Errorf("--bucket %s: the catalog has no document in a bucket of that name", bucket)
		}
	}
	if c.Route.Purging && c.Route.SamePrefix() {
		return failure.Refused("source and destination give the same URIs, such as %s…: the catalog cannot say which of them holds a document", src.Prefix())
	}
	return nil
}

// checkpointInside refuses a checkpoint inside of an archive, where it would be a foreign
// file.
func (c Check) checkpointInside(archives ...store.Store) error {
	path, err := filepath.Abs(c.Checkpoint)
	if err != nil {
		return fmt.Errorf("find the checkpoint's folder: %w", err)
	}
	for _, s := range archives {
		if strings.HasPrefix("file://"+path, s.Prefix()) {
			return failure.Refused("the checkpoint %s lies inside of the archive %s, which must hold nothing else: choose another --checkpoint", path, s.Place())
		}
	}
	return nil
}

// Probe finds out what only writing shows of the two stores.
func (c Check) Probe(ctx context.Context) (probe.Found, error) {
	// No user of Anchore has such a name. It is the same for every run between the two
	// stores, so that a run takes away what a killed one left.
	key := drivers.Key{UserID: "kedge-probe", Bucket: "kedge-probe", ArchiveID: c.Migration}
	return probe.Pair{Source: c.Route.Source, Destination: c.Route.Destination, Key: key, KeepSource: c.KeepSource}.Probe(ctx)
}

// Volatile lists the places on which the deletion of sources would rely and that may not
// keep what they are given.
func (c Check) Volatile(ctx context.Context) (list []failure.Volatile, err error) {
	reasons, err := c.Catalog.Volatile(ctx)
	if err != nil {
		return nil, err
	}
	for _, reason := range reasons {
		list = append(list, failure.Volatile{Role: "catalog", Place: c.Catalog.Place(), Reason: reason})
	}
	if reason := c.Route.Destination.Capabilities().Volatile; reason != "" {
		list = append(list, failure.Volatile{Role: "destination", Place: c.Route.Destination.Place(), Reason: reason})
	}
	return list, nil
}

// RefuseVolatile refuses to delete sources for such places, with a failure.VolatileError.
func (c Check) RefuseVolatile(ctx context.Context) error {
	list, err := c.Volatile(ctx)
	if err != nil {
		return err
	}
	if err := failure.RefuseVolatile(c.Log, !c.KeepSource && !c.AllowVolatile, list...); err != nil {
		return err
	}
	failure.WarnVolatileCheckpoint(c.Log, c.Checkpoint)
	return nil
}
