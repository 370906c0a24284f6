package tree

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/kedge/kedge/drivers"
)

// storage is the folder that every registry's storage has.
const storage = root + "v2"

// NoRegistryError says that a store holds no registry's storage.
type NoRegistryError struct {
	Place string
	// Empty: it holds nothing at all.
	Empty bool
	// Mend says what to write instead, "" where nothing tells.
	Mend string
}

// Error says what is missing, and what to do.
func (e *NoRegistryError) Error() string {
	switch {
	case e.Mend != "":
		return fmt.Sprintf("%s holds no registry's storage, no %s: %s", e.Place, storage, e.Mend)
	case e.Empty:
		return fmt.Sprintf("%s is empty, there is no %s: is rootdirectory right, and the volume mounted? Or was the registry moved away already?", e.Place, storage)
	default:
		return fmt.Sprintf("%s holds no registry's storage, no %s: is rootdirectory right?", e.Place, storage)
	}
}

// Holds fails with a *NoRegistryError where a store holds no registry's storage,
// be it an empty one: a rootdirectory that leads elsewhere would otherwise look like
// a registry without images.
func Holds(ctx context.Context, s Store) error {
	there, err := anyBelow(ctx, s, storage+"/", "")
	if err != nil || there != "" {
		return err
	}
	uri, err := s.PathURI(storage)
	if err != nil {
		return err
	}
	switch _, err := s.Stat(ctx, uri); {
	case err == nil, drivers.KindOf(err) == drivers.NotFound:
	case drivers.KindOf(err) == drivers.Other:
		return context.Cause(ctx) // something is there that is no file: the folder
	default:
		return err
	}
	e := &NoRegistryError{Place: s.Place()}
	first, err := anyBelow(ctx, s, "", "")
	if err != nil {
		return e // what else lies there is nobody's promise to be listed
	}
	e.Empty = first == ""
	e.Mend = nearMiss(ctx, s, first)
	return e
}

// anyBelow gives the first path below prefix and behind after, "" where there is
// none.
func anyBelow(ctx context.Context, s Store, prefix, after string) (first string, err error) {
	return firstOf(ctx, s, prefix, after, func(path string) bool { return !own(path) })
}

// firstListed gives the first path with a prefix, be it one of kedge's own.
func firstListed(ctx context.Context, s Store, prefix string) (string, error) {
	return firstOf(ctx, s, prefix, "", func(string) bool { return true })
}

func firstOf(ctx context.Context, s Store, prefix, after string, counts func(path string) bool) (first string, err error) {
	err = s.ListAfter(ctx, prefix, after, func(path string, _ drivers.Info) error {
		if !counts(path) {
			return nil
		}
		first = path
		return errEnough
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return first, err
}

const (
	// foldersLooked is how many folders are looked into for a registry's storage,
	// and foldersNamed how many are named.
	foldersLooked, foldersNamed = 200, 5
)

// nearMiss says what rootdirectory should be, where the storage lies above or below
// it; first is the first path that lies there.
func nearMiss(ctx context.Context, s Store, first string) string {
	for _, up := range []struct{ below, extra string }{
		{"registry/v2/", "/docker"}, {"v2/blobs/", "/docker/registry"}, {"v2/repositories/", "/docker/registry"},
		{"blobs/sha256/", "/docker/registry/v2"}, {"repositories/", "/docker/registry/v2"},
	} {
		if found, err := anyBelow(ctx, s, up.below, ""); err == nil && found != "" {
			return fmt.Sprintf("rootdirectory leads into one; write it without %s at its end", up.extra)
		}
	}
	var found []string
	for range foldersLooked {
		folder, _, below := strings.Cut(first, "/")
		if first == "" || len(found) > foldersNamed {
			break
		}
		if below {
			if inside, err := anyBelow(ctx, s, folder+"/"+storage+"/", ""); err == nil && inside != "" {
				found = append(found, fmt.Sprintf("%q", folder))
			}
			first = folder + "0" // behind all that lies in it: a zero follows the slash
		}
		var err error
		if first, err = anyBelow(ctx, s, "", first); err != nil {
			break
		}
	}
	if len(found) == 0 {
		return ""
	}
	return "one lies in the folder " + strings.Join(found[:min(len(found), foldersNamed)], ", ") + " below it; write rootdirectory with that at its end"
}
