package tree

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/pipeline/failure"
)

// moveLayers copies the layer links, and what else there is in repositories but
// manifests and tags.
func (m *migration) moveLayers(ctx context.Context) error {
	return m.overRanges(ctx, inside(m.Repositories), func(ctx context.Context, p *page) error {
		var links, files []*item
		for _, it := range p.items {
			switch {
			case it.class == classLayer:
				links = append(links, it)
			case it.class == classUpload && !m.Uploads:
				it.skipped = true
				it.counts.Uploads = 1
			case it.class == classOther, it.class == classUpload:
				files = append(files, it)
			default:
				it.skipped = true // their turn comes
			}
		}
		if err := m.each(ctx, links, m.copyLink); err != nil {
			return err
		}
		if err := m.confirm(ctx, links); err != nil {
			return err
		}
		if len(files) == 0 {
			return nil
		}
		others := &page{items: files, after: p.after, revived: p.revived}
		if err := m.copyPage(ctx, others); err != nil {
			return err
		}
		p.outcome.proofs, p.outcome.forget = others.outcome.proofs, others.outcome.forget
		return nil
	})
}

// copyLink makes a link at the destination, if that holds the blob which the
// link names.
func (m *migration) copyLink(ctx context.Context, it *item) error {
	if taken, err := m.isTaken(ctx, it); taken || err != nil {
		return err
	}
	if it.there && it.src.Bytes == it.dst.Bytes && it.digest != "" && it.src.Version == it.dst.Version && it.dst.Version == md5Hex([]byte(it.digest)) {
		// Both hold what their path says; their checksums tell.
		it.content = []byte(it.digest)
	} else if err := m.readLink(ctx, it); err != nil || it.failure != nil || it.skipped {
		return err
	}
	target, err := parseLink(it.content)
	if err != nil {
		return it.fail(ctx, ClassBadLink, err)
	}
	if it.class == classCurrent {
		if known, err := m.tagged(ctx, it, target); err != nil || !known {
			return err
		}
	}
	if err := m.needBlob(ctx, target); err != nil {
		return m.withoutBlob(ctx, it, target, err)
	}
	same, err := m.sameLink(ctx, it)
	if err != nil {
		return it.fail(ctx, failure.ClassVerify, err)
	}
	if same {
		it.held, it.already = true, true
		it.count(int64(len(it.content)), 0)
		return nil
	}
	uri, err := m.Destination.PathURI(it.path)
	if err != nil {
		return it.fail(ctx, failure.ClassPut, err)
	}
	receipt, err := m.Destination.Put(ctx, uri, drivers.InMemory(it.content, md5Hex(it.content)))
	if err != nil {
		return it.fail(ctx, failure.ClassPut, err)
	}
	it.receipt = &receipt
	return nil
}

func md5Hex(b []byte) string {
	sum := md5.Sum(b)
	return hex.EncodeToString(sum[:])
}

// readLink reads a link at the source. One that was deleted since it had been
// listed is nothing to move.
func (m *migration) readLink(ctx context.Context, it *item) error {
	content, err := m.readSmall(ctx, m.Source, it.path, maxLinkBytes)
	switch {
	case drivers.KindOf(err) == drivers.NotFound:
		it.skipped = true
		return nil
	case err != nil:
		return it.fail(ctx, failure.ClassFetch, err)
	}
	it.content = content
	return nil
}

// readSmall reads a file of at most most bytes.
func (m *migration) readSmall(ctx context.Context, s Store, path string, most int64) (content []byte, err error) {
	uri, err := s.PathURI(path)
	if err != nil {
		return nil, err
	}
	for attempt := 1; ; attempt++ {
		content, err = readWhole(ctx, s, uri, most)
		if err == nil || drivers.KindOf(err) != drivers.Temporary || attempt == readAttempts {
			return content, err
		}
	}
}

func readWhole(ctx context.Context, s drivers.Driver, uri string, most int64) ([]byte, error) {
	body, info, err := s.Get(ctx, uri)
	if err != nil {
		return nil, err
	}
	defer body.Close() // read only: nothing can be lost by it
	if info.Bytes > most {
		return nil, &drivers.Error{Op: "get", URI: uri, Kind: drivers.TooLarge, Err: fmt.Errorf("%d bytes, too long for what it should be", info.Bytes)}
	}
	return io.ReadAll(body)
}

// sameLink says whether the destination has this link already.
func (m *migration) sameLink(ctx context.Context, it *item) (bool, error) {
	if !it.there || it.dst.Bytes != int64(len(it.content)) {
		return false, nil
	}
	if it.dst.Version == md5Hex(it.content) {
		return true, nil
	}
	content, err := m.readSmall(ctx, m.Destination, it.path, maxLinkBytes)
	if drivers.KindOf(err) == drivers.NotFound {
		return false, nil
	}
	return bytes.Equal(content, it.content), err
}

