package tree

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/pipeline/failure"
)

// moveBlobs copies what lies outside of the repositories; or, where only some
// repositories are moved, the blobs that these need.
func (m *migration) moveBlobs(ctx context.Context) error {
	if len(m.Repositories) > 0 {
		return m.overRanges(ctx, inside(m.Repositories), m.moveNeeded)
	}
	return m.overRanges(ctx, outside(), m.copyPage)
}

// copyPage copies the blobs and the files of no known kind of a page.
func (m *migration) copyPage(ctx context.Context, p *page) error {
	known, err := m.state.proofs(p.after, p.items[len(p.items)-1].path)
	if err != nil {
		return err
	}
	if err := m.each(ctx, p.items, func(ctx context.Context, it *item) error {
		proven, found := known[it.path]
		return m.put(ctx, it, proven, found, p.revived)
	}); err != nil {
		return err
	}
	if err := m.confirm(ctx, p.items); err != nil {
		return err
	}
	p.outcome.proofs = map[string]proof{}
	for _, it := range p.items {
		proven, found := known[it.path]
		delete(known, it.path)
		switch {
		case it.held && it.proof != proven:
			p.outcome.proofs[it.path] = it.proof
		case !it.held && found:
			p.outcome.forget = append(p.outcome.forget, it.path)
		}
	}
	for path := range known { // the source has them no more
		p.outcome.forget = append(p.outcome.forget, path)
	}
	return nil
}

// put makes sure that the destination holds a blob or other file, or has it to
// be confirmed: it copies what is not there yet, or not proved to be there.
func (m *migration) put(ctx context.Context, it *item, proven proof, found, revived bool) error {
	if own(it.path) {
		it.skipped = true
		return nil
	}
	if taken, err := m.isTaken(ctx, it); taken || err != nil {
		return err
	}
	unchanged := it.there && found && proven.stored != "" && proven.stored == it.dst.Version && proven.bytes == it.dst.Bytes && it.src.Bytes == it.dst.Bytes
	if unchanged && (it.class == classBlob || proven.source != "" && proven.source == it.src.Version) {
		it.proof, it.held, it.already = proven, true, true
		it.count(0, 0)
		return nil
	}
	if it.there && it.class == classBlob && it.src.Bytes == it.dst.Bytes {
		good, info, err := m.reads(ctx, m.Destination, it)
		switch {
		case err != nil && drivers.KindOf(err) != drivers.NotFound:
			return it.fail(ctx, failure.ClassVerify, err)
		case good:
			it.proof = m.proofOf(it, info.Version)
			if it.proof.stored == "" {
				it.proof.stored = it.dst.Version
			}
			it.held, it.already = true, true
			it.count(0, 0)
			return nil
		}
	}
	return m.copy(ctx, it, revived)
}

func (m *migration) proofOf(it *item, stored string) proof {
	p := proof{pass: m.result.Pass, bytes: it.src.Bytes, stored: stored}
	if it.class != classBlob { // whose content cannot change
		p.source = it.src.Version
	}
	return p
}

// count fills in what the file counts for.
func (it *item) count(read, written int64) {
	it.counts = Counts{BytesRead: read, BytesWritten: written}
	switch {
	case it.class == classBlob:
		it.counts.Blobs = 1
	case it.class.link():
		it.counts.Links = 1
	default:
		it.counts.Others = 1
	}
	if it.already {
		it.counts.AlreadyThere = 1
	}
}

// copy puts a file. A blob whose bytes are not what its name says is not stored.
func (m *migration) copy(ctx context.Context, it *item, revived bool) error {
	src, err := m.Source.PathURI(it.path)
	if err != nil {
		return it.fail(ctx, failure.ClassFetch, err)
	}
	dst, err := m.Destination.PathURI(it.path)
	if err != nil {
		return it.fail(ctx, failure.ClassPut, err)
	}
	release, err := m.reserve(ctx, it.src.Bytes)
	if err != nil {
		return err
	}
	defer release()
	payload := drivers.Payload{Length: it.src.Bytes, Open: func(ctx context.Context) (io.ReadCloser, error) { return m.open(ctx, it, src) }}
	if it.src.Bytes <= inlineBytes {
		if payload, err = inline(ctx, payload); err != nil {
			return it.failCopy(ctx, err)
		}
	} else if aborter, ok := m.Destination.(drivers.Aborter); ok && revived && m.Destination.Capabilities().Uploads {
		// Where that is not permitted they stay: no reader sees them.
		if err := aborter.AbortUploads(ctx, dst); err != nil && drivers.KindOf(err) != drivers.Denied {
			return it.fail(ctx, failure.ClassPut, err)
		}
	}
	receipt, err := m.Destination.Put(ctx, dst, payload)
	if err != nil {
		return it.failCopy(ctx, err)
	}
	it.receipt = &receipt
	return nil
}

// reserve takes the memory that copying a file of so many bytes needs.
func (m *migration) reserve(ctx context.Context, bytes int64) (release func(), err error) {
	n := m.streamCost()
	if bytes <= inlineBytes {
		n = max(bytes, 1)
	}
	n = min(n, m.MemoryBytes)
	if err := m.budget.Acquire(ctx, n); err != nil {
		return nil, err
	}
	return func() { m.budget.Release(n) }, nil
}

// inline reads a short file whole.
func inline(ctx context.Context, p drivers.Payload) (drivers.Payload, error) {
	r, err := p.Open(ctx)
	if err != nil {
		return p, err
	}
	defer r.Close() // read only: nothing can be lost by it
	content, err := io.ReadAll(r)
	if err != nil {
		return p, err
	}
	sum := md5.Sum(content)
	return drivers.InMemory(content, hex.EncodeToString(sum[:])), nil
}

