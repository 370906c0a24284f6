package swift

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	ncw "github.com/ncw/swift/v2"

	"github.com/kedge/kedge/drivers"
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
	w := &write{store: s, uri: uri, loc: at, mark: markOf(own, at), length: p.Length, md5: p.MD5}
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
	mark   string // for nameHeader
	length int64  // announced, -1 if unknown
	md5    string // announced, "" if unknown
}

// whole sends a payload in one request. The server compares its MD5, and stores
// nothing if that is not what it was said to be.
func (w *write) whole(ctx context.Context, payload []byte) (drivers.Receipt, error) {
	sum := md5.Sum(payload)
	sent := hex.EncodeToString(sum[:])
	if err := w.asAnnounced(int64(len(payload)), sent); err != nil {
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
	receipt := drivers.Receipt{Bytes: int64(length), MD5: sent}
	if isMD5(etag) {
		receipt.ProvenMD5 = etag // one that differs convicts the server
	}
	return receipt, nil
}

// stream reads the first segment and decides by it how the payload travels.
func (w *write) stream(ctx context.Context, p drivers.Payload) (drivers.Receipt, error) {
	r, err := p.Open(ctx)
	if err != nil {
		return drivers.Receipt{}, w.sourceFailed(err)
	}
	defer r.Close()

	buffer := w.store.buffers.get(w.store.segmentBytes(w.length))
	defer w.store.buffers.put(buffer)
	pieces := &cutter{r: r}
	first, last, err := pieces.next(*buffer)
	switch {
	case err != nil:
		return drivers.Receipt{}, w.sourceFailed(err)
	case last:
		return w.whole(ctx, first)
	case w.length >= 0 && w.length <= int64(len(first)):
		return drivers.Receipt{}, w.mismatch("the payload is longer than the %d bytes it was said to have", w.length)
	}
	return w.large(ctx, pieces, *buffer, first)
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

// cutter cuts a stream into pieces. It reads one byte ahead, so that it knows
// of each piece whether it is the last.
type cutter struct {
	r       io.Reader
	ahead   byte
	pending bool // ahead holds the next piece's first byte
}

// next fills buffer, which is not empty, and says whether the stream ends
// there. Unlike io.ReadFull it keeps a stream's own io.ErrUnexpectedEOF apart
// from the end.
func (c *cutter) next(buffer []byte) (piece []byte, last bool, err error) {
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