// tagged says whether a tag names a manifest that was there when the pass began.
// One that was pushed later may lack layers at the destination.
func (m *migration) tagged(ctx context.Context, it *item, target digest) (bool, error) {
	revision := revisionPath(it.repository, target)
	known, err := m.state.listed(classRevision, revision)
	if err != nil || known {
		return known, err
	}
	_, there, err := stat(ctx, m.Source, revision)
	switch {
	case there:
		return false, it.fail(ctx, ClassChanged, fmt.Errorf("the tag names %s, which was pushed after the run had begun: run again", target))
	case drivers.KindOf(err) == drivers.NotFound:
		return false, it.fail(ctx, ClassDangling, fmt.Errorf("the tag names %s, which is no manifest of the repository", target))
	default:
		return false, it.fail(ctx, failure.ClassFetch, err)
	}
}

// errNoBlob says that the source does not have a blob.
var errNoBlob = errors.New("the source has no such blob")

// failedBlob says that a blob failed in this pass.
type failedBlob struct{ Failure }

func (f *failedBlob) Error() string { return f.Class + ": " + f.Reason }

// withoutBlob is a link whose blob the destination does not hold: it is not
// made. What deleting manifests and collecting garbage leaves behind in a
// registry, layer links and history without blobs, is no failure.
func (m *migration) withoutBlob(ctx context.Context, it *item, target digest, err error) error {
	var failed *failedBlob
	switch {
	case errors.Is(err, errNoBlob) && (it.class == classLayer || it.class == classIndex):
		it.skipped = true
		it.counts.Dangling = 1
		return nil
	case errors.Is(err, errNoBlob):
		return it.fail(ctx, ClassDangling, fmt.Errorf("names %s, which the source does not have", target))
	case errors.As(err, &failed):
		return it.fail(ctx, ClassBlobNotMoved, fmt.Errorf("names %s, which was not moved: %w", target, err))
	default:
		return err
	}
}

// needBlob makes sure that the destination holds a blob. It fails with errNoBlob
// or *failedBlob; any other error ends the run.
func (m *migration) needBlob(ctx context.Context, d digest) error {
	path := d.blobPath()
	if held, err := m.holdsBlob(path); err != nil || held {
		return err
	}
	// Not in the listing of blobs, or pushed since: it is copied now, once.
	_, err, _ := m.blobs.Do(path, func() (any, error) {
		if held, err := m.holdsBlob(path); err != nil || held {
			return nil, err
		}
		f, failed, err := m.state.failure(path)
		if err != nil {
			return nil, err
		}
		if failed {
			return nil, &failedBlob{f}
		}
		return nil, m.copySingle(ctx, path)
	})
	return err
}

// holdsBlob says whether the destination was found in this pass to hold a blob.
// Where blobs are listed, the listing has dropped what does not hold any more.
func (m *migration) holdsBlob(path string) (bool, error) {
	p, found, err := m.state.proof(path)
	return found && (len(m.Repositories) == 0 || p.pass == m.result.Pass), err
}

// copySingle copies a blob outside of the listing of blobs.
func (m *migration) copySingle(ctx context.Context, path string) error {
	it := &item{place: classify(path), path: path}
	var err error
	if it.src, _, err = stat(ctx, m.Source, path); drivers.KindOf(err) == drivers.NotFound {
		return errNoBlob
	}
	if err == nil {
		it.dst, it.there, err = stat(ctx, m.Destination, path)
		if drivers.KindOf(err) == drivers.NotFound {
			err = nil
		}
	}
	if err != nil {
		return m.recordSingle(ctx, it, it.fail(ctx, failure.ClassFetch, err))
	}
	proven, found, err := m.state.proof(path)
	if err != nil {
		return err
	}
	err = m.put(ctx, it, proven, found, m.result.Resumed)
	if err == nil {
		it.proof.pass = m.result.Pass
		err = m.confirmSingle(ctx, it)
	}
	return m.recordSingle(ctx, it, err)
}

// confirmSingle is confirm for a file whose worker holds a slot already.
func (m *migration) confirmSingle(ctx context.Context, it *item) error {
	if it.receipt == nil || it.failure != nil {
		return nil
	}
	if syncer, ok := m.Destination.(drivers.Syncer); ok && m.Destination.Capabilities().NeedsSync {
		if err := syncer.Sync(ctx); err != nil {
			return err
		}
	}
	return m.confirmOne(ctx, it)
}

func (m *migration) recordSingle(ctx context.Context, it *item, err error) error {
	if err == nil && it.failure != nil {
		err = failure.GaveUp(m.stores()...)
	}
	if err != nil {
		return err
	}
	p := &page{items: []*item{it}}
	if it.held {
		p.outcome.proofs = map[string]proof{it.path: it.proof}
	}
	if err := m.record(p); err != nil {
		return err
	}
	if it.failure != nil {
		if err := m.judge(it); err != nil {
			return err
		}
		return &failedBlob{*it.failure}
	}
	return nil
}

func stat(ctx context.Context, s Store, path string) (info drivers.Info, there bool, err error) {
	uri, err := s.PathURI(path)
	if err != nil {
		return info, false, err
	}
	info, err = s.Stat(ctx, uri)
	return info, err == nil, err
}
