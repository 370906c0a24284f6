package swift

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/internal/testenv"
)

func TestAnchorePlaces(t *testing.T) {
	for _, test := range []struct {
		uri           string
		read, written location
	}{
		{uri: "swift://c/a/b/k", read: location{"c", "a/b/k"}},
		{uri: "swift://c/k;p=1%20 +@[é]", read: location{"c", "k;p=1%20 +@[é]"}},
		{uri: "swift://c/k?1", read: location{"c", "k"}},
		{uri: "swift://c/k#1?2", read: location{"c", "k"}},
		{uri: "swift://c/a\tb\r\nc", read: location{"c", "abc"}},
		{uri: "swift://Archive/K", read: location{"archive", "K"}},
		{uri: "swift://x@Ä:80/k", read: location{"ä", "k"}},
		{uri: "swift://c/?x"}, // nothing is left of the name
		{uri: "swift://a?b/k"},
		{uri: "swift://@/k"},
		{uri: "swift://c/k \x0b", read: location{"c", "k \x0b"}},
		{uri: "swift://c/./a/k", read: location{"c", "a/k"}},
		{uri: "swift://c/u/b/x/../y?z/..", read: location{"c", "u/b/y"}},
		{uri: "swift://c/u/b/g/.", read: location{"c", "u/b/g/"}},
		{uri: "swift://c/u/b/..", read: location{"c", "u/"}},
		{uri: "swift://c/u/b//../k", read: location{"c", "u/b/k"}},
		{uri: "swift://c/u//b/k/", read: location{"c", "u//b/k/"}},
		{uri: "swift://c/u/..//k", read: location{"c", "/k"}},
		{uri: "swift://c/u/../../other/k"}, // another container
		{uri: "swift://c/../c/k"},
		{uri: "swift://c/...", read: location{"c", "..."}},
		{uri: "swift://c//k", read: location{"c", "/k"}, written: location{"c", "k"}},
		{uri: "swift://c///a/k", read: location{"c", "//a/k"}, written: location{"c", "a/k"}},
		{uri: `swift://c/.\k`, read: location{"c", `.\k`}, written: location{"c", "k"}},
		{uri: "swift://c/.//k", read: location{"c", "/k"}, written: location{"c", "k"}},
	} {
		if test.written == (location{}) {
			test.written = test.read
		}
		read, written := anchorePlaces(test.uri)
		if read != test.read || written != test.written {
			t.Errorf("%q: read at %+v, written to %+v", test.uri, read, written)
		}
	}
}

func FuzzAnchorePlaces(f *testing.F) {
	for _, uri := range []string{"swift://c/k?1", "swift://A@b:1/k\n#", "swift://c//", "swift://c/a/../b/./c", "x"} {
		f.Add(uri)
	}
	f.Fuzz(func(t *testing.T, uri string) {
		own, err := split(uri)
		read, written := anchorePlaces(uri)
		if err != nil && (read != location{} || written != location{}) {
			t.Errorf("%q has places: %+v, %+v", uri, read, written)
		}
		if err == nil && own.uri() != uri {
			t.Errorf("%q is split into %+v", uri, own)
		}
		if readable := drivers.ReadableByAnchore(uri) == nil; err == nil && readable && (read != own || written != own) {
			t.Errorf("%q is at %+v and %+v, though Anchore reads it", uri, read, written)
		}
		for _, at := range []location{read, written} {
			if at != (location{}) && (!isStraight(at.name) || checkContainer(at.container) != nil) {
				t.Errorf("%q comes to %+v", uri, at)
			}
		}
	})
}

// awkward are ids that Anchore's client does something to, with those that come to
// the same object.
var awkward = []string{
	"k", "./k", "x/../k", "k?1", "k#2", "k\t", "x//../k", "g/.", "g/", "h/..", "..", "./././deep/../er", "a/./b/./c", "%2e/x", "é/../è", "x/y/../..",
	"trailing/./", "?x", "a?b/../c",
}

