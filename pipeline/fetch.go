package pipeline

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"time"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/pipeline/failure"
	"github.com/kedge/kedge/pipeline/forms"
	"github.com/kedge/kedge/pipeline/progress"
)

// fetch reads the payloads that are held in memory and checks them against the
// catalog. Streamed ones are fetched while they are put.
func (m *migration) fetch(ctx context.Context, b *batch) error {
	defer m.progress.Busy(progress.StageFetch)()
	if m.Purge {
		return m.findLeft(ctx, b)
	}
	items := b.filter(func(it *item) bool { return it.pending() && !it.streamed })
	var err error
	if batcher := m.src.batcher(); batcher != nil && m.src.Capabilities().BatchGet {
		err = m.fetchBatch(ctx, batcher, items)
	} else {
		err = m.sourceOps.Each(ctx, items, m.fetchOne)
	}
	if err != nil {
		return err
	}
	return m.judge(items, stageFetch)
}

// heldBytes is how long a payload may be to be held in memory.
func (m *migration) heldBytes(it *item) int64 {
	return max(it.doc.Bytes, it.fetchedBytes, 0)
}

func (m *migration) fetchBatch(ctx context.Context, batcher drivers.Batcher, items []*item) error {
	if len(items) == 0 {
		return nil
	}
	requests := make([]drivers.GetRequest, len(items))
	for i, it := range items {
		requests[i] = drivers.GetRequest{URI: it.doc.URI, MaxBytes: m.heldBytes(it)}
	}
	var results []drivers.GetResult
	if err := m.sourceOps.One(ctx, items, func() { results = batcher.GetBatch(ctx, requests) }); err != nil {
		return err
	}
	for i, it := range items {
		m.fetched(ctx, it, results[i].Payload, results[i].Info.MD5, results[i].Err)
	}
	return cancelled(ctx)
}

func (m *migration) fetchOne(ctx context.Context, it *item) {
	var payload []byte
	var told string
	err := again(ctx, m.src, func() (err error) {
		payload, told, err = readWhole(m.meaning(ctx, it), m.src, it.doc.URI, m.heldBytes(it))
		return err
	})
	m.fetched(ctx, it, payload, told, err)
}

// bodyAttempts is how often a payload is opened whose body breaks off: a
// driver's retries end when the body has begun.
const bodyAttempts = 8

// unopened is why a payload could not even be opened, for which a driver's
// retries have been made already.
type unopened struct{ error }

func (u *unopened) Unwrap() error { return u.error }

// again repeats what fails at a store for a reason that may pass.
func again(ctx context.Context, s Store, do func() error) error {
	for attempt := 1; ; attempt++ {
		err := do()
		var final *unopened
		if err == nil || attempt == bodyAttempts || drivers.KindOf(err) != drivers.Temporary || errors.As(err, &final) {
			return err
		}
		s.Meter.Retried()
		select {
		case <-time.After(rand.N(time.Duration(attempt) * 400 * time.Millisecond)):
		case <-ctx.Done():
			return err
		}
	}
}

// errLonger says that a payload is longer than there is memory reserved for.
var errLonger = &drivers.Error{Op: "get", Kind: drivers.TooLarge, Err: fmt.Errorf("longer than the catalog says")}

// readWhole reads a payload of at most limit bytes, and gives the MD5 that the
// store tells of it, "" where it tells none.
func readWhole(ctx context.Context, d drivers.Driver, uri string, limit int64) (payload []byte, told string, err error) {
	r, info, err := d.Get(ctx, uri)
	if err != nil {
		return nil, "", &unopened{err}
	}
	defer r.Close()
	if info.Bytes > limit {
		return nil, "", errLonger
	}
	payload = make([]byte, info.Bytes)
	if _, err := io.ReadFull(r, payload); err != nil {
		return nil, "", err
	}
	// The driver says whether the payload ended where it should.
	if _, err := io.Copy(io.Discard, r); err != nil {
		return nil, "", err
	}
	return payload, info.MD5, nil
}

