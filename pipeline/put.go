package pipeline

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/kedge/kedge/checkpoint"
	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/internal/crash"
	"github.com/kedge/kedge/pipeline/failure"
	"github.com/kedge/kedge/pipeline/progress"
	"github.com/kedge/kedge/pipeline/store"
)

// put stores payloads at the destination, once the checkpoint knows durably
// that they may be there.
func (m *migration) put(ctx context.Context, b *batch) error {
	for _, ticket := range []*checkpoint.Ticket{b.intended, b.recorded} {
		if ticket == nil {
			continue
		}
		if err := ticket.Wait(ctx); err != nil {
			return err
		}
	}
	defer m.progress.Busy(progress.StagePut)()
	if err := m.guard(ctx, b); err != nil {
		return err
	}
	shared, err := m.shareDestinations(ctx, b)
	if err != nil {
		return err
	}
	var whole, streams []*item
	for _, it := range b.carrying() {
		switch {
		case shared[it] != nil || !it.ready(statePut):
		case it.carriage.streamed():
			streams = append(streams, it)
		default:
			whole = append(whole, it)
		}
	}
	if batcher := m.dst.Batcher(); batcher != nil && m.dst.Capabilities().BatchPut {
		err = m.putBatch(ctx, batcher, whole)
	} else {
		err = m.destOps.Each(ctx, whole, m.putOne)
	}
	if err != nil {
		return err
	}
	if err := m.putStreams(ctx, b, streams); err != nil {
		return err
	}
	for it, first := range shared {
		it.follow(first)
	}
	crash.Point("put")
	return m.judge(append(whole, streams...), failure.StagePut)
}

// follow has an item be where another one, with the same payload, was put.
func (it *item) follow(first *item) {
	if f := first.failure; f != nil {
		it.fail(f.Stage, f.Class, errors.New(f.Reason))
		return
	}
	it.digest, it.bytes, it.compressed = first.digest, first.bytes, first.compressed
	it.taken(first.receipt)
}

// shareDestinations settles who puts where several rows have one key, and so
// one place at the destination: the same payload is put once, and one that
// would overwrite another document's is refused.
func (m *migration) shareDestinations(ctx context.Context, b *batch) (map[*item]*item, error) {
	first := make(map[string]*item)
	shared := make(map[*item]*item)
	for _, it := range b.pending() {
		if !it.siblings || it.state != stateCopied {
			continue
		}
		if at := it.atDest; at != nil && (at.Digest != it.digest || at.Compressed != it.compressed) {
			it.fail(failure.StagePut, failure.ClassPlaceTaken, placeTaken(it.dest, at.Name))
			continue
		}
		first[it.dest] = it // its payload is there
	}
	for _, it := range b.carrying() {
		if !it.siblings {
			continue
		}
		if it.atDest != nil {
			digest, err := m.digestToBe(ctx, it)
			if cerr := context.Cause(ctx); cerr != nil {
				return nil, cerr
			}
			if err != nil || it.atDest.Digest != digest || it.atDest.Compressed != it.compressed {
				it.fail(failure.StagePut, failure.ClassPlaceTaken, placeTaken(it.dest, it.atDest.Name))
				continue
			}
		}
		other := first[it.dest]
		switch {
		case other == nil:
			first[it.dest] = it
		case samePayload(other, it):
			shared[it] = other
		default:
			it.fail(failure.StagePut, failure.ClassPlaceTaken, placeTaken(it.dest, other.doc.Name))
		}
	}
	return shared, nil
}

// samePayload says whether two items have the very same payload: from one place
// and with one digest, or, when both are held, equal as they will be stored.
func samePayload(a, b *item) bool {
	if a.doc.URI == b.doc.URI && a.doc.Digest == b.doc.Digest && a.doc.Compressed == b.doc.Compressed {
		return true
	}
	return !a.carriage.streamed() && !b.carriage.streamed() && a.digest == b.digest && a.compressed == b.compressed
}

// digestToBe is the digest of what would be stored. A streamed payload is read
// for it.
func (m *migration) digestToBe(ctx context.Context, it *item) (string, error) {
	if !it.carriage.streamed() {
		return it.digest, nil
	}
	payload, err := m.stream(ctx, it)
	if err != nil {
		return "", err
	}
	r, err := payload.Open(ctx)
	if err != nil {
		return "", err
	}
	defer r.Close()
	digest, _, err := store.Sum(r)
	return digest, err
}

func placeTaken(uri, name string) error {
	return fmt.Errorf("its place at the destination, %s, is that of another row with the same key (documentName %q) and other bytes: putting it would overwrite that document", uri, name)
}

