package tree

import (
	"context"
	"crypto/rand"
	"fmt"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/pipeline/failure"
)

// probe writes a small file to the destination and looks for it at the source.
// Two stores may be one place under two names, and then emptying the source would
// delete what was moved. It also shows, before the start, that the destination
// can be written and the source can be read. The path is the same for every run,
// so that a run takes away what a killed one left.
func (m *migration) probe(ctx context.Context) error {
	uri, err := m.Destination.PathURI(probePath)
	if err != nil {
		return err
	}
	// Nobody looks at the source before: a mount would remember that nothing was there.
	content := []byte("kedge probe " + rand.Text() + "\n")
	if _, err := m.Destination.Put(ctx, uri, drivers.InMemory(content, md5Hex(content))); err != nil {
		return fmt.Errorf("the destination cannot be written: %w", err)
	}
	found, err := m.readSmall(ctx, m.Source, probePath, int64(len(content)))
	if derr := m.Destination.Delete(context.WithoutCancel(ctx), uri); derr != nil {
		return fmt.Errorf("the probe at the destination cannot be removed: %w", derr)
	}
	switch kind := drivers.KindOf(err); {
	case err == nil && string(found) == string(content):
		return failure.Refused("source and destination are the same place under two names: what is written to %s appears at %s", m.Destination.Place(), m.Source.Place())
	case err != nil && kind != drivers.NotFound && kind != drivers.TooLarge:
		return fmt.Errorf("the source cannot be read: %w", err)
	case kind != drivers.NotFound && !m.KeepSource:
		// Left by a killed run that moved into what is the source now.
		old, err := m.Source.PathURI(probePath)
		if err == nil {
			err = m.Source.Delete(ctx, old)
		}
		if err != nil {
			return fmt.Errorf("the source cannot be emptied: %w", err)
		}
	}
	return nil
}