func putsOf(t *testing.T, s *Store, ids []string) (puts []testenv.AnchoreRequest) {
	for _, id := range ids {
		puts = append(puts, testenv.AnchoreRequest{Op: "put", URI: uriOf(t, s, id), Body: []byte("of " + id)})
	}
	return puts
}

func meant(body []byte) drivers.Meant { return drivers.Meant{MD5: md5Hex(body)} }

// TestWhereAnchorePuts: what python-swiftclient has put is read and deleted where it
// is, by its digest, whatever else comes to the same object.
func TestWhereAnchorePuts(t *testing.T) {
	server := testenv.Swift(t)
	for _, prefix := range []string{"", "./a/", "x/../a-", "/a/", "t\t/"} {
		o := optionsFor(server, server.Container(t))
		o.KeyPrefix = prefix
		s := opened(t, o)
		last := map[location]string{} // who put last
		puts := putsOf(t, s, awkward)
		var gets []testenv.AnchoreRequest
		for i, put := range puts {
			if _, written := anchorePlaces(put.URI); written != (location{}) {
				last[written] = awkward[i]
			}
			gets = append(gets, testenv.AnchoreRequest{Op: "get", URI: put.URI})
		}
		answers := server.AsAnchore(t, append(puts, gets...)...)[len(puts):]
		var want []string
		for at := range last {
			want = append(want, at.name)
		}
		slices.Sort(want)
		if got := server.Objects(t, s.container); !slices.Equal(got, want) {
			t.Errorf("prefix %q: Anchore's client has put %q, want %q", prefix, got, want)
		}
		for i, put := range puts {
			read, written := anchorePlaces(put.URI)
			if found := answers[i].Error == "" && bytes.Equal(answers[i].Body, put.Body); found != (last[read] == awkward[i] && read != location{}) {
				t.Errorf("%q: Anchore finds it: %v (%q, %s)", put.URI, found, answers[i].Body, answers[i].Error)
			}
			if last[written] != awkward[i] || written == (location{}) {
				continue
			}
			for _, how := range []drivers.Meant{meant(put.Body), {}} {
				if how.MD5 == "" && read != written {
					continue
				}
				r, _, err := s.Get(drivers.WithMeant(t.Context(), how), put.URI)
				if err != nil {
					t.Errorf("get %q: %v", put.URI, err)
					continue
				}
				var got bytes.Buffer
				if _, err := got.ReadFrom(r); err != nil || !bytes.Equal(got.Bytes(), put.Body) {
					t.Errorf("get %q: %q, %v", put.URI, got.Bytes(), err)
				}
				r.Close()
			}
		}
		for _, put := range puts {
			if err := s.Delete(drivers.WithMeant(t.Context(), meant(put.Body)), put.URI); err != nil {
				t.Errorf("delete %q: %v", put.URI, err)
			}
		}
		if left := server.Objects(t, s.container); len(left) != 0 {
			t.Errorf("prefix %q: left are %q", prefix, left)
		}
	}
}

// TestAnchoreFindsWhatKedgePuts: exactly what FoundByAnchore says; and nothing of it
// is at another document's place.
func TestAnchoreFindsWhatKedgePuts(t *testing.T) {
	server := testenv.Swift(t)
	for _, prefix := range []string{"", "./a/", "/a/", "a/./", "q?/"} {
		o := optionsFor(server, server.Container(t))
		o.KeyPrefix = prefix
		s := opened(t, o)
		puts := putsOf(t, s, awkward)
		var gets []testenv.AnchoreRequest
		for _, put := range puts {
			mustPut(t, s, put.URI, put.Body)
			gets = append(gets, testenv.AnchoreRequest{Op: "get", URI: put.URI})
		}
		found := 0
		for i, answer := range server.AsAnchore(t, gets...) {
			uri := puts[i].URI
			right := answer.Error == "" && bytes.Equal(answer.Body, puts[i].Body)
			if err := s.FoundByAnchore(uri); right && !strings.HasPrefix(prefix, "/") != (err == nil) {
				t.Errorf("%q: %v; Anchore gets %q, %s", uri, err, answer.Body, answer.Error)
			}
			if right {
				found++
			}
			mustHold(t, s, uri, puts[i].Body)
		}
		if found == 0 && prefix != "q?/" {
			t.Errorf("prefix %q: Anchore finds nothing", prefix)
		}
		var listed []string
		if err := s.List(t.Context(), func(uri string, _ drivers.Info) error { listed = append(listed, uri); return nil }); err != nil || len(listed) != len(puts) {
			t.Errorf("prefix %q: %d are listed of %d: %v", prefix, len(listed), len(puts), err)
		}
		for _, put := range puts {
			if !slices.Contains(listed, put.URI) {
				t.Errorf("%q is not listed", put.URI)
			}
			if err := s.Delete(t.Context(), put.URI); err != nil {
				t.Error(err)
			}
		}
		if left := server.Objects(t, s.container); len(left) != 0 {
			t.Errorf("prefix %q: left are %q", prefix, left)
		}
	}
}

