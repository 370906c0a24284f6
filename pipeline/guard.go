package pipeline

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/pipeline/failure"
	"github.com/kedge/kedge/pipeline/store"
	"github.com/kedge/kedge/pipeline/survey"
)

// guard keeps pending items from being put where another document's payload may
// be. It returns at once when the catalog has been looked through, and waits for
// that where an item's place holds something else.
func (m *migration) guard(ctx context.Context, b *batch) error {
	items := b.carrying()
	if !m.settled.Known() {
		var unsure atomic.Bool
		err := m.destOps.Each(ctx, items, func(ctx context.Context, it *item) {
			if !unsure.Load() && !m.harmless(ctx, it) {
				unsure.Store(true)
			}
		})
		if err != nil || !unsure.Load() {
			return err
		}
		if err := m.settled.Wait(ctx); err != nil {
			return err
		}
	}
	if err := m.guardLater(ctx, items); err != nil {
		return err
	}
	for _, it := range items {
		if m.settled.IsOdd(it.dest) {
			it.fail(failure.StagePut, failure.ClassPlaceTaken, namedByAnother(it))
			continue
		}
		err := m.claimed(ctx, it)
		if err == nil {
			err = m.overAnother(ctx, it)
		}
		if err != nil {
			if cerr := context.Cause(ctx); cerr != nil {
				return cerr
			}
			it.fail(failure.StagePut, failure.ClassPlaceTaken, err)
		}
	}
	return nil
}

func namedByAnother(it *item) error {
	return fmt.Errorf("its place at the destination, %s, is named by the row of another document: putting it would overwrite that", it.dest)
}

// guardLater looks, in a later round of a Copy, whether rows name by now what would be
// overwritten: the look through the catalog is older than they may be.
func (m *migration) guardLater(ctx context.Context, items []*item) error {
	if m.round.named == nil {
		return nil
	}
	over := make([]atomic.Bool, len(items))
	at := make(map[*item]int, len(items))
	for i, it := range items {
		at[it] = i
	}
	err := m.destOps.Each(ctx, items, func(ctx context.Context, it *item) { over[at[it]].Store(!m.harmless(ctx, it)) })
	if err != nil {
		return err
	}
	for i, it := range items {
		if !over[i].Load() {
			continue
		}
		named, err := m.round.named()
		if err != nil {
			return err
		}
		if named[it.dest] {
			it.fail(failure.StagePut, failure.ClassPlaceTaken, namedByAnother(it))
		}
	}
	return nil
}

// harmless says that nothing can be lost by putting the item: nothing is there,
// or what is going to be.
func (m *migration) harmless(ctx context.Context, it *item) bool {
	info, err := m.dst.Stat(ctx, it.dest)
	if drivers.KindOf(err) == drivers.NotFound {
		return true
	}
	if err != nil || it.carriage.streamed() || info.Bytes != it.bytes {
		return false
	}
	if info.MD5 != "" {
		return info.MD5 == it.digest
	}
	digest, err := store.Digest(ctx, m.dst, it.dest)
	return err == nil && digest == it.digest
}

// claimed says why an item must not be put where it is going to be: the payload of
// another row, which Anchore has put there because of its key, is what is there.
func (m *migration) claimed(ctx context.Context, it *item) error {
	c := m.settled.Destination
	if c == nil {
		return nil
	}
	places := []string{it.dest}
	if _, awkward, _ := survey.ComesTo(it.doc.UserID + "/" + it.doc.Bucket + "/" + it.doc.ArchiveID); !awkward {
		places = survey.Places(m.dst, it.dest) // where kedge puts it, below a prefix that is resolved
	}
	var keys []drivers.Key
	for _, place := range places {
		for _, row := range c.Rows[place] {
			if row.Key != it.doc.Key {
				keys = append(keys, row.Key)
			}
		}
	}
	if len(keys) == 0 && !c.Crowded || m.harmless(ctx, it) {
		return context.Cause(ctx)
	}
	if c.Crowded {
		return fmt.Errorf("something else is at its place at the destination, %s, and too many documents of the catalog have keys by which they may be there to tell whose it is", it.dest)
	}
	rows, err := m.cat.Rows(ctx, keys)
	if err != nil {
		return err
	}
	for _, row := range rows {
		if !row.NoURI && survey.Meet(m.dst, row.URI, it.dest) {
			return fmt.Errorf("its place at the destination, %s, is where Anchore has put the document %s: putting it would overwrite that", it.dest, row.Key)
		}
	}
	return nil
}

// heldByAnother says why a document's place at the destination is another one's.
func (m *migration) heldByAnother(dest string) error {
	holder, ok := m.alike.Destination.Holder(dest)
	if !ok {
		return nil
	}
	return fmt.Errorf("its place at the destination, %s, is also that of the document %s, %s: the destination takes names that differ only in case, or in the form of their letters, for one, and putting it would overwrite that document", dest, holder.Key, holder.Place)
}

// overAnother says why a document that has the place of others too, because the
// destination does not tell their names apart, must not be put there: something else
// is there, and it may be one of these. Their rows need not say so, as where source
// and destination give the same URIs.
func (m *migration) overAnother(ctx context.Context, it *item) error {
	if len(m.alike.Destination.Of(it.dest)) == 0 || m.harmless(ctx, it) {
		return context.Cause(ctx)
	}
	return fmt.Errorf("something else is at its place at the destination, %s, which takes names that differ only in case, or in the form of their letters, for one: putting it might overwrite another document", it.dest)
}

// namedAlike says whether another document's row names the file that an item's
// source is, because the source does not tell the two names apart.
func (m *migration) namedAlike(ctx context.Context, it *item) (bool, error) {
	uri, err := m.src.URI(it.doc.Key)
	if err != nil {
		return false, nil
	}
	var keys []drivers.Key
	for _, c := range m.alike.Source.Of(uri) {
		if c.Key != it.doc.Key {
			keys = append(keys, c.Key)
		}
	}
	if len(keys) == 0 {
		return false, nil
	}
	rows, err := m.cat.Rows(ctx, keys)
	if err != nil {
		return false, err
	}
	for _, row := range rows {
		if !row.NoURI && survey.Name(row.URI) == survey.Name(it.doc.URI) {
			return true, nil
		}
	}
	return false, nil
}
