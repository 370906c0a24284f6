package failure

import (
	"context"
	"log/slog"
	"slices"

	"github.com/kedge/kedge/drivers"
)

// RefuseCarried refuses, with a RefusedError, to delete at a source whose backend says that
// it carries deletions on to the destination. That tells places by their names, without
// their servers: so an operator who knows better may allow it, and is told.
func RefuseCarried(ctx context.Context, log *slog.Logger, allow bool, source, destination drivers.Driver) error {
	carrier, ok := source.(drivers.Carrier)
	if !ok || !slices.Contains(carrier.CarriesDeletions(ctx), destination.Prefix()) {
		return nil
	}
	if allow {
		log.WarnContext(ctx, "the source says that it carries deletions on to a place of the destination's name", "place", destination.Place())
		return nil
	}
	return Refused("what is deleted at %s is deleted at %s, too: a replication of the source carries deletions on (end it, or take DeleteMarkerReplication from its rule, before sources are deleted; or keep them, with --nodelete; or give --allow-volatile if that is another server's place of this name)", source.Place(), destination.Prefix())
}
