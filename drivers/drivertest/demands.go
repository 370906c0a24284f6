package drivertest

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/kedge/kedge/drivers"
)

// What the tests of one driver alone say in a line.

// MD5Hex gives the MD5 of b in lower-case hex.
func MD5Hex(b []byte) string { return md5Hex(b) }

// Noise is n bytes that are the same for one seed.
func Noise(seed byte, n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{seed}).Read(b) // never fails
	return b
}

// StreamOf is a payload that must be read; open starts its body. length is in
// bytes, negative where it is not known.
func StreamOf(length int64, open func() io.Reader) drivers.Payload {
	return drivers.Payload{
		Length: length,
		Open:   func(context.Context) (io.ReadCloser, error) { return io.NopCloser(open()), nil },
	}
}

// URIOf is the URI of a document with this archive id.
func URIOf(tb testing.TB, d drivers.Driver, archiveID string) string {
	tb.Helper()
	uri, err := d.URI(drivers.Key{UserID: "admin", Bucket: "manifest_data", ArchiveID: archiveID})
	if err != nil {
		tb.Fatal(err)
	}
	return uri
}

// MustPut puts a payload that is in memory.
func MustPut(tb testing.TB, d drivers.Driver, uri string, body []byte) drivers.Receipt {
	tb.Helper()
	receipt, err := d.Put(tb.Context(), uri, drivers.InMemory(body, md5Hex(body)))
	if err != nil {
		tb.Fatal(err)
	}
	return receipt
}

// MustHold demands these bytes under uri.
func MustHold(tb testing.TB, d drivers.Driver, uri string, want []byte) {
	tb.Helper()
	r, info, err := d.Get(tb.Context(), uri)
	if err != nil {
		tb.Error(err)
		return
	}
	defer r.Close()
	got, err := io.ReadAll(r)
	if err != nil || md5Hex(got) != md5Hex(want) || info.Bytes != int64(len(want)) {
		tb.Errorf("get %s: %d bytes of %d (announced %d), the right ones: %v, %v",
			uri, len(got), len(want), info.Bytes, md5Hex(got) == md5Hex(want), err)
	}
}

// WantKind demands an error of this kind that has none of the words of noise and
// all those that it must mention.
func WantKind(tb testing.TB, err error, kind drivers.Kind, noise []string, mentions ...string) {
	tb.Helper()
	var failed *drivers.Error
	if !errors.As(err, &failed) || drivers.KindOf(err) != kind {
		tb.Errorf("got %v (kind %d), want kind %d", err, drivers.KindOf(err), kind)
		return
	}
	text := err.Error()
	for _, word := range noise {
		if strings.Contains(text, word) {
			tb.Errorf("an error with noise: %s", text)
		}
	}
	for _, word := range mentions {
		if !strings.Contains(text, word) {
			tb.Errorf("an error that does not mention %q: %s", word, text)
		}
	}
}
