package swift

import (
	"bytes"
	"strings"
	"testing"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/internal/testenv"
)

func TestSplitAndCut(t *testing.T) {
	for _, test := range []struct {
		uri       string
		own, cut  location
		malformed bool
	}{
		{uri: "swift://c/a/b/k", own: location{"c", "a/b/k"}},
		{uri: "swift://c/k;p=1%20 +@[é]", own: location{"c", "k;p=1%20 +@[é]"}},
		{uri: "swift://c/k?1", own: location{"c", "k?1"}, cut: location{"c", "k"}},
		{uri: "swift://c/k#1?2", own: location{"c", "k#1?2"}, cut: location{"c", "k"}},
		{uri: "swift://c/k?1#2", own: location{"c", "k?1#2"}, cut: location{"c", "k"}},
		{uri: "swift://c/a\tb\r\nc", own: location{"c", "a\tb\r\nc"}, cut: location{"c", "abc"}},
		{uri: "swift://Archive/K", own: location{"Archive", "K"}, cut: location{"archive", "K"}},
		{uri: "swift://x@Ä:80/k", own: location{"x@Ä:80", "k"}, cut: location{"ä", "k"}},
		{uri: "swift://c/?x", own: location{"c", "?x"}},       // nothing is left of the name
		{uri: "swift://a?b/k", own: location{"a?b", "k"}},     // nor of this one
		{uri: "swift://@/k", own: location{"@", "k"}},         // nor of the container
		{uri: "swift://c//k", own: location{"c", "/k"}},       // found there by Anchore too
		{uri: "swift://c/k ", own: location{"c", "k "}},       // white space at the end stays
		{uri: "swift://c/k\x0b", own: location{"c", "k\x0b"}}, // as do other control characters
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
		cut, differs := cutPlace(test.uri)
		if cut != test.cut || differs != (test.cut != location{}) {
			t.Errorf("cut %q: %+v, %v", test.uri, cut, differs)
		}
	}
}

func FuzzCutPlace(f *testing.F) {
	for _, uri := range []string{"swift://c/k?1", "swift://A@b:1/k\n#", "swift://c//", "x"} {
		f.Add(uri)
	}
	f.Fuzz(func(t *testing.T, uri string) {
		own, err := split(uri)
		cut, differs := cutPlace(uri)
		if differs && (err != nil || cut == own || cut.container == "" || cut.name == "") {
			t.Errorf("%q: %+v, %+v, %v", uri, own, cut, err)
		}
		if err == nil && scheme+own.container+"/"+own.name != uri {
			t.Errorf("%q is split into %+v", uri, own)
		}
		if differs && drivers.ReadableByAnchore(uri) == nil {
			t.Errorf("%q is cut to %+v, though Anchore reads it", uri, cut)
		}
	})
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

// asAnchore puts a payload where Anchore puts that of a URI.
func asAnchore(t *testing.T, server *testenv.SwiftServer, uri string, body []byte) {
	t.Helper()
	at, differs := cutPlace(uri)
	if !differs {
		at, _ = split(uri)
	}
	if err := server.Client().ObjectPutBytes(t.Context(), at.container, at.name, body, ""); err != nil {
		t.Fatal(err)
	}
}

// TestCutNames reads what Anchore has put under cut names, and never deletes
// what may be another document's.
func TestCutNames(t *testing.T) {
	server := testenv.Swift(t)
	s := fresh(t, server)
	one, two, plain := uriOf(t, s, "k?1"), uriOf(t, s, "k?2"), uriOf(t, s, "k")
	mustMiss(t, s, one)
	if err := s.Delete(t.Context(), one); err != nil {
		t.Errorf("delete of what is nowhere: %v", err)
	}

	shared := []byte("the last one that Anchore has put")
	asAnchore(t, server, one, shared)
	for _, uri := range []string{one, two, plain} {
		mustHold(t, s, uri, shared)
		if info, err := s.Stat(t.Context(), uri); err != nil || info.MD5 != md5Hex(shared) {
			t.Errorf("stat %s: %+v, %v", uri, info, err)
		}
	}
	for i, err := range append(s.DeleteBatch(t.Context(), []string{one, two}), s.Delete(t.Context(), one)) {
		t.Log(i, err)
		wantKind(t, err, drivers.InvalidKey, "shared with other documents", "not deleted")
	}
	mustHold(t, s, plain, shared)

	// What kedge puts goes under the whole name, and is that document's alone.
	own := []byte("own")
	mustPut(t, s, one, own)
	mustHold(t, s, one, own)
	mustHold(t, s, two, shared)
	mustHold(t, s, plain, shared)
	if err := s.Delete(t.Context(), one); err != nil {
		t.Error(err)
	}
	mustHold(t, s, plain, shared)
	mustPut(t, s, plain, own)
	mustMiss(t, s, one)
	mustMiss(t, s, two)
	for _, err := range s.DeleteBatch(t.Context(), []string{one, two}) {
		if err != nil {
			t.Error(err)
		}
	}
	mustHold(t, s, plain, own)
}

// TestCutContainer: Anchore puts into the container's lower-case name.
func TestCutContainer(t *testing.T) {
	server := testenv.Swift(t)
	lower := server.Container(t)
	upper := strings.ToUpper(lower[:1]) + lower[1:]
	o := optionsFor(server, upper)
	_, err := Open(t.Context(), o, Tuning{})
	wantKind(t, err, drivers.Config, "no such container", "create_container")
	o.CreateContainer = true
	server.RemoveContainerAfter(t, upper)
	s := opened(t, o)
	uri := uriOf(t, s, "k")
	asAnchore(t, server, uri, []byte("lower"))
	if names := server.Objects(t, lower); len(names) != 1 {
		t.Fatalf("the test proves nothing: %q", names)
	}
	mustHold(t, s, uri, []byte("lower"))
	wantKind(t, s.Delete(t.Context(), uri), drivers.InvalidKey, "swift://"+lower+"/")
}

// TestAwkwardNamesInBulk deletes many names that escaping could spoil at once.
func TestAwkwardNamesInBulk(t *testing.T) {
	server := testenv.Swift(t)
	s := fresh(t, server)
	var uris []string
	for _, id := range []string{"a b", "a%20b", "a+b", "%00", "x//y", "x/y", "x/", "..", "./d", `"q"`, "é", "e\u0301", "🐎",
		"a:b", "semi;colon", "\u0085", "vertical\vtab", " ", strings.Repeat("日", 300), strings.Repeat("k", 900)} {
		uri := uriOf(t, s, id)
		asAnchore(t, server, uri, []byte(id))
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
