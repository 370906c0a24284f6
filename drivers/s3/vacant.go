package s3

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"hash/crc32"
	"net/http"
	"sync/atomic"

	"github.com/kedge/kedge/drivers"
)

// versitygw computes the MD5 of a body that comes with a Content-MD5 twice: once
// to compare, once for the ETag. Where the caller compares the ETag itself
// (Payload.ReadBack) once is enough, if the server stores the body only where
// nothing is: then nothing is lost by one that proves wrong, and it is taken back.
//
// A CRC32C goes with the request in place of the MD5, and not only against what
// happens on the way: without either of them versitygw 1.8 stores as much as has
// arrived of a body whose connection breaks. Streams, whose CRC32C is not known
// before their end, go with their MD5.

// conditions are what a server looks at before an object appears.
type conditions struct {
	contentMD5 string // in base64, "" for none
	crc32c     string // in base64, "" for none
	vacant     bool   // only where nothing is
}

func (c conditions) asHeaders(header http.Header) {
	if c.contentMD5 != "" {
		header["Content-Md5"] = []string{c.contentMD5}
	}
	if c.crc32c != "" {
		header["X-Amz-Checksum-Crc32c"] = []string{c.crc32c}
	}
	if c.vacant {
		header["If-None-Match"] = []string{"*"}
	}
}

// heed is what is known of whether a server heeds If-None-Match and the CRC32C,
// both of which older ones pass over.
type heed struct{ state atomic.Int32 }

const (
	heedUnknown int32 = iota
	heedAsking
	heedNone
	heedPaid
)

// newHeed takes it that a server with signatures of version 2 is too old.
func newHeed(version2 bool) *heed {
	h := &heed{}
	if version2 {
		h.state.Store(heedNone)
	}
	return h
}

// vacantBytes is the length in bytes from which on a payload is put without its
// MD5: for a shorter one the condition costs as much as the MD5 (docs/performance.md).
// askBytes is up to which length one is put again to find out what a server heeds:
// a migration's probe is the first.
const (
	vacantBytes = 64 << 10
	askBytes    = 1 << 20
)

// deliver sends a payload whose MD5 is said to be sum, with those conditions that
// suit it.
func (w *write) deliver(ctx context.Context, payload, sum []byte) (stored, error) {
	send := func(c conditions) (stored, error) {
		return w.store.direct.put(ctx, w.loc, payload, c, w.store.attributes)
	}
	state := &w.store.heed.state
	pays := state.Load()
	if w.readBack && pays == heedPaid && len(payload) >= vacantBytes {
		if out, err := send(conditions{crc32c: crc32c(payload), vacant: true}); err == nil || !w.refusedConditions(err) {
			return out, err
		}
	}
	compared := conditions{contentMD5: contentMD5(sum)}
	out, err := send(compared)
	if err == nil && w.readBack && pays == heedUnknown && len(payload) <= askBytes && state.CompareAndSwap(heedUnknown, heedAsking) {
		state.Store(w.heedOf(send, compared, payload))
	}
	return out, err
}

// heedOf puts once more what has just been put, with its MD5: only where nothing
// is, and with a CRC32C that it does not have. A server that refuses both pays
// heed. One that does not has replaced the payload with itself.
func (w *write) heedOf(send func(conditions) (stored, error), compared conditions, payload []byte) int32 {
	vacant, checked := compared, compared
	vacant.vacant = true
	checked.crc32c = crc32c(append([]byte("not "), payload...))
	for _, ask := range []struct {
		conditions
		refusal int
	}{{vacant, http.StatusPreconditionFailed}, {checked, http.StatusBadRequest}} {
		_, err := send(ask.conditions)
		switch {
		case err != nil && (status(err) == 0 || drivers.KindOf(w.fail(err)) == drivers.Temporary):
			return heedUnknown
		case status(err) != ask.refusal:
			return heedNone
		}
	}
	return heedPaid
}

// refusedConditions says whether a put failed for its conditions, or for the lack of
// a Content-MD5.
func (w *write) refusedConditions(err error) bool {
	switch status(err) {
	case http.StatusPreconditionFailed, http.StatusConflict:
		return true
	case http.StatusBadRequest, http.StatusNotImplemented:
		if drivers.KindOf(w.fail(err)) != drivers.Corrupt {
			w.store.heed.state.Store(heedNone)
		}
		return true
	}
	return false
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// crc32c is a payload's CRC32C as S3 writes it. Processors have an instruction for
// it: it takes a twentieth of the time of an MD5.
func crc32c(payload []byte) string {
	return base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil, crc32.Checksum(payload, castagnoli)))
}
