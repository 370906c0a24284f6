package drivertest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/kedge/kedge/drivers"
)

// awkwardKeys are keys at which escaping, path cleaning, case folding and
// length limits have been known to break. Pairs that only one of these tells
// apart stand in the list together.
func awkwardKeys() []drivers.Key {
	var keys []drivers.Key
	ids := []string{
		"plain", "Plain", "PLAIN", "plain.json", "plain ", " plain", "plain.", ".plain",
		"a b", "a%20b", "a+b", "a%2Bb", "a%2520b", "100%", "%zz", "%00",
		"semi;colon", "am&per=sand", "it's", `"quoted"`, "`tick`", "$HOME ${HOME} $(id)",
		"[brackets]", "{braces}", "<angle>", "star*", "pipe|", "caret^", "tilde~", "comma,", "bang!",
		"at@sign", "user:pass@host", "colon:", `back\slash`, `\x00`,
		"question?mark", "question", "?", "hash#mark", "hash", "#", "a?b#c",
		"tab\tinside", "tabinside", "new\nline", "newline", "return\rinside", "bell\a", "delete\x7f", "\u0085next",
		"_under", "per_cent", "perXcent", "-dash", "--double",
		"é", "e\u0301", "日本語", "🐎🚀", "\U0001F468\u200d\U0001F469", "ﬁ", "ſ", "İ", "ß", "\u202eright to left", "\ufeffbom",
		"\u00a0nbsp", "\u2025", "℀",
		"sha256:0f3a", "a", "a/b", "a/b/c", "d/", "d", "d//e", "d/e", "/leading", "leading", "//two",
		".", "..", "f/./g", "f/g", "f/../g", "g", "../h", "h", "f/..", "f/.", "...", "f/.../g",
		strings.Repeat("k", 300), strings.Repeat("k", 299) + "l", strings.Repeat("k/", 149) + "l",
		strings.Repeat("日", 84), strings.Repeat("日", 300), strings.Repeat("🐎", 60),
		"", "nul\x00inside", "nul", "invalid\xff", "invalid", "surrogate\xed\xa0\x80",
	}
	for _, id := range ids {
		keys = append(keys, key(id))
	}
	for _, user := range []string{
		"Admin", "ADMIN", "user@example.com", "user", "user:8080", "a user", "[::1]", "üser", "us%65r", "u?", "u#", "admin/manifest_data", "admin/", "/", "..", ".", "",
	} {
		keys = append(keys, drivers.Key{UserID: user, Bucket: "manifest_data", ArchiveID: "by user"})
	}
	for _, bucket := range []string{
		"Manifest_Data", "a bucket", "bucket%", "b?", "b#", "bücket", "x/y", "x", "/", "..", ".", "", "b\x00",
		strings.Repeat("b", 255), strings.Repeat("b", 256),
	} {
		keys = append(keys, drivers.Key{UserID: "admin", Bucket: bucket, ArchiveID: "by bucket"})
	}
	// What a "/" in the wrong part would make equal.
	return append(keys,
		drivers.Key{UserID: "admin", Bucket: "x", ArchiveID: "y/by bucket"},
		drivers.Key{UserID: "admin", Bucket: "manifest_data", ArchiveID: "manifest_data/by user"},
		drivers.Key{UserID: "admin/manifest_data", Bucket: "x", ArchiveID: "y"},
		drivers.Key{UserID: "admin", Bucket: "manifest_data/x", ArchiveID: "y"},
		drivers.Key{UserID: "admin", Bucket: "manifest_data", ArchiveID: "x/y"},
	)
}

// testKeys puts one payload under each awkward key into one store and reads
// them all back; what is refused must be refused with kind InvalidKey.
func testKeys(t *testing.T, b Backend) {
	s := open(t, b)
	stored := map[string]drivers.Key{}
	var order []string
	body := func(k drivers.Key) []byte { return fmt.Appendf(nil, "the payload of %#v", k) }
	for _, k := range awkwardKeys() {
		uri, refusal := s.d.URI(k)
		if refusal == nil {
			if !strings.HasPrefix(uri, s.d.Prefix()) {
				t.Errorf("URI(%s) = %q does not begin with %q", k, uri, s.d.Prefix())
			}
			if twin, ok := stored[uri]; ok {
				t.Errorf("keys %s and %s have the same URI %q", k, twin, uri)
				continue
			}
			_, refusal = s.d.Put(s.ctx, uri, drivers.InMemory(body(k), md5Hex(body(k))))
		} else {
			uri = ""
		}
		if b.Refuses != nil && b.Refuses(k) != (refusal != nil) {
			t.Errorf("key %s: refused: %v, want %v (%v)", k, refusal != nil, !(refusal != nil), refusal)
		}
		if refusal != nil {
			s.wantKind(refusal, uri, drivers.InvalidKey)
			if uri != "" {
				s.missesRefused(uri)
			}
			continue
		}
		stored[uri] = k
		order = append(order, uri)
	}
	for _, uri := range order {
		s.holds(uri, body(stored[uri]))
	}
	// Deleting one must not take another with it.
	for i := 0; i < len(order); i += 2 {
		if err := s.delete(order[i]); err != nil {
			t.Errorf("delete %q: %v", order[i], err)
		}
	}
	for i, uri := range order {
		if i%2 == 0 {
			s.misses(uri)
		} else {
			s.holds(uri, body(stored[uri]))
		}
	}
	if len(order) < 60 {
		t.Errorf("only %d awkward keys of %d could be stored", len(order), len(awkwardKeys()))
	}
	s.noLeftovers()
}

// missesRefused demands that a key that Put refused cannot be read either.
func (s *store) missesRefused(uri string) {
	s.Helper()
	r, _, err := s.get(uri)
	if err == nil {
		r.Close()
		s.Errorf("get %q: found, though its Put was refused", uri)
		return
	}
	s.wantKind(err, uri, drivers.NotFound, drivers.InvalidKey)
}

// testKeysSideBySide checks that a key that is a path prefix of another one
// does not stand in its way when that one is gone.
func testKeysSideBySide(t *testing.T, b Backend) {
	s := open(t, b)
	for _, id := range []string{"n", "n/m", "n/m/o", "n"} {
		uri := s.uri(id)
		s.put(uri, []byte(id))
		s.holds(uri, []byte(id))
		if err := s.delete(uri); err != nil {
			t.Fatalf("delete %q: %v", uri, err)
		}
		s.misses(uri)
	}
	s.noLeftovers()
}
