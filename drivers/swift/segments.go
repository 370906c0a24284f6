package swift

import (
	"context"
	"crypto/md5"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	ncw "github.com/ncw/swift/v2"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/drivers/httpstore"
)

const (
	// segmentRoot begins the names of segments. Behind it stand the SHA-256 of
	// the object's container and name, because the name itself may fill all of
	// the length that a name can have and may be the beginning of another's;
	// then the upload and the segment's number.
	segmentRoot = "kedge/"
	// abortTimeout bounds the clean-up after a failed or cancelled upload, and
	// after one that replaced a large object.
	abortTimeout = 60 * time.Second
)

// segmentPrefix begins the names of the segments of one object.
func segmentPrefix(loc location) string {
	sum := sha256.Sum256([]byte(loc.container + "/" + loc.name))
	return segmentRoot + hex.EncodeToString(sum[:]) + "/"
}

// segmentBytes is the length of the segments of a stream of length bytes (-1 if
// not known).
func (s *Store) segmentBytes(length int64) int64 {
	return httpstore.PartBytes(length, s.tuning.SegmentBytes, int64(s.server.maxSegments))
}

// large sends a stream in segments.
func (w *write) large(ctx context.Context, parts *httpstore.Parts) (drivers.Receipt, error) {
	old, err := w.store.largeAt(ctx, w.loc)
	if err != nil {
		return drivers.Receipt{}, w.fail(err)
	}
	var id [8]byte
	_, _ = rand.Read(id[:]) // never fails
	u := &upload{write: w, prefix: segmentPrefix(w.loc) + hex.EncodeToString(id[:]) + "/", proven: true}
	receipt, err := u.run(ctx, parts)
	if err != nil {
		return drivers.Receipt{}, u.abort(ctx, err)
	}
	w.store.removeReplaced(ctx, old)
	return receipt, nil
}

// upload is a large object on its way.
type upload struct {
	*write
	prefix   string
	segments []manifestEntry
	sums     strings.Builder // the MD5s of the segments in hex, one after the other
	proven   bool            // every segment's ETag was its MD5
}

// manifestEntry is a segment as a manifest names it that is put.
type manifestEntry struct {
	Path string `json:"path"`
	ETag string `json:"etag"`
	Size int    `json:"size_bytes"`
}

func (u *upload) run(ctx context.Context, parts *httpstore.Parts) (drivers.Receipt, error) {
	length, sum, err := parts.Send(ctx, httpstore.Sending{
		Most: u.store.server.maxSegments, Called: "segments", Mend: "set a larger segment_size", Part: u.sendSegment,
	})
	if err != nil {
		return drivers.Receipt{}, err
	}
	etag, err := u.complete(ctx)
	if err != nil {
		return drivers.Receipt{}, err
	}
	receipt := drivers.Receipt{Bytes: length, MD5: sum, Version: version(etag)}
	if u.proven {
		receipt.ProvenMD5 = sum
	}
	return receipt, nil
}

func (u *upload) sendSegment(ctx context.Context, number int, piece []byte) error {
	sum := md5.Sum(piece)
	sent := hex.EncodeToString(sum[:])
	r := request{
		method: http.MethodPut, container: u.store.segments, object: fmt.Sprintf("%s%08d", u.prefix, number-1),
		headers: ncw.Headers{"Content-Type": contentType, "Etag": sent}, payload: piece,
	}
	answer, _, err := u.store.do(ctx, r)
	if isMissing(err) && number == 1 {
		if err = u.store.createSegments(ctx); err == nil {
			answer, _, err = u.store.do(ctx, r)
		}
	}
	// Also of one that failed: it may have arrived all the same.
	u.segments = append(u.segments, manifestEntry{Path: "/" + r.container + "/" + r.object, ETag: sent, Size: len(piece)})
	if err != nil {
		return u.fail(err)
	}
	u.sums.WriteString(sent)
	u.proven = u.proven && strings.EqualFold(answer["Etag"], sent)
	return nil
}

