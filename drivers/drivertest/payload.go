package drivertest

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync/atomic"

	"github.com/kedge/kedge/drivers"
)

// errSource is what a source in these tests fails with.
var errSource = errors.New("drivertest: the source is rotten")

// small and large are the lengths of payloads for which a driver may well take
// different ways: large lies above the part size of any multipart upload.
const (
	small = 1000
	large = 20<<20 + 7
)

// md5Hex gives the MD5 of b in lower-case hex.
func md5Hex(b []byte) string {
	sum := md5.Sum(b)
	return hex.EncodeToString(sum[:])
}

// random opens length pseudo-random bytes that depend on seed alone.
func random(seed byte, length int64) io.Reader {
	return io.LimitReader(rand.NewChaCha8([32]byte{seed, 1}), length)
}

// randomBytes gives the bytes of random.
func randomBytes(seed byte, length int) []byte {
	b, err := io.ReadAll(random(seed, int64(length)))
	if err != nil {
		panic(err)
	}
	return b
}

// digest reads r to its end and gives its MD5 in lower-case hex and its length
// in bytes.
func digest(r io.Reader) (string, int64, error) {
	hash := md5.New()
	n, err := io.Copy(hash, r)
	return hex.EncodeToString(hash.Sum(nil)), n, err
}

// source is a payload that can be opened again and again and notices whether
// what was opened is closed.
type source struct {
	open           func() io.Reader
	opened, closed atomic.Int64
}

// sourceOf is a source of these bytes.
func sourceOf(b []byte) *source {
	return &source{open: func() io.Reader { return bytes.NewReader(b) }}
}

// payload is the source as a streamed payload.
func (s *source) payload(length int64, md5 string) drivers.Payload {
	return drivers.Payload{
		Open: func(context.Context) (io.ReadCloser, error) {
			s.opened.Add(1)
			return &sourceReader{Reader: s.open(), source: s}, nil
		},
		Length: length,
		MD5:    md5,
	}
}

// sourceReader hides every method of its reader but Read.
type sourceReader struct {
	io.Reader
	source *source
	closed atomic.Bool
}

func (r *sourceReader) Read(p []byte) (int, error) {
	if r.closed.Load() {
		return 0, errors.New("drivertest: read after close")
	}
	return r.Reader.Read(p)
}

func (r *sourceReader) Close() error {
	if !r.closed.Swap(true) {
		r.source.closed.Add(1)
	}
	return nil
}

// failing delivers r's bytes and then err in place of io.EOF.
func failing(r io.Reader, err error) io.Reader {
	return io.MultiReader(r, errorReader{err})
}

type errorReader struct{ err error }

func (r errorReader) Read([]byte) (int, error) { return 0, r.err }

// form is a way in which a payload can be handed to Put.
type form struct {
	name                   string
	streamed, length, hash bool
}

var forms = []form{
	{"in memory", false, true, true},
	{"in memory, MD5 unknown", false, true, false},
	{"stream", true, true, true},
	{"stream, MD5 unknown", true, true, false},
	{"stream, length unknown", true, false, true},
	{"stream, length and MD5 unknown", true, false, false},
}

// payload gives body in this form, and the source when it is a stream.
func (f form) payload(body []byte) (drivers.Payload, *source) {
	hash := ""
	if f.hash {
		hash = md5Hex(body)
	}
	if !f.streamed {
		return drivers.InMemory(body, hash), nil
	}
	length := int64(-1)
	if f.length {
		length = int64(len(body))
	}
	src := sourceOf(body)
	return src.payload(length, hash), src
}

// bodies are payloads at which encodings, string types and line lengths have
// been known to break.
func bodies() map[string][]byte {
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	m := map[string][]byte{
		"empty":              {},
		"one byte":           {'x'},
		"one NUL":            {0},
		"newline":            {'\n'},
		"all byte values":    all,
		"text":               []byte(`{"document": {"a": [1, 2, 3]}}`),
		"text with newlines": []byte("a\r\nb\n\n\tc\r"),
		"text with NUL":      []byte("before\x00after"),
		"latin-1":            []byte("caf\xe9 \xfcber"),
		"invalid UTF-8":      []byte("ok \xc3\x28 \xed\xa0\x80 \xf8"),
		"cut UTF-8":          []byte("emoji \xf0\x9f\x98"),
		"UTF-8":              []byte("žluťoučký 🐎 \ufeff \u2028"),
		"looks like base64":  []byte("aGVsbG8=\n"),
		"looks like bytea":   []byte(`\x00ff`),
		"backslashes":        []byte(`\\ \n \000 '' "" $1 %s`),
		"100 KB text":        []byte(strings.Repeat("0123456789abcdef", 6250)),
		"100 KB random":      randomBytes(3, 100_000),
	}
	for _, n := range []int{56, 57, 58, 113, 114, 115, 57 * 64, 57*64 + 1} { // lines of base64.encodebytes
		m[fmt.Sprintf("binary of %d bytes", n)] = bytes.Repeat([]byte{0xff}, n)
	}
	return m
}
