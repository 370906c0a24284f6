package tree

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/pipeline/canary"
	"github.com/kedge/kedge/pipeline/failure"
)

// compare goes through the whole source once more before anything is deleted
// there, and demands that the destination holds, proved, every file of it. It is
// what notices that a registry went on being written to. Nothing is deleted
// where anything is amiss, now or earlier in this pass.
func (m *migration) compare(ctx context.Context) error {
	if err := m.stopOnFailures(); err != nil || m.result.SourceKept {
		return err
	}
	ranges := inside(m.Repositories)
	if len(m.Repositories) == 0 {
		ranges = append(ranges, outside()...)
	}
	err := m.overProofs(ctx, ranges, m.each, m.compareOne)
	if err != nil || m.cut.Load() {
		return err
	}
	return m.stopOnFailures()
}

func (m *migration) compareOne(ctx context.Context, it *item, proven proof, found bool) error {
	good, err := m.proves(ctx, it, proven, found)
	switch {
	case errors.Is(err, errNoBlob):
		return nil // left where it is
	case err != nil:
		return it.fail(ctx, failure.ClassVerify, err)
	case !good:
		return it.fail(ctx, ClassChanged, errors.New("the source has it and the destination does not, or not the same: was the registry still being written to?"))
	}
	return nil
}

// overPage works on the files of a page.
type overPage func(ctx context.Context, items []*item, work func(context.Context, *item) error) error

// shortestFirst begins with the shortest files, one by one, until it is known that
// deletions do not reach the destination: the payload of each of these is kept.
func (m *migration) shortestFirst(ctx context.Context, items []*item, work func(context.Context, *item) error) error {
	if m.deletions.Known() {
		return m.each(ctx, items, work)
	}
	items = slices.SortedStableFunc(slices.Values(items), func(a, b *item) int { return cmp.Compare(a.dst.Bytes, b.dst.Bytes) })
	for ; len(items) > 0 && !m.deletions.Known(); items = items[1:] {
		if err := m.each(ctx, items[:1], work); err != nil {
			return err
		}
	}
	return m.each(ctx, items, work)
}

// overProofs does something with every file of some ranges, but for those that are
// not moved, and with what is recorded of its proof; all goes through the files of a page.
// It counts none of them.
func (m *migration) overProofs(ctx context.Context, ranges []keyRange, all overPage, do func(ctx context.Context, it *item, proven proof, found bool) error) error {
	return m.overRanges(ctx, ranges, func(ctx context.Context, p *page) error {
		known, err := m.state.proofs(p.after, p.items[len(p.items)-1].path)
		if err != nil {
			return err
		}
		return all(ctx, p.items, func(ctx context.Context, it *item) error {
			it.skipped = true
			if m.leaves(it) {
				return nil
			}
			proven, found := known[it.path]
			return do(ctx, it, proven, found)
		})
	})
}

// stopOnFailures lets nothing more be deleted in a pass in which anything failed.
func (m *migration) stopOnFailures() error {
	_, failed, err := groupFailures(m.state, nil)
	m.result.SourceKept = failed > 0
	return err
}

// leaves says whether a file is none of those that are moved.
func (m *migration) leaves(it *item) bool {
	return own(it.path) || it.class == classUpload && !m.Uploads
}

// proves says whether the destination holds a file of the source: a blob or
// other file as it was when it was proved, a link with the same content. It fails
// with errNoBlob for a link that was not made because its blob does not exist.
func (m *migration) proves(ctx context.Context, it *item, proven proof, found bool) (bool, error) {
	if !it.class.link() {
		return it.there && found && proven.stored != "" && proven.stored == it.dst.Version && proven.bytes == it.dst.Bytes &&
			it.src.Bytes == it.dst.Bytes && (it.class == classBlob || proven.source == it.src.Version), nil
	}
	content, err := m.readSmall(ctx, m.Source, it.path, maxLinkBytes)
	if err != nil {
		return false, err
	}
	it.content = content
	if !it.there {
		if it.class == classLayer || it.class == classIndex {
			return false, m.dangles(ctx, content)
		}
		return false, nil
	}
	if it.dst.Version == md5Hex(content) {
		return true, nil
	}
	stored, err := m.readSmall(ctx, m.Destination, it.path, maxLinkBytes)
	return err == nil && bytes.Equal(stored, content), err
}

// dangles fails with errNoBlob for a link to a blob that the source does not
// have.
func (m *migration) dangles(ctx context.Context, content []byte) error {
	target, err := parseLink(content)
	if err != nil {
		return nil
	}
	if _, _, err = stat(ctx, m.Source, target.blobPath()); drivers.KindOf(err) == drivers.NotFound {
		return errNoBlob
	}
	return err
}

// deletes makes the phase that removes the files of some classes from the source,
// each only where the destination is seen, at this moment, to hold it.
func (m *migration) deletes(ranges []keyRange, classes ...class) func(context.Context) error {
	return func(ctx context.Context) error {
		err := m.overProofs(ctx, ranges, m.shortestFirst, func(ctx context.Context, it *item, proven proof, found bool) error {
			if !slices.Contains(classes, it.class) {
				return nil
			}
			return m.deleteOne(ctx, it, proven, found)
		})
		if err != nil {
			return err
		}
		// What could not be deleted may need what comes next.
		return m.stopOnFailures()
	}
}

func (m *migration) deleteOne(ctx context.Context, it *item, proven proof, found bool) error {
	good, err := m.proves(ctx, it, proven, found)
	switch {
	case errors.Is(err, errNoBlob), drivers.KindOf(err) == drivers.NotFound:
		return nil // left where it is, or gone already
	case err != nil:
		return it.fail(ctx, failure.ClassDelete, err)
	case !good:
		return it.fail(ctx, failure.ClassDelete, errors.New("the destination does not hold it any more as it was proved"))
	}
	return m.deleteSource(ctx, it)
}

// deleteSource deletes a file at the source, the first of a run by itself.
func (m *migration) deleteSource(ctx context.Context, it *item) error {
	d := canary.Document{Name: it.path, MD5: "", Bytes: -1}
	var err error
	if d.Source, err = m.Source.PathURI(it.path); err == nil {
		d.Destination, err = m.Destination.PathURI(it.path)
	}
	if err != nil {
		return it.fail(ctx, failure.ClassDelete, fmt.Errorf("delete: %w", err))
	}
	d.Back, d.Bytes = d.Source, it.dst.Bytes
	var ended error
	remove := func(ctx context.Context, _ int) error {
		err := m.Source.Delete(ctx, d.Source)
		if err == nil {
			it.counts.Deleted = 1
		} else {
			ended = it.fail(ctx, failure.ClassDelete, fmt.Errorf("delete: %w", err))
		}
		return err
	}
	list := []canary.Document{d}
	rest, err := m.deletions.First(ctx, list, canary.Deletion{
		Delete: remove,
		Leave:  func(_ int, reason error) { ended = it.fail(ctx, failure.ClassDelete, reason) },
	})
	if err != nil || len(rest) == 0 || remove(ctx, 0) != nil {
		return errors.Join(err, ended)
	}
	return m.deletions.Removed(ctx, list)
}