// createSegments makes the container of segments, with the storage policy of
// the one of documents.
func (s *Store) createSegments(ctx context.Context) error {
	h, _, err := s.do(ctx, request{method: http.MethodHead, container: s.container})
	if err != nil {
		return s.fail("create container", scheme+s.segments, err)
	}
	return s.createContainer(ctx, s.segments, h["X-Storage-Policy"])
}

// complete puts the manifest, which makes the object. Its ETag is the MD5 of
// the segments' ETags; a server without large objects would take the manifest
// for a payload, and refuses it with this ETag. It gives the server's answer.
func (u *upload) complete(ctx context.Context) (string, error) {
	manifest, err := json.Marshal(u.segments)
	if err != nil {
		return "", u.fail(err)
	}
	sum := md5.Sum([]byte(u.sums.String()))
	etag := hex.EncodeToString(sum[:])
	answer, _, err := u.store.do(ctx, request{
		method: http.MethodPut, container: u.loc.container, object: u.loc.name,
		query:   url.Values{"multipart-manifest": {"put"}},
		headers: ncw.Headers{"Content-Type": contentType, "Accept": "application/json", "Etag": etag, nameHeader: u.mark},
		payload: manifest, slow: true,
	})
	if err != nil {
		return "", u.fail(err)
	}
	u.proven = u.proven && strings.EqualFold(answer["Etag"], etag)
	return answer["Etag"], nil
}

// abort removes the segments of a failed upload and returns why it failed. It
// works on after a cancellation, for segments that nobody lists cost money. A
// manifest whose answer was lost may be in place: then the segments stay, for
// with them the object is whole.
func (u *upload) abort(ctx context.Context, cause error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), abortTimeout)
	defer cancel()
	if err := u.removeSegments(ctx); err != nil {
		failed, note := u.store.fail("put", u.URI, cause), u.store.fail("abort", u.URI, err)
		return httpstore.Adding(failed, "; its segments stay behind: "+note.Err.Error())
	}
	return cause
}

func (u *upload) removeSegments(ctx context.Context) error {
	var sent []location
	for _, one := range u.segments {
		sent = append(sent, location{u.store.segments, strings.TrimPrefix(one.Path, "/"+u.store.segments+"/")})
	}
	return u.store.removeUnused(ctx, u.loc, sent)
}

// removeUnused deletes those segments that are not of the object at a place.
func (s *Store) removeUnused(ctx context.Context, loc location, segments []location) error {
	now, err := s.largeAt(ctx, loc)
	if err != nil {
		return err
	}
	inUse := now.names()
	return s.removeAll(ctx, slices.DeleteFunc(segments, func(one location) bool { return inUse[one] }))
}

// AbortUploads removes the segments that uploads of exactly this object have
// left behind without a manifest, as a process that was killed does. It must not
// be called while a Put of the same URI runs, whose segments it would take for
// such.
func (s *Store) AbortUploads(ctx context.Context, uri string) error {
	own, err := s.locate("abort", uri)
	if err != nil {
		return err
	}
	loc := s.putPlace(uri, own)
	var found []location
	err = s.each(ctx, s.segments, segmentPrefix(loc), func(one item) error {
		found = append(found, location{s.segments, one.Name})
		return nil
	})
	if err != nil && !isMissing(err) { // without the container there are none
		return s.fail("abort", uri, err)
	}
	if len(found) == 0 {
		return nil
	}
	if err := s.removeUnused(ctx, loc, found); err != nil {
		return s.fail("abort", uri, err)
	}
	return nil
}

// removeAll deletes plain objects, with as many requests at once as there are
// workers; one that is gone already is no error.
func (s *Store) removeAll(ctx context.Context, objects []location) error {
	errs := make([]error, len(objects))
	httpstore.Each(len(objects), s.tuning.Workers, func(i int) {
		_, _, err := s.do(ctx, request{method: http.MethodDelete, container: objects[i].container, object: objects[i].name})
		if err != nil && !isMissing(err) {
			errs[i] = err
		}
	})
	for _, err := range errs {
		if err != nil {
			return err // one is enough: they have one cause
		}
	}
	return nil
}