// sourceError says that a file could not be read, or is not what it should be.
type sourceError struct {
	class string
	err   error
}

func (e *sourceError) Error() string { return e.err.Error() }
func (e *sourceError) Unwrap() error { return e.err }

func (it *item) failCopy(ctx context.Context, err error) error {
	var source *sourceError
	if errors.As(err, &source) {
		return it.fail(ctx, source.class, source.err)
	}
	return it.fail(ctx, failure.ClassPut, err)
}

// open starts reading a file at the source; a blob is checked on the way.
func (m *migration) open(ctx context.Context, it *item, uri string) (io.ReadCloser, error) {
	body, info, err := m.Source.Get(ctx, uri)
	if err != nil {
		class := failure.ClassFetch
		if drivers.KindOf(err) == drivers.NotFound {
			class = failure.ClassMissingPayload
		}
		return nil, &sourceError{class, err}
	}
	if it.class != classBlob && it.src.Version != "" && info.Version != "" && info.Version != it.src.Version {
		_ = body.Close() // not read
		return nil, &sourceError{ClassChanged, fmt.Errorf("get %s: the file was changed after it had been listed", uri)}
	}
	r := &checked{ReadCloser: body, uri: uri, want: it.digest}
	if it.class == classBlob {
		r.hash = it.digest.hash()
	}
	return r, nil
}

// checked is a file that ends with an error in place of io.EOF when its bytes
// are not what its digest says.
type checked struct {
	io.ReadCloser
	uri  string
	want digest
	hash hash.Hash // nil where there is nothing to check
}

func (c *checked) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	if c.hash != nil {
		c.hash.Write(p[:n])
	}
	switch {
	case err == nil:
		return n, nil
	case err != io.EOF:
		return n, &sourceError{failure.ClassFetch, err}
	case c.hash != nil && !c.want.is(c.hash):
		return n, &sourceError{failure.ClassDigest, &drivers.Error{Op: "get", URI: c.uri, Kind: drivers.Corrupt,
			Err: fmt.Errorf("the blob %s is damaged: its bytes have the checksum %x", c.want, c.hash.Sum(nil))}}
	}
	return n, err
}

// confirm makes durable what was put and demands proof of it: the checksum that
// the destination computed of what it holds, else its bytes, read back.
func (m *migration) confirm(ctx context.Context, items []*item) error {
	var stored []*item
	for _, it := range items {
		if it.receipt != nil && it.failure == nil {
			stored = append(stored, it)
		}
	}
	if len(stored) == 0 {
		return nil
	}
	if syncer, ok := m.Destination.(drivers.Syncer); ok && m.Destination.Capabilities().NeedsSync {
		if err := syncer.Sync(ctx); err != nil {
			return err // what was put before may be lost too: nothing can be relied on
		}
	}
	return m.each(ctx, stored, m.confirmOne)
}

func (m *migration) confirmOne(ctx context.Context, it *item) error {
	r := it.receipt
	it.proof = m.proofOf(it, r.Version)
	if r.ProvenMD5 == "" || m.ReadBack {
		good, info, err := m.reads(ctx, m.Destination, it)
		if err != nil {
			return it.fail(ctx, failure.ClassVerify, err)
		}
		if !good {
			return m.takeBack(ctx, it)
		}
		if it.proof.stored == "" {
			it.proof.stored = info.Version
		}
	} else if r.ProvenMD5 != r.MD5 {
		return m.takeBack(ctx, it)
	}
	it.held = true
	it.count(r.Bytes, r.Bytes)
	return nil
}

// takeBack removes what the destination has made of a file: other bytes than
// were sent.
func (m *migration) takeBack(ctx context.Context, it *item) error {
	uri, err := m.Destination.PathURI(it.path)
	if err == nil {
		err = m.Destination.Delete(ctx, uri)
	}
	cause := fmt.Errorf("put %s: the destination holds other bytes than were sent", uri)
	if err != nil {
		cause = fmt.Errorf("%w, and they cannot be removed: %w", cause, err)
	}
	return it.fail(ctx, failure.ClassVerify, cause)
}

// reads reads a file of a store and says whether its bytes are right: by the
// digest of a blob, else by what was sent.
func (m *migration) reads(ctx context.Context, s Store, it *item) (good bool, info drivers.Info, err error) {
	uri, err := s.PathURI(it.path)
	if err != nil {
		return false, info, err
	}
	release, err := m.reserve(ctx, it.src.Bytes)
	if err != nil {
		return false, info, err
	}
	defer release()
	for attempt := 1; ; attempt++ {
		good, info, err = readOnce(ctx, s, uri, it)
		if err == nil || drivers.KindOf(err) != drivers.Temporary || attempt == readAttempts {
			return good, info, err
		}
	}
}

// readAttempts is how often a file is read that breaks off on its way; opening
// it is the store's own to repeat.
const readAttempts = 5

func readOnce(ctx context.Context, s drivers.Driver, uri string, it *item) (good bool, info drivers.Info, err error) {
	body, info, err := s.Get(ctx, uri)
	if err != nil {
		return false, info, err
	}
	defer body.Close() // read only: nothing can be lost by it
	h := hash.Hash(md5.New())
	if it.class == classBlob {
		h = it.digest.hash()
	}
	if _, err := io.Copy(h, body); err != nil {
		return false, info, err
	}
	if it.class == classBlob {
		return it.digest.is(h), info, nil
	}
	return it.receipt != nil && hex.EncodeToString(h.Sum(nil)) == it.receipt.MD5, info, nil
}
