package s3

import (
	"context"
	"crypto/md5"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/drivers/httpstore"
)

// contentType is what Anchore's objects have.
const contentType = "binary/octet-stream"

// Put stores a payload. Bytes in memory go in one request, and so does a stream
// of at most Tuning.WholeBytes whose length and MD5 are known, or of at most
// Tuning.PartBytes; another stream goes in parts, with at most partsAtOnce of
// them on their way. In parts or whole, the object appears only when all of it
// has arrived.
//
// An MD5 that the payload was said to have is not computed once more: it goes
// with the request, and the server compares. With Payload.ReadBack it need not go
// with bytes in memory, where the server stores them only if nothing is there.
//
// A payload that is not what its Length or MD5 says fails with kind Corrupt,
// and a stream's own error is returned wrapped with its kind; nothing is
// stored in either case, and an upload in parts is aborted even when ctx is
// cancelled. AbortUploads removes the parts that a killed process left behind.
//
// ProvenMD5 is the ETag; for an upload in parts it is the MD5 of what was sent
// if the server's ETag is the one that these parts give.
func (s *Store) Put(ctx context.Context, uri string, p drivers.Payload) (drivers.Receipt, error) {
	loc, err := s.locate("put", uri)
	if err != nil {
		return drivers.Receipt{}, err
	}
	w := &write{Announced: httpstore.Announced{URI: uri, Length: p.Length, MD5: p.MD5}, store: s, loc: loc, readBack: p.ReadBack}
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
	// readBack: the caller compares the MD5 of what is stored.
	readBack bool
}

// whole sends a payload in one request.
func (w *write) whole(ctx context.Context, payload []byte) (drivers.Receipt, error) {
	sent := w.MD5
	sum, err := hex.DecodeString(sent)
	if err != nil || len(sum) != md5.Size {
		of := md5.Sum(payload)
		sum, sent = of[:], hex.EncodeToString(of[:])
	}
	if err := w.Check(int64(len(payload)), sent); err != nil {
		return drivers.Receipt{}, err
	}
	out, err := w.deliver(ctx, payload, sum)
	if err != nil {
		return drivers.Receipt{}, w.refused(ctx, err)
	}
	if w.store.attributes.ignoredBy(out.sse) {
		return drivers.Receipt{}, w.takeBack(ctx, notEncrypted(w.URI))
	}
	return w.receipt(int64(len(payload)), sent, out), nil
}

// receipt is what one request has achieved.
func (w *write) receipt(length int64, sent string, out stored) drivers.Receipt {
	return drivers.Receipt{
		Bytes: length, MD5: sent,
		ProvenMD5: provenMD5(out.etag, out.sse, sent),
		Version:   tag(out.etag),
	}
}

// takeBack removes the object that was just stored and returns why.
func (w *write) takeBack(ctx context.Context, cause *drivers.Error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), abortTimeout)
	defer cancel()
	if err := w.store.Delete(ctx, w.URI); err != nil {
		cause.Err = fmt.Errorf("%w; the object stays behind: %w", cause.Err, err)
	}
	return cause
}

// stream sends a payload as it is read.
func (w *write) stream(ctx context.Context, p drivers.Payload) (drivers.Receipt, error) {
	if w.inOneRequest() {
		return w.through(ctx, p)
	}
	size, err := w.store.partBytes(w.Length)
	if err != nil {
		return drivers.Receipt{}, &drivers.Error{Op: "put", URI: w.URI, Kind: drivers.TooLarge, Err: err}
	}
	return httpstore.Stream{
		Announced: w.Announced, Buffers: w.store.buffers, PartBytes: size, Whole: w.whole, Large: w.multipart,
	}.Put(ctx, p)
}

func (w *write) fail(err error) error { return w.store.fail("put", w.URI, err) }

// refused is fail for the request that makes the object. versitygw answers "is a
// directory" also when a delete next to it has just removed the folder that it
// was about to write to; only where there are objects beneath is that true.
func (w *write) refused(ctx context.Context, err error) error {
	failed := w.store.fail("put", w.URI, err)
	if failed.Kind == drivers.Temporary {
		if final := w.store.refusesName(ctx, w.URI, w.loc); final != nil {
			return final
		}
	}
	if code, _ := answer(err); code != "ExistingObjectIsDirectory" || longComponent(w.loc.key) {
		return failed
	}
	beneath := &walk{store: w.store, bucket: w.loc.bucket, prefix: strings.TrimRight(w.loc.key, "/") + "/", most: 1}
	out, err := beneath.next(ctx)
	if err != nil || len(out.objects) == 0 {
		failed.Kind = drivers.Temporary
		failed.Err = httpstore.Told("the server's folder for it went away meanwhile", failed.Err)
	}
	return failed
}

func contentMD5(sum []byte) string { return base64.StdEncoding.EncodeToString(sum) }