func (m *migration) putBatch(ctx context.Context, batcher drivers.Batcher, items []*item) error {
	if len(items) == 0 {
		return nil
	}
	requests := make([]drivers.PutRequest, len(items))
	for i, it := range items {
		payload, digest := corrupted(it)
		requests[i] = drivers.PutRequest{URI: it.dest, Payload: payload, MD5: digest}
	}
	var results []drivers.PutResult
	if err := m.destOps.One(ctx, items, func() { results = batcher.PutBatch(ctx, requests) }); err != nil {
		return err
	}
	for i, it := range items {
		m.stored(it, results[i].Receipt, results[i].Err)
	}
	return nil
}

func (m *migration) putOne(ctx context.Context, it *item) {
	if err := m.abortEarlier(ctx, it); err != nil {
		m.stored(it, drivers.Receipt{}, err)
		return
	}
	payload := drivers.InMemory(corrupted(it))
	unhashed := it.carriage == heldUnhashed
	payload.Computed, payload.ReadBack = !unhashed, unhashed
	receipt, err := m.dst.Put(ctx, it.dest, payload)
	if unhashed {
		receipt, err = m.settleUnhashed(ctx, it, receipt, err)
	}
	m.stored(it, receipt, err)
}

// corrupted is what is put of an item: its payload and digest, or, when the
// torture harness asks for it, for some of them other bytes and their digest, so
// that nothing but verification can notice.
func corrupted(it *item) (payload []byte, digest string) {
	if !crash.Mutated("corrupt-put") || len(it.payload) == 0 || it.digest[0] != '7' {
		return it.payload, it.digest
	}
	payload = append([]byte(nil), it.payload...)
	payload[len(payload)/2] ^= 1
	sum := md5.Sum(payload)
	return payload, hex.EncodeToString(sum[:])
}

// abortEarlier aborts the uploads of a document that an earlier run had begun, however it
// is put now: services may have overwritten what was streamed with something short.
func (m *migration) abortEarlier(ctx context.Context, it *item) error {
	if !it.revived {
		return nil
	}
	return m.abortUploads(ctx, it)
}

// abortUploads removes what a killed run may have left of the same put. Where that
// is not permitted it stays: no reader sees it.
func (m *migration) abortUploads(ctx context.Context, it *item) error {
	if aborter, ok := m.dst.Driver.(drivers.Aborter); ok && m.dst.Capabilities().Uploads {
		if err := aborter.AbortUploads(ctx, it.dest); drivers.KindOf(err) != drivers.Denied {
			return err
		}
	}
	return nil
}

// putStreams puts streamed documents one after the other, for which the batch has
// reserved the memory, or waits for what is set aside.
func (m *migration) putStreams(ctx context.Context, b *batch, items []*item) error {
	for _, it := range items {
		put := func() { m.putStream(ctx, it) }
		if !b.streams {
			late := put
			put = func() { _ = m.lateStream.One(ctx, nil, late) } // its error is ctx's, which is looked at next
		}
		if err := m.destOps.One(ctx, []*item{it}, put); err != nil {
			return err
		}
	}
	return nil
}

// putStream fetches, recompresses and puts a streamed document in one go.
func (m *migration) putStream(ctx context.Context, it *item) {
	if err := m.abortEarlier(ctx, it); err != nil {
		it.fail(failure.StagePut, failure.ClassPut, err)
		return
	}
	payload, err := m.stream(ctx, it)
	if err != nil {
		m.notFetched(ctx, it, err)
		return
	}
	put := m.dst.Put
	if m.checkedThere(it, payload) {
		put = func(ctx context.Context, _ string, p drivers.Payload) (drivers.Receipt, error) {
			return m.putUnchecked(ctx, it, p)
		}
	}
	receipt, err := put(ctx, it.dest, payload)
	if err != nil && it.revived && it.rotten != "" {
		err = m.remover().TakeBackRotten(ctx, it.asPut(), it.rotten, err) // of a run that could hold it
	}
	it.digest, it.bytes = receipt.MD5, receipt.Bytes
	m.stored(it, receipt, err)
}

func (m *migration) stored(it *item, receipt drivers.Receipt, err error) {
	crash.Point("putting")
	if it.carriage != heldUnhashed || err != nil || receipt.ProvenMD5 != "" {
		it.payload = nil // else it is hashed if it proves wrong when it is read back
	}
	if err != nil {
		it.fail(failure.StagePut, failure.ClassOf(err, failure.ClassPut), err)
		return
	}
	if !it.taken(receipt) {
		return
	}
	first := progress.StagePut
	if it.carriage.streamed() {
		first = progress.StageFetch // it passed these on its way
	}
	for s := first; s <= progress.StagePut; s++ {
		m.progress.Passed(s, it)
	}
}
