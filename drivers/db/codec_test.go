package db

import (
	"bytes"
	"encoding/base64"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/kedge/kedge/drivers"
)

func TestEncodeBase64(t *testing.T) {
	for _, test := range []struct{ plain, want string }{
		{"", ""},
		{"\xff", "/w==\n"},
		{"hello", "aGVsbG8=\n"},
		{strings.Repeat("a", 57), strings.Repeat("YWFh", 19) + "\n"},
		{strings.Repeat("a", 58), strings.Repeat("YWFh", 19) + "\nYQ==\n"},
	} {
		if got := string(encodeBase64([]byte(test.plain))); got != test.want {
			t.Errorf("%q: %q, want %q", test.plain, got, test.want)
		}
	}
}

// FuzzDecodeBase64 compares the decoder with the standard library's on the text
// without its white space, in one piece and in small ones.
func FuzzDecodeBase64(f *testing.F) {
	for _, s := range []string{"", "aGVsbG8=\n", "aGVs\r\nbG8=", "====", "a", "aGVsbG8=aGVsbG8=", "/w==\n/w==\n", "aGVsbG8= x", "\u00a0", "YQ=\n=", "ab-_"} {
		f.Add([]byte(s), 1)
		f.Add(encodeBase64([]byte(s)), 3)
	}
	f.Fuzz(func(t *testing.T, text []byte, size int) {
		bare := strings.Map(func(r rune) rune {
			if strings.ContainsRune(" \t\n\v\f\r", r) {
				return -1
			}
			return r
		}, strings.ToValidUTF8(string(text), "\ufffd"))
		want, wantErr := base64.StdEncoding.DecodeString(bare)
		got, err := decodeBase64(text)
		if (err == nil) != (wantErr == nil) {
			t.Fatalf("%q: %v, the standard library says %v", text, err, wantErr)
		}
		if err == nil && !bytes.Equal(got, want) {
			t.Fatalf("%q: %q, want %q", text, got, want)
		}
		var pieces buffer
		d := base64Writer{w: &pieces}
		var perr error
		for rest, n := text, min(max(size, 1), 1<<16); len(rest) > 0 && perr == nil; {
			_, perr = d.Write(rest[:min(n, len(rest))])
			rest = rest[min(n, len(rest)):]
		}
		if perr == nil {
			perr = d.Close()
		}
		if (err == nil) != (perr == nil) || err == nil && !bytes.Equal(got, pieces.data) {
			t.Fatalf("%q in pieces of %d: %q, %v, in one %q, %v", text, size, pieces.data, perr, got, err)
		}
		again, err := decodeBase64(encodeBase64(text))
		if err != nil || !bytes.Equal(again, text) {
			t.Fatalf("%q does not survive: %q, %v", text, again, err)
		}
	})
}

// FuzzURI: a URI that is accepted means one key, which makes that same URI.
func FuzzURI(f *testing.F) {
	for _, s := range []string{"db://u/b/a", "db://u/b/", "db://u/b", "db:///b/a", "db://u//a", "db2://u/b/a", "db://u/b/a/c?d#e%2f", "DB://u/b/a", "db://u\x00/b/a", "db://u/b/\xff"} {
		f.Add(s, "u", "b", "a/"+s)
	}
	s := &store{name: "db"}
	f.Fuzz(func(t *testing.T, uri, user, bucket, id string) {
		if key, err := parse("db://", uri); err == nil {
			if again, err := s.URI(key); err != nil || again != uri {
				t.Fatalf("%q is %s, which is %q (%v)", uri, key, again, err)
			}
		}
		key := drivers.Key{UserID: user, Bucket: bucket, ArchiveID: id}
		if made, err := s.URI(key); err == nil {
			if again, err := parse("db://", made); err != nil || again != key {
				t.Fatalf("%s makes %q, which is %s (%v)", key, made, again, err)
			}
		} else {
			wantKind(t, stripped(err), drivers.InvalidKey)
		}
	})
}

// stripped is the error without its URI, which may hold newlines.
func stripped(err error) error {
	e := *err.(*drivers.Error)
	e.URI = ""
	return &e
}

// FuzzTextCheck compares the check in pieces with that of the whole.
func FuzzTextCheck(f *testing.F) {
	for _, s := range []string{"", "abc", "é🐎", "\xf0\x9f", "\x00", "\xed\xa0\x80", "a\xff", "\xf0\x9f\x90\x8e\x80"} {
		f.Add([]byte(s), 1)
		f.Add([]byte(s), 2)
	}
	f.Fuzz(func(t *testing.T, p []byte, size int) {
		want := utf8.Valid(p) && bytes.IndexByte(p, 0) < 0
		if isText(p, false) != want {
			t.Fatalf("%q: text is %v", p, !want)
		}
		var c textCheck
		for rest, n := p, min(max(size, 1), 1<<16); len(rest) > 0; rest = rest[min(n, len(rest)):] {
			c.write(rest[:min(n, len(rest))])
		}
		if c.isText() != want {
			t.Fatalf("%q in pieces of %d: text is %v", p, size, !want)
		}
	})
}
