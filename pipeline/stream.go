package pipeline

import (
	"context"
	"io"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/pipeline/failure"
	"github.com/kedge/kedge/pipeline/forms"
	"github.com/kedge/kedge/pipeline/store"
)

// stream makes the payload of a document that is never held as a whole: opened
// again for every attempt, checked against the catalog as it passes, and
// decompressed or compressed on the way. A payload that proves wrong ends with
// that error instead of io.EOF, so that the destination stores nothing.
func (m *migration) stream(ctx context.Context, it *item) (drivers.Payload, error) {
	p := drivers.Payload{Length: -1}
	if !it.doc.Compressed {
		info, err := m.src.Stat(m.meaning(ctx, it), it.doc.URI)
		if err != nil {
			return p, err
		}
		it.fetchedBytes = info.Bytes
		if it.compressed = !m.route.KeepsForm() && m.dst.Compresses(info.Bytes); it.compressed {
			p.Open = func(ctx context.Context) (io.ReadCloser, error) {
				r, err := m.openChecked(ctx, it)
				if err != nil {
					return nil, err
				}
				return forms.NewDeflateReader(r), nil
			}
			return p, nil
		}
		p.Length, p.MD5 = info.Bytes, it.doc.Digest
		p.Open = m.opener(it)
		return p, nil
	}
	var plainBytes int64
	err := store.Again(ctx, m.src, func() (err error) {
		plainBytes, err = m.inflateThrough(ctx, it)
		return err
	})
	if err != nil {
		return p, err
	}
	if it.compressed = m.route.KeepsForm() || m.dst.Compresses(plainBytes); it.compressed {
		p.Length, p.MD5 = it.fetchedBytes, it.doc.Digest
		p.Open = m.opener(it)
		return p, nil
	}
	p.Length = plainBytes
	p.Open = func(ctx context.Context) (io.ReadCloser, error) {
		r, err := m.openChecked(ctx, it)
		if err != nil {
			return nil, err
		}
		return forms.NewInflateReader(r), nil
	}
	return p, nil
}

// opener opens a payload that keeps its form, at the source.
func (m *migration) opener(it *item) func(context.Context) (io.ReadCloser, error) {
	return func(ctx context.Context) (io.ReadCloser, error) {
		if it.carriage != streamedUnchecked {
			return m.openChecked(ctx, it)
		}
		r, info, err := store.Open(m.meaning(ctx, it), m.src, it.doc.URI)
		if err != nil {
			return nil, failure.Classed(failure.ClassFetch, err)
		}
		it.fetchedBytes = info.Bytes
		return &passedOn{r}, nil
	}
}

// passedOn is a payload that the destination checks.
type passedOn struct{ io.ReadCloser }

// Read says of what breaks off that it did so at the source.
func (r *passedOn) Read(p []byte) (int, error) {
	n, err := r.ReadCloser.Read(p)
	if err != nil && err != io.EOF {
		err = failure.Classed(failure.ClassFetch, err)
	}
	return n, err
}

// checkedThere says whether the destination itself compares a streamed payload
// with the catalog's digest, and says with its receipt that they are equal.
// Computing the MD5 here too would be most of what a large document costs. What
// other rows name too is not risked for that.
func (m *migration) checkedThere(it *item, p drivers.Payload) bool {
	return !it.siblings && p.MD5 != "" && p.Length > 0 && p.Length <= m.dst.Capabilities().PassBytes && !m.provesNothing.Load()
}

// putUnchecked puts a payload that the destination checks. Where it does not say
// that it holds what the catalog says, the payload is put once more and looked
// at here, for what is wrong with it to be found. A destination that says nothing
// of what it holds is not relied on again.
func (m *migration) putUnchecked(ctx context.Context, it *item, p drivers.Payload) (drivers.Receipt, error) {
	it.carriage = streamedUnchecked
	receipt, err := m.dst.Put(ctx, it.dest, p)
	it.carriage = streamed
	switch {
	case err == nil && receipt.ProvenMD5 == p.MD5:
		if !it.doc.Compressed {
			it.plainDigest, it.plainBytes = p.MD5, p.Length
		}
		return receipt, nil
	case err == nil && receipt.ProvenMD5 == "":
		m.provesNothing.Store(true)
	case err != nil && drivers.KindOf(err) != drivers.Corrupt:
		return receipt, err
	}
	stored := err == nil
	it.receipt = receipt
	receipt, err = m.dst.Put(ctx, it.dest, p)
	if err != nil && stored {
		err = m.takeBack(ctx, it, err)
	}
	return receipt, err
}

// inflateThrough reads a compressed payload once to its end, for the length of
// the plain document, on which the destination's rule depends, and because a
// payload that is not sound must not be put.
func (m *migration) inflateThrough(ctx context.Context, it *item) (plainBytes int64, err error) {
	r, err := m.openChecked(ctx, it)
	if err != nil {
		return 0, err
	}
	z := forms.NewInflateReader(r)
	defer z.Close()
	it.plainDigest, it.plainBytes, err = store.Sum(z)
	return it.plainBytes, err
}

// openChecked opens a payload at the source; its end is an error when it is
// not what the catalog says.
func (m *migration) openChecked(ctx context.Context, it *item) (io.ReadCloser, error) {
	r, info, err := store.Open(m.meaning(ctx, it), m.src, it.doc.URI)
	if err != nil {
		return nil, failure.Classed(failure.ClassFetch, err)
	}
	it.fetchedBytes = info.Bytes
	return store.Checked(r, func(digest string, bytes int64) error {
		if !it.doc.Compressed {
			it.plainDigest, it.plainBytes = digest, bytes
		}
		err := store.Check(it.doc, digest, info.MD5, bytes)
		if err != nil {
			it.rotten = digest
		}
		return err
	}), nil
}
