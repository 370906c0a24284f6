package guard

import (
	"context"
	"strings"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/pipeline/catalog"
	"github.com/kedge/kedge/pipeline/survey"
)

// NamedAlike says whether another document's row names the file that a row's source is,
// because the source does not tell the two names apart.
func (g Guard) NamedAlike(ctx context.Context, d catalog.Document) (bool, error) {
	uri, err := g.Source.URI(d.Key)
	if err != nil {
		return false, nil
	}
	var keys []drivers.Key
	for _, c := range g.Alike.Source.Of(uri) {
		if c.Key != d.Key {
			keys = append(keys, c.Key)
		}
	}
	if len(keys) == 0 {
		return false, nil
	}
	rows, err := g.Catalog.Rows(ctx, keys)
	if err != nil {
		return false, err
	}
	for _, row := range rows {
		if !row.NoURI && survey.Name(row.URI) == survey.Name(d.URI) {
			return true, nil
		}
	}
	return false, nil
}

// Named says whether another row names the payload at this URI of the source, be it under
// another spelling.
func (g Guard) Named(ctx context.Context, row catalog.Document, uri string) (bool, error) {
	src := g.Source
	if row.NoURI || !strings.HasPrefix(row.URI, src.Scheme()) {
		return false, nil
	}
	if survey.Meet(src, row.URI, uri) || survey.Normal(row.URI) == survey.Normal(uri) || g.Alike.SourceFolds && survey.Name(row.URI) == survey.Name(uri) {
		return true, nil
	}
	if !src.Capabilities().Identifies {
		return false, nil
	}
	theirs, err := src.Stat(ctx, row.URI)
	if err == nil {
		var ours drivers.Info
		ours, err = src.Stat(ctx, uri)
		if err == nil {
			return ours.Identity != "" && ours.Identity == theirs.Identity, nil
		}
	}
	switch drivers.KindOf(err) {
	case drivers.NotFound, drivers.InvalidKey:
		return false, nil // one of them is not there, or cannot be
	default:
		return false, err
	}
}

// OneFile says whether a payload at the source and one at the destination are one and the
// same, as when a directory of the one store is mounted inside of the other. Only where
// both stores identify payloads.
func (g Guard) OneFile(ctx context.Context, source, destination string) (bool, error) {
	there, err := g.Source.Stat(ctx, source)
	if drivers.KindOf(err) == drivers.NotFound {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	dest, err := g.Destination.Stat(ctx, destination)
	return err == nil && there.Identity == dest.Identity, err
}
