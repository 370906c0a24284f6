package s3

import (
	"context"
	"crypto/md5"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/kedge/kedge/drivers"
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
	w := &write{store: s, uri: uri, loc: loc, length: p.Length, md5: p.MD5, readBack: p.ReadBack}
	if p.Streamed() {
		return w.stream(ctx, p)
	}
	return w.whole(ctx, p.Bytes)
}

// write is one Put on its way.
type write struct {
	store  *Store
	uri    string
	loc    location
	length int64  // announced, -1 if unknown
	md5    string // announced, "" if unknown
	// readBack: the caller compares the MD5 of what is stored.
	readBack bool
}

// whole sends a payload in one request.
func (w *write) whole(ctx context.Context, payload []byte) (drivers.Receipt, error) {
	sent := w.md5
	sum, err := hex.DecodeString(sent)
	if err != nil || len(sum) != md5.Size {
		of := md5.Sum(payload)
		sum, sent = of[:], hex.EncodeToString(of[:])
	}
	if err := w.asAnnounced(int64(len(payload)), sent); err != nil {
		return drivers.Receipt{}, err
	}
	out, err := w.deliver(ctx, payload, sum)
	if err != nil {
		return drivers.Receipt{}, w.refused(ctx, err)
	}
	if w.store.attributes.ignoredBy(out.sse) {
		return drivers.Receipt{}, w.takeBack(ctx, notEncrypted(w.uri))
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
	if err := w.store.Delete(ctx, w.uri); err != nil {
		cause.Err = fmt.Errorf("%w; the object stays behind: %w", cause.Err, err)
	}
	return cause
}

// stream reads the first part and decides by it how the payload travels.
func (w *write) stream(ctx context.Context, p drivers.Payload) (drivers.Receipt, error) {
	if w.inOneRequest() {
		return w.through(ctx, p)
	}
	size, err := w.store.partBytes(w.length)
	if err != nil {
		return drivers.Receipt{}, &drivers.Error{Op: "put", URI: w.uri, Kind: drivers.TooLarge, Err: err}
	}
	r, err := p.Open(ctx)
	if err != nil {
		return drivers.Receipt{}, w.sourceFailed(err)
	}
	defer r.Close()

	buffer := w.store.buffers.get(size)
	parts := &cutter{r: r}
	first, last, err := parts.next(*buffer)
	if err == nil && !last && (w.length < 0 || w.length > int64(len(first))) {
		return w.multipart(ctx, parts, size, buffer, first)
	}
	defer w.store.buffers.put(buffer)
	switch {
	case err != nil:
		return drivers.Receipt{}, w.sourceFailed(err)
	case last:
		return w.whole(ctx, first)
	default:
		return drivers.Receipt{}, w.mismatch("the payload is longer than the %d bytes it was said to have", w.length)
	}
}

// asAnnounced compares what was read with what the payload said of itself.
func (w *write) asAnnounced(length int64, sum string) error {
	if w.length >= 0 && length != w.length {
		return w.mismatch("the payload has %d bytes, not %d as it was said to have", length, w.length)
	}
	if w.md5 != "" && sum != w.md5 {
		return w.mismatch("the payload's MD5 is %s, not %s as it was said to be", sum, w.md5)
	}
	return nil
}

func (w *write) mismatch(format string, args ...any) error {
	return &drivers.Error{Op: "put", URI: w.uri, Kind: drivers.Corrupt, Err: fmt.Errorf(format, args...)}
}

// sourceFailed reports that the payload could not be read; its kind is that of
// the source's error, so that what is worth another attempt gets one.
func (w *write) sourceFailed(err error) error {
	failed := &drivers.Error{Op: "put", URI: w.uri, Kind: drivers.KindOf(err), Err: fmt.Errorf("reading the payload: %w", err)}
	var source *drivers.Error
	if errors.As(err, &source) {
		failed.RetryAfter = source.RetryAfter
	}
	return failed
}

func (w *write) fail(err error) error { return w.store.fail("put", w.uri, err) }

// refused is fail for the request that makes the object. versitygw answers "is a
// directory" also when a delete next to it has just removed the folder that it
// was about to write to; only where there are objects beneath is that true.
func (w *write) refused(ctx context.Context, err error) error {
	failed := w.store.fail("put", w.uri, err)
	if failed.Kind == drivers.Temporary {
		if final := w.store.refusesName(ctx, w.uri, w.loc); final != nil {
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
		failed.Err = &failure{text: "the server's folder for it went away meanwhile", err: failed.Err}
	}
	return failed
}

func contentMD5(sum []byte) string { return base64.StdEncoding.EncodeToString(sum) }

// cutter cuts a stream into parts. It reads one byte ahead, so that it knows
// of each part whether it is the last.
type cutter struct {
	r       io.Reader
	ahead   byte
	pending bool // ahead holds the next part's first byte
}

// next fills buffer, which is not empty, and says whether the stream ends
// there. Unlike io.ReadFull it keeps a stream's own io.ErrUnexpectedEOF apart
// from the end.
func (c *cutter) next(buffer []byte) (part []byte, last bool, err error) {
	n := 0
	if c.pending {
		buffer[0], n, c.pending = c.ahead, 1, false
	}
	n, err = fill(c.r, buffer, n)
	if err == nil {
		var ahead [1]byte
		if _, err = fill(c.r, ahead[:], 0); err == nil {
			c.ahead, c.pending = ahead[0], true
			return buffer[:n], false, nil
		}
	}
	if err == io.EOF {
		return buffer[:n], true, nil
	}
	return nil, false, err
}

// fill reads into buffer[n:] until it is full or the stream ends or fails.
func fill(r io.Reader, buffer []byte, n int) (int, error) {
	for idle := 0; n < len(buffer); {
		m, err := r.Read(buffer[n:])
		n += m
		switch {
		case err != nil && (err != io.EOF || n < len(buffer)):
			return n, err
		case m > 0:
			idle = 0
		case idle >= 100:
			return n, io.ErrNoProgress
		default:
			idle++
		}
	}
	return n, nil
}
