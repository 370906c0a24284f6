package store

import (
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"unicode/utf8"

	"github.com/kedge/kedge/pipeline/catalog"
	"github.com/kedge/kedge/pipeline/failure"
)

// ErrNoURI is why a row without a URI cannot be moved or read.
var ErrNoURI = errors.New("the row's content_url is NULL: the catalog does not say where the document is")

// ForeignBytes says which part of a row is not UTF-8: a database that does not
// know what its text is in may hold such rows, and Anchore cannot read them.
func ForeignBytes(d catalog.Document) error {
	for _, part := range []struct{ column, value string }{
		{"bucket", d.Bucket}, {"archiveId", d.ArchiveID}, {"userId", d.UserID}, {"documentName", d.Name}, {"content_url", d.URI},
	} {
		if !utf8.ValidString(part.value) {
			return fmt.Errorf("the row's %s holds bytes that are not UTF-8: %q", part.column, part.value)
		}
	}
	return nil
}

// Check compares what was read with what the catalog says of it. A row
// of an old installation may have no digest; its length then has to do, and what
// the store itself says of the payload (told, "" for nothing): that does not
// prove that it is what was put once, but that it came over the wire as it is
// stored.
func Check(d catalog.Document, digest, told string, bytes int64) error {
	switch {
	case d.Digest != "" && digest != d.Digest:
		return failure.Classed(failure.ClassDigest, fmt.Errorf("the catalog's digest is %s, the payload's is %s (%d bytes)", d.Digest, digest, bytes))
	case d.Digest == "" && d.Bytes >= 0 && bytes != d.Bytes:
		return failure.Classed(failure.ClassLength, fmt.Errorf("the catalog says %d bytes (and has no digest), the payload has %d", d.Bytes, bytes))
	case d.Digest == "" && told != "" && digest != told:
		return failure.Classed(failure.ClassDigest, fmt.Errorf("the catalog has no digest; the store says that its MD5 is %s, that of the payload as it arrived is %s (%d bytes)", told, digest, bytes))
	default:
		return nil
	}
}

// Checked passes a payload on, in chunks as they come, and at its end fails with what
// check says of its MD5 and length instead of ending, where that is not nil. What the
// payload itself fails with is classed as the source's fault.
func Checked(source io.ReadCloser, check func(digest string, bytes int64) error) io.ReadCloser {
	return &checkedReader{source: source, sum: md5.New(), check: check}
}

// checkedReader passes a payload on and checks it at its end.
type checkedReader struct {
	source io.ReadCloser
	sum    hash.Hash
	bytes  int64
	check  func(digest string, bytes int64) error
}

// Read implements io.Reader.
func (r *checkedReader) Read(p []byte) (int, error) {
	n, err := r.source.Read(p)
	r.sum.Write(p[:n])
	r.bytes += int64(n)
	switch err {
	case nil:
		return n, nil
	case io.EOF:
		if cerr := r.check(hex.EncodeToString(r.sum.Sum(nil)), r.bytes); cerr != nil {
			return n, cerr
		}
		return n, io.EOF
	default:
		// The destination's driver fails for it, but not by its own fault.
		return n, failure.Classed(failure.ClassFetch, err)
	}
}

// Close closes the source.
func (r *checkedReader) Close() error { return r.source.Close() }