// TestSharedPlaces never deletes what may be another document's, unless the caller
// says which payload is meant.
func TestSharedPlaces(t *testing.T) {
	server := testenv.Swift(t)
	s := fresh(t, server)
	one, two, plain := uriOf(t, s, "k?1"), uriOf(t, s, "./k"), uriOf(t, s, "k")
	mustMiss(t, s, one)
	if err := s.Delete(t.Context(), one); err != nil {
		t.Errorf("delete of what is nowhere: %v", err)
	}
	shared := []byte("the last one that Anchore has put")
	server.AsAnchore(t, testenv.AnchoreRequest{Op: "put", URI: one, Body: shared})
	for _, uri := range []string{one, two, plain} {
		mustHold(t, s, uri, shared)
		if info, err := s.Stat(t.Context(), uri); err != nil || info.MD5 != md5Hex(shared) {
			t.Errorf("stat %s: %+v, %v", uri, info, err)
		}
	}
	for _, err := range append(s.DeleteBatch(t.Context(), []string{one, two}), s.Delete(t.Context(), one)) {
		wantKind(t, err, drivers.InvalidKey, "shared with other documents", "not deleted")
	}
	// Another payload is meant.
	if err := s.Delete(drivers.WithMeant(t.Context(), meant([]byte("another"))), one); err != nil {
		t.Error(err)
	}
	mustHold(t, s, plain, shared)

	// What kedge puts goes under the whole name, and is that document's alone.
	own := []byte("own")
	mustPut(t, s, one, own)
	mustHold(t, s, one, own)
	mustHold(t, s, two, shared)
	mustHold(t, s, plain, shared)
	// The digest decides also against the URI's own place.
	r, _, err := s.Get(drivers.WithMeant(t.Context(), meant(shared)), one)
	if err != nil {
		t.Fatal(err)
	}
	var got bytes.Buffer
	if _, err := got.ReadFrom(r); err != nil || !bytes.Equal(got.Bytes(), shared) {
		t.Errorf("%q, %v", got.Bytes(), err)
	}
	r.Close()
	if err := s.Delete(t.Context(), one); err != nil {
		t.Error(err)
	}
	mustHold(t, s, plain, shared)
	mustPut(t, s, plain, own)
	mustMiss(t, s, one)
	mustMiss(t, s, two)
	for _, err := range s.DeleteBatch(drivers.WithMeant(t.Context(), meant(own)), []string{one, two}) {
		if err != nil {
			t.Error(err)
		}
	}
	mustHold(t, s, plain, own)
}

// TestLowerCaseContainer: Anchore puts into the container's lower-case name.
func TestLowerCaseContainer(t *testing.T) {
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
	body := []byte("lower")
	server.AsAnchore(t, testenv.AnchoreRequest{Op: "put", URI: uri, Body: body})
	if names := server.Objects(t, lower); len(names) != 1 {
		t.Fatalf("the test proves nothing: %q", names)
	}
	mustHold(t, s, uri, body)
	wantKind(t, s.Delete(t.Context(), uri), drivers.InvalidKey, "swift://"+lower+"/")
	if err := s.Delete(drivers.WithMeant(t.Context(), meant(body)), uri); err != nil {
		t.Error(err)
	}
	mustMiss(t, s, uri)
}
