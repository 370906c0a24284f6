package swift

import (
	"bytes"
	"strings"
	"testing"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/internal/testenv"
)

func TestSplit(t *testing.T) {
	for _, test := range []struct {
		uri       string
		own       location
		malformed bool
	}{
		{uri: "swift://c/a/b/k", own: location{"c", "a/b/k"}},
		{uri: "swift://c/k;p=1%20 +@[é]?#1", own: location{"c", "k;p=1%20 +@[é]?#1"}},
		{uri: "swift://x@Ä:80/k", own: location{"x@Ä:80", "k"}},
		{uri: "swift://c//k", own: location{"c", "/k"}},
		{uri: "swift://c", malformed: true},
		{uri: "swift://c/", malformed: true},
		{uri: "swift://c//", malformed: true}, // would be the container itself in a bulk delete
		{uri: "swift:///k", malformed: true},
		{uri: "swift://../k", malformed: true},
		{uri: "s3://c/k", malformed: true},
		{uri: "", malformed: true},
	} {
		own, err := split(test.uri)
		if (err != nil) != test.malformed || own != test.own {
			t.Errorf("split %q: %+v, %v", test.uri, own, err)
		}
	}
}

func TestURI(t *testing.T) {
	s := &Store{container: "c", prefix: "p/"}
	for _, test := range []struct {
		key  drivers.Key
		want string // "" for InvalidKey
	}{
		{drivers.Key{UserID: "u", Bucket: "b", ArchiveID: "a/?#% é"}, "swift://c/p/u/b/a/?#% é"},
		{drivers.Key{UserID: "u/v", Bucket: "b", ArchiveID: "a"}, ""},
		{drivers.Key{UserID: "u", Bucket: "b/c", ArchiveID: "a"}, ""},
		{drivers.Key{UserID: "", Bucket: "b", ArchiveID: "a"}, ""},
		{drivers.Key{UserID: "u", Bucket: "", ArchiveID: "a"}, ""},
		{drivers.Key{UserID: "u", Bucket: "b", ArchiveID: ""}, ""},
		{drivers.Key{UserID: "u", Bucket: "b", ArchiveID: "\xff"}, ""},
		{drivers.Key{UserID: "u", Bucket: "b", ArchiveID: "\x00"}, ""},
		{drivers.Key{UserID: "u", Bucket: "b", ArchiveID: strings.Repeat("a", 1024-len("p/u/b/"))}, "swift://c/p/u/b/" + strings.Repeat("a", 1018)},
		{drivers.Key{UserID: "u", Bucket: "b", ArchiveID: strings.Repeat("a", 1025-len("p/u/b/"))}, ""},
	} {
		uri, err := s.URI(test.key)
		if test.want == "" {
			wantKind(t, err, drivers.InvalidKey)
		} else if err != nil || uri != test.want {
			t.Errorf("%s: %q, %v", test.key, uri, err)
		}
	}
}

// putAt puts an object exactly where the URI says, behind the driver's back.
func putAt(t *testing.T, server *testenv.SwiftServer, uri string, body []byte) {
	t.Helper()
	at, err := split(uri)
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Client().ObjectPutBytes(t.Context(), at.container, at.name, body, ""); err != nil {
		t.Fatal(err)
	}
}

// TestAwkwardNamesInBulk deletes many names that escaping could spoil at once.
func TestAwkwardNamesInBulk(t *testing.T) {
	server := testenv.Swift(t)
	s := fresh(t, server)
	var uris []string
	for _, id := range []string{"a b", "a%20b", "a+b", "%00", "x//y", "x/y", "x/", "..", "./d", `"q"`, "é", "e\u0301", "🐎",
		"a:b", "semi;colon", "\u0085", "vertical\vtab", " ", strings.Repeat("日", 300), strings.Repeat("k", 900)} {
		uri := uriOf(t, s, id)
		putAt(t, server, uri, []byte(id))
		mustHold(t, s, uri, []byte(id))
		uris = append(uris, uri)
	}
	for i, err := range s.DeleteBatch(t.Context(), uris[1:]) {
		if err != nil {
			t.Errorf("%q: %v", uris[i+1], err)
		}
	}
	if left := server.Objects(t, s.container); len(left) != 1 {
		t.Errorf("left are %q", left)
	}
	mustHold(t, s, uris[0], []byte("a b"))
}

// TestReplaceWhileRead: a payload that is read while it is replaced is the old or the
// new one.
func TestReplaceWhileRead(t *testing.T) {
	s := fresh(t, testenv.Swift(t))
	uri, old := uriOf(t, s, "k"), noise(1, 2<<20)
	mustPut(t, s, uri, old)
	r, _, err := s.Get(t.Context(), uri)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	mustPut(t, s, uri, noise(2, 2<<20))
	var got bytes.Buffer
	if _, err := got.ReadFrom(r); err != nil || !bytes.Equal(got.Bytes(), old) {
		t.Errorf("%d bytes, %v", got.Len(), err)
	}
}
