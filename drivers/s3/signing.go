package s3

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"sync/atomic"
)

// A signature need not cover a request's body, which spares its SHA-256: the MD5
// that goes along is covered, and the server compares that. But a policy may deny
// such requests (condition s3:x-amz-content-sha256), and not every server knows
// them. Both show at the first put, a migration's probe, and from then on the body
// is signed for. A payload that is held in memory is hashed there, a part of an
// upload too; a stream that goes in one request is read twice.

// contentSHA256 is the header with the digest that a request is signed with.
const contentSHA256 = "X-Amz-Content-Sha256"

// payloads says what is known of requests whose body is not signed for.
type payloads int32

const (
	payloadsUntried  payloads = iota
	payloadsUnsigned          // the server takes them
	payloadsSigned            // the server, or a policy, wants the body signed for
)

// signing keeps that. Safe for concurrent use.
type signing struct{ state atomic.Int32 }

func (s *signing) is(p payloads) bool { return payloads(s.state.Load()) == p }

// took takes note of how a request without a signed body ended.
func (s *signing) took(err error) {
	if err == nil {
		s.state.CompareAndSwap(int32(payloadsUntried), int32(payloadsUnsigned))
	}
}

// wanted says whether a request may have failed because its body was not signed
// for. A policy may come into force at any time; that a server does not know such
// requests shows at the first, or at several that were under way beside it.
func (s *signing) wanted(err error) bool {
	if err == nil {
		return false
	}
	if denies(err) {
		return true
	}
	code, _ := answer(err)
	if s.is(payloadsUnsigned) {
		return false
	}
	switch status(err) {
	case http.StatusForbidden:
		return code == "SignatureDoesNotMatch"
	case http.StatusBadRequest:
		return code == "XAmzContentSHA256Mismatch" || code == "InvalidRequest" || code == "InvalidArgument"
	case http.StatusNotImplemented:
		return true
	}
	return false
}

// settle takes note of what became of a request that was made again, signed, and
// returns its error. Unless it was refused in the same way, the signature has
// helped.
func (s *signing) settle(before, after error) error {
	code, _ := answer(before)
	again, _ := answer(after)
	if after == nil || status(after) != 0 && status(after) < 500 && again != code {
		s.state.Store(int32(payloadsSigned))
	}
	return after
}

func sha256Hex(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// sendHeld puts what is held in memory, signed for where that is wanted.
func (d *direct) sendHeld(ctx context.Context, loc location, query string, header http.Header, body []byte) (stored, error) {
	put := func(header http.Header) (stored, error) {
		r, err := d.request(ctx, http.MethodPut, loc, query, header, body)
		if err != nil {
			return stored{}, err
		}
		return d.send(r, loc)
	}
	if d.conn.version2 || len(body) == 0 || d.signing.is(payloadsSigned) {
		return put(header) // nothing to find out
	}
	again := header.Clone()
	out, err := put(header)
	if !d.signing.wanted(err) {
		d.signing.took(err)
		return out, err
	}
	again[contentSHA256] = []string{sha256Hex(body)}
	out, signedErr := put(again)
	return out, d.signing.settle(err, signedErr)
}
