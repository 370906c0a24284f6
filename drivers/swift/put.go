package swift

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"net/http"
	"strings"

	ncw "github.com/ncw/swift/v2"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/drivers/httpstore"
)

// contentType is what Anchore's objects have.
const contentType = "application/octet-stream"

// conditionalBytes is the longest payload that is sent on the condition that
// there is no such object yet: before a longer one it is cheaper to ask.
const conditionalBytes = 64 << 10

// Put stores a payload. Bytes in memory, and a stream of at most one segment, go
// in one request; a longer stream goes in segments, one of them in memory at a
// time, and appears with its manifest. Segments of a large object that was there
// before are removed once the new payload is in place.
//
// A payload that is not what its Length or MD5 says fails with kind Corrupt,
// and a stream's own error is returned wrapped with its kind; nothing is
// stored in either case, and segments are removed even when ctx is cancelled.
// AbortUploads removes those that a killed process left behind.
//
// ProvenMD5 is the ETag; for a large object it is the MD5 of what was sent if
// every segment's ETag was the segment's MD5 and the manifest's the one that
// these give.
func (s *Store) Put(ctx context.Context, uri string, p drivers.Payload) (drivers.Receipt, error) {
	own, err := s.locate("put", uri)
	if err != nil {
		return drivers.Receipt{}, err
	}
	at := s.putPlace(uri, own)
	w := &write{Announced: httpstore.Announced{URI: uri, Length: p.Length, MD5: p.MD5}, store: s, loc: at, mark: markOf(own, at)}
	if p.Streamed() {
		return w.stream(ctx, p)
	}
	return w.whole(ctx, p.Bytes)
}

// write is one Put on its way.
type write struct {
	httpstore.Announced
	store *Store
	loc   location
	mark  string // for nameHeader
}

// whole sends a payload in one request. The server compares its MD5, and stores
// nothing if that is not what it was said to be.
func (w *write) whole(ctx context.Context, payload []byte) (drivers.Receipt, error) {
	sum := md5.Sum(payload)
	sent := hex.EncodeToString(sum[:])
	if err := w.Check(int64(len(payload)), sent); err != nil {
		return drivers.Receipt{}, err
	}
	if payload == nil {
		payload = []byte{}
	}
	if len(payload) <= conditionalBytes {
		etag, err := w.send(ctx, payload, sent, true)
		if statusOf(err) != http.StatusPreconditionFailed {
			return w.receipt(len(payload), sent, etag, err)
		}
	}
	old, err := w.store.largeAt(ctx, w.loc)
	if err != nil {
		return drivers.Receipt{}, w.fail(err)
	}
	etag, err := w.send(ctx, payload, sent, false)
	if err == nil {
		w.store.removeReplaced(ctx, old)
	}
	return w.receipt(len(payload), sent, etag, err)
}

// send makes the object; onlyNew leaves one alone that is there.
func (w *write) send(ctx context.Context, payload []byte, sum string, onlyNew bool) (etag string, err error) {
	headers := ncw.Headers{"Content-Type": contentType, "Etag": sum, nameHeader: w.mark}
	if onlyNew {
		headers["If-None-Match"] = "*"
	}
	answer, _, err := w.store.do(ctx, request{
		method: http.MethodPut, container: w.loc.container, object: w.loc.name, headers: headers, payload: payload,
	})
	return strings.ToLower(answer["Etag"]), err
}

func (w *write) receipt(length int, sent, etag string, err error) (drivers.Receipt, error) {
	if err != nil {
		return drivers.Receipt{}, w.fail(err)
	}
	receipt := drivers.Receipt{Bytes: int64(length), MD5: sent, Version: version(etag)}
	if httpstore.IsMD5(etag) {
		receipt.ProvenMD5 = etag // one that differs convicts the server
	}
	return receipt, nil
}

// stream sends a payload as it is read.
func (w *write) stream(ctx context.Context, p drivers.Payload) (drivers.Receipt, error) {
	return httpstore.Stream{
		Announced: w.Announced, Buffers: w.store.buffers, PartBytes: w.store.segmentBytes(w.Length), Whole: w.whole, Large: w.large,
	}.Put(ctx, p)
}

func (w *write) fail(err error) error { return w.store.fail("put", w.URI, err) }
