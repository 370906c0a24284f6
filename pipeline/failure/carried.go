package failure

import (
	"context"
	"slices"

	"github.com/kedge/kedge/drivers"
)

// RefuseCarried refuses, with a RefusedError, to delete at a source whose backend says that
// it carries deletions on to the destination.
func RefuseCarried(ctx context.Context, source, destination drivers.Driver) error {
	carrier, ok := source.(drivers.Carrier)
	if !ok || !slices.Contains(carrier.CarriesDeletions(ctx), destination.Prefix()) {
		return nil
	}
	return Refused("what is deleted at %s is deleted at %s, too: a replication of the source carries delete markers on (end it, or take DeleteMarkerReplication from its rule, before sources are deleted; or keep them, with --nodelete)", source.Place(), destination.Prefix())
}