// fetched takes a payload, with the MD5 that the source tells of it, or the
// reason why there is none.
func (m *migration) fetched(ctx context.Context, it *item, payload []byte, told string, err error) {
	switch {
	case err == nil && m.hashedThere(it, told, int64(len(payload))):
		it.payload, it.digest, it.bytes = payload, it.doc.Digest, int64(len(payload))
		it.fetchedBytes, it.unhashed = it.bytes, true
		m.progress.Passed(progress.StageFetch, it)
	case err == nil:
		sum := md5.Sum(payload)
		if err := checkPayload(it, hex.EncodeToString(sum[:]), told, int64(len(payload))); err != nil {
			if it.revived {
				err = m.takeBackCopy(ctx, it, hex.EncodeToString(sum[:]), err)
			}
			it.fail(stageFetch, failure.ClassOf(err, failure.ClassFetch), err)
			return
		}
		it.payload, it.digest, it.bytes = payload, hex.EncodeToString(sum[:]), int64(len(payload))
		it.fetchedBytes = it.bytes
		m.progress.Passed(progress.StageFetch, it)
	case drivers.KindOf(err) == drivers.TooLarge:
		it.streamed = true
	default:
		m.notFetched(ctx, it, err)
	}
}

// notFetched deals with a payload that could not be read at the source.
func (m *migration) notFetched(ctx context.Context, it *item, err error) {
	switch {
	case drivers.KindOf(err) != drivers.NotFound:
		it.fail(stageFetch, failure.ClassOf(err, failure.ClassFetch), err)
	case m.samePrefix() && m.alreadyThere(ctx, it):
		it.moved, it.earlier, it.counted = true, true, m.sweeping
		it.compressed, it.digest, it.bytes = it.doc.Compressed, it.doc.Digest, it.doc.Bytes
	default:
		it.fail(stageFetch, failure.ClassMissingPayload, err)
	}
}

// checkPayload compares what was read with what the catalog says of it. A row
// of an old installation may have no digest; its length then has to do, and what
// the store itself says of the payload (told, "" for nothing): that does not
// prove that it is what was put once, but that it came over the wire as it is
// stored.
func checkPayload(it *item, digest, told string, bytes int64) error {
	switch {
	case it.doc.Digest != "" && digest != it.doc.Digest:
		return failure.Classed(failure.ClassDigest, fmt.Errorf("the catalog's digest is %s, the payload's is %s (%d bytes)", it.doc.Digest, digest, bytes))
	case it.doc.Digest == "" && it.doc.Bytes >= 0 && bytes != it.doc.Bytes:
		return failure.Classed(failure.ClassLength, fmt.Errorf("the catalog says %d bytes (and has no digest), the payload has %d", it.doc.Bytes, bytes))
	case it.doc.Digest == "" && told != "" && digest != told:
		return failure.Classed(failure.ClassDigest, fmt.Errorf("the catalog has no digest; the store says that its MD5 is %s, that of the payload as it arrived is %s (%d bytes)", told, digest, bytes))
	default:
		return nil
	}
}

// alreadyThere says whether the destination holds, with its digest, a document
// that is no longer at the source. It matters where both give the same URIs,
// so that the catalog cannot say that it was moved by an interrupted run.
func (m *migration) alreadyThere(ctx context.Context, it *item) bool {
	if it.doc.Digest == "" {
		return false
	}
	if info, err := m.dst.Stat(ctx, it.dest); err != nil || info.MD5 == it.doc.Digest {
		return err == nil
	}
	digest, err := readBack(ctx, m.dst, it.dest)
	return err == nil && digest == it.doc.Digest
}

// readBack reads a stored payload for its MD5.
func readBack(ctx context.Context, s Store, uri string) (digest string, err error) {
	err = again(ctx, s, func() (err error) {
		digest, err = readOnce(ctx, s, uri)
		return err
	})
	return digest, err
}

func readOnce(ctx context.Context, d drivers.Driver, uri string) (digest string, err error) {
	r, _, err := d.Get(ctx, uri)
	if err != nil {
		return "", &unopened{err}
	}
	defer r.Close()
	sum := md5.New()
	if _, err := forms.Copy(sum, r); err != nil {
		return "", err
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}
