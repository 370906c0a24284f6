package main

import (
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/kedge/kedge/bench"
	"github.com/kedge/kedge/internal/testenv"
)

// awkwardSwift is an archive that python-swiftclient has written, as Anchore does.
type awkwardSwift struct {
	seeded
	server         *testenv.SwiftServer
	swift, db      place
	bodies         map[string][]byte // by archive id
	source, target string            // configurations
}

func newAwkwardSwift(t *testing.T, prefix string, bodies map[string][]byte, order ...string) *awkwardSwift {
	t.Helper()
	a := &awkwardSwift{seeded: seedDB(t, bench.Workload{Documents: 1, Seed: 95}), server: testenv.Swift(t), bodies: bodies}
	execute(t, a.url, `DELETE FROM archive_metadata`)
	execute(t, a.url, `DELETE FROM archive_document`)
	a.swift, a.db = swiftPlace(a.server, a.server.Container(t), prefix), dbPlace(a.url)
	var puts []testenv.AnchoreRequest
	for _, id := range order {
		uri := a.swift.prefix + "admin/b/" + id
		puts = append(puts, testenv.AnchoreRequest{Op: "put", URI: uri, Body: bodies[id]})
		sum := md5.Sum(bodies[id])
		execute(t, a.url, `INSERT INTO archive_metadata (bucket, "archiveId", "userId", "documentName", content_url, is_compressed, digest, size) VALUES ('b', $1, 'admin', $2, $3, false, $4, $5)`,
			id, id+".json", uri, hex.EncodeToString(sum[:]), len(bodies[id]))
	}
	for i, answer := range a.server.AsAnchore(t, puts...) {
		if answer.Error != "" {
			t.Fatalf("%q: %s", puts[i].URI, answer.Error)
		}
	}
	a.source, a.target = a.swift.config(t, a.url, compression{}), a.db.config(t, a.url, compression{})
	return a
}

// inDatabase checks that documents are in the database, with every SHA-256.
func (a *awkwardSwift) inDatabase(t *testing.T, ids ...string) {
	t.Helper()
	rows := catalogRows(t, a.url)
	for _, id := range ids {
		r := rows["admin\x00b\x00"+id+"\x00"+id+".json"]
		sum := sha256.Sum256(a.bodies[id])
		if r.url == nil || !strings.HasPrefix(*r.url, "db://") {
			t.Errorf("%q did not move", id)
		} else if err := checkStored(t.Context(), a.db.raw, r, hex.EncodeToString(sum[:])); err != nil {
			t.Errorf("%q: %v", id, err)
		}
	}
}

// TestSwiftArchiveWithDotSegmentsThereAndBack: what python-swiftclient has written under
// resolved names moves to the database and back, and nothing is left behind. Back,
// what Anchore finds it finds, and what it would not find stays unless it is told to
// move.
func TestSwiftArchiveWithDotSegmentsThereAndBack(t *testing.T) {
	t.Parallel()
	ids := []string{"plain", "./d", "x/../y", "g/.", "h/..", "a/./b/./c", "q?1", "t\tb", "s//p", "e/", "%2e/z"}
	for _, prefix := range []string{"", "./a/", "p/../q-", "/a/"} {
		t.Run("prefix "+prefix, func(t *testing.T) {
			bodies := make(map[string][]byte)
			for _, id := range ids {
				bodies[id] = fmt.Appendf(nil, `{"document": %q}`, prefix+id)
			}
			a := newAwkwardSwift(t, prefix, bodies, ids...)
			if prefix != "/a/" { // there Anchore does not find what it has put
				kedge(t, "verify", a.source).want(t, exitDone)
			}
			kedge(t, "verify", "--orphans", a.source)
			kedge(t, "migrate", "--dontask", "--unreadable-keys=move", a.source, a.target).want(t, exitDone)
			a.inDatabase(t, ids...)
			if left := a.server.Objects(t, strings.Split(a.swift.prefix, "/")[2]); len(left) != 0 {
				t.Errorf("left at the source: %q", left)
			}

			kedge(t, "migrate", "--dontask", a.target, a.source).want(t, exitDocuments)
			var gets []testenv.AnchoreRequest
			var moved []string
			for _, id := range ids {
				if r := catalogRows(t, a.url)["admin\x00b\x00"+id+"\x00"+id+".json"]; strings.HasPrefix(*r.url, "swift://") {
					gets, moved = append(gets, testenv.AnchoreRequest{Op: "get", URI: *r.url}), append(moved, id)
				}
			}
			if want := 4; len(moved) != want && prefix != "/a/" {
				t.Errorf("%q moved, want %d", moved, want)
			}
			for i, answer := range a.server.AsAnchore(t, gets...) {
				if string(answer.Body) != string(bodies[moved[i]]) {
					t.Errorf("%q is called moved, and Anchore gets %q, %s", moved[i], answer.Body, answer.Error)
				}
			}
			kedge(t, "migrate", "--dontask", "--unreadable-keys=move", a.target, a.source).want(t, exitDone)
			empty(t, a.db.raw)
			o := kedge(t, "verify", "--output=json", a.source).want(t, exitDocuments)
			classes, _, _ := failedIDs(t, o.stdout)
			gets = nil
			for _, id := range ids {
				gets = append(gets, testenv.AnchoreRequest{Op: "get", URI: a.swift.prefix + "admin/b/" + id})
			}
			for i, answer := range a.server.AsAnchore(t, gets...) {
				if found := string(answer.Body) == string(bodies[ids[i]]); found == (classes[ids[i]] == "unreadable-by-anchore") {
					t.Errorf("verify says %q of %q; Anchore finds it: %v", classes[ids[i]], ids[i], found)
				}
			}
			kedge(t, "migrate", "--dontask", "--unreadable-keys=move", a.source, a.target).want(t, exitDone)
			a.inDatabase(t, ids...)
			if left := a.server.Objects(t, strings.Split(a.swift.prefix, "/")[2]); len(left) != 0 {
				t.Errorf("left at the source in the end: %q", left)
			}
		})
	}
}

// TestTwoKeysOfOneObject: documents that come to one object in Swift are not lost,
// whichever moves first, and the object goes with the last of them.
func TestTwoKeysOfOneObject(t *testing.T) {
	t.Parallel()
	same := []byte(`{"document": "the same"}`)
	t.Run("with the same bytes", func(t *testing.T) {
		ids := []string{"k", "./k", "k?1"}
		a := newAwkwardSwift(t, "", map[string][]byte{"k": same, "./k": same, "k?1": same}, ids...)
		kedge(t, "migrate", "--dontask", "--unreadable-keys=move", a.source, a.target).want(t, exitDone)
		a.inDatabase(t, ids...)
		if left := a.server.Objects(t, strings.Split(a.swift.prefix, "/")[2]); len(left) != 0 {
			t.Errorf("left: %q", left)
		}
	})
	t.Run("with other bytes", func(t *testing.T) {
		// Anchore itself has lost the first; the second is not lost with it.
		a := newAwkwardSwift(t, "", map[string][]byte{"k": []byte("first"), "./k": same}, "k", "./k")
		o := kedge(t, "migrate", "--dontask", "--unreadable-keys=move", a.source, a.target).want(t, exitDocuments)
		if !strings.Contains(o.stdout, "wrong-digest") {
			t.Errorf("%s", o.stdout)
		}
		a.inDatabase(t, "./k")
	})
}

// TestSourcesThatAreLeftAreToldOnce: a source that is not kedge's to delete is named by
// the run that left it, and makes none fail.
func TestSourcesThatAreLeftAreToldOnce(t *testing.T) {
	t.Parallel()
	id := "../../k" // Anchore puts it at a place that may be anybody's
	a := newAwkwardSwift(t, "p/", map[string][]byte{id: []byte("x")}, id)
	o := kedge(t, "migrate", "--dontask", "--unreadable-keys=move", "--output=json", a.source, a.target).want(t, exitDone)
	var r resultJSON
	if err := json.Unmarshal([]byte(o.stdout), &r); err != nil {
		t.Fatal(err)
	}
	if r.Moved != 1 || r.Failed != 0 || r.State != "complete" || len(r.Left) != 1 || r.Left[0].Class != "source-left" || !strings.Contains(r.Left[0].Examples[0].Reason, "by hand") {
		t.Errorf("%+v", r)
	}
	a.inDatabase(t, id)
	o = kedge(t, "migrate", "--dontask", "--unreadable-keys=move", a.source, a.target).want(t, exitDone)
	if strings.Contains(o.stdout, "source-left") {
		t.Errorf("told again:\n%s", o.stdout)
	}
}

// TestVerifyNamesWhatAnchoreWouldNotFind: a sound document whose place Anchore takes
// apart is named; users with capitals, "@", ":" and "%" are not.
func TestVerifyNamesWhatAnchoreWouldNotFind(t *testing.T) {
	t.Parallel()
	s := seedDB(t, bench.Workload{Documents: 5, Seed: 96})
	var names []hostile
	for i, user := range []string{"Team.One", "user@example.com", "a:b", "us%65r", "a[b", "x?y", "[::1]"} {
		names = append(names, hostile{what: user})
		names[i].key.UserID, names[i].key.Bucket, names[i].key.ArchiveID = user, "b", user
	}
	seedHostile(t, s.url, names)
	classes, _, _ := failedIDs(t, kedge(t, "verify", "--output=json", dbPlace(s.url).config(t, s.url, compression{})).want(t, exitDocuments).stdout)
	if fmt.Sprint(classes) != "map[a[b:unreadable-by-anchore x?y:unreadable-by-anchore]" {
		t.Errorf("%v", classes)
	}
	to := db2Place(s.url)
	kedge(t, "migrate", "--dontask", dbPlace(s.url).config(t, s.url, compression{}), to.config(t, s.url, compression{})).want(t, exitDocuments)
	rows := catalogRows(t, s.url)
	for _, h := range names {
		moved := checkHostile(t, rows, h, dbPlace(s.url), to) == 1
		if moved == (h.key.UserID == "a[b" || h.key.UserID == "x?y") {
			t.Errorf("user %q moved: %v", h.key.UserID, moved)
		}
	}
}

// TestGoldenUnderAPrefixThatIsResolved: under a prefix with "." and ".." Anchore's client
// finds everything that is called moved, with its digest; and it all comes back.
func TestGoldenUnderAPrefixThatIsResolved(t *testing.T) {
	t.Parallel()
	url, g := testenv.Postgres(t).Golden(t, "localfs_on")
	server := testenv.Swift(t)
	container := server.Container(t)
	from, to := goldenPlace(g, url), swiftPlace(server, container, "./x/../some-")
	there, back := from.config(t, url, goldenCompression(g)), to.config(t, url, goldenCompression(g))
	kedge(t, "migrate", "--dontask", there, back).want(t, exitDocuments)
	var gets []testenv.AnchoreRequest
	var digests []string
	for _, r := range catalogRows(t, url) {
		if strings.HasPrefix(*r.url, to.prefix) {
			gets, digests = append(gets, testenv.AnchoreRequest{Op: "get", URI: *r.url}), append(digests, *r.digest)
		}
	}
	if len(gets) < 50 {
		t.Fatalf("only %d documents moved", len(gets))
	}
	for i, answer := range server.AsAnchore(t, gets...) {
		if sum := md5.Sum(answer.Body); hex.EncodeToString(sum[:]) != digests[i] {
			t.Errorf("Anchore gets something else for %q: %s", gets[i].URI, answer.Error)
		}
	}
	kedge(t, "verify", "--orphans", writeConfig(t, url, to.section("object_store", compression{}), from.section("analysis_archive", compression{}))).want(t, exitDone)
	kedge(t, "migrate", "--dontask", back, there).want(t, exitDone)
	if left := server.Objects(t, container); len(left) != 0 {
		t.Errorf("left are %q", left)
	}
	rows := catalogRows(t, url)
	for _, d := range g.Documents {
		if r := rows[d.UserID+"\x00"+d.Bucket+"\x00"+d.ArchiveID+"\x00"+d.DocumentName]; d.Stored() {
			if err := checkStored(t.Context(), from.raw, r, d.SHA256); err != nil {
				t.Errorf("%q: %v", d.ArchiveID, err)
			}
		}
	}
}

// TestSwiftDestinationHoldsAwkwardDocuments: what Anchore has put at the destination
// under a cut or resolved name is not overwritten by the document of that very name.
func TestSwiftDestinationHoldsAwkwardDocuments(t *testing.T) {
	t.Parallel()
	ids := []string{"k?1", "./d", "t\tt", "h#x", "p/../e"}
	bodies := make(map[string][]byte)
	for _, id := range ids {
		bodies[id] = []byte("put by Anchore: " + id)
	}
	a := newAwkwardSwift(t, "P/", bodies, ids...)
	var plain []hostile
	for _, id := range []string{"k", "d", "tt", "h", "e", "free"} {
		h := hostile{what: id}
		h.key.UserID, h.key.Bucket, h.key.ArchiveID = "admin", "b", id
		plain = append(plain, h)
	}
	seedHostile(t, a.url, plain)
	for range 2 { // the second is a run that tries the failed ones again
		kedge(t, "migrate", "--dontask", a.target, a.source).want(t, exitDocuments).tells(t, "place-taken", `is where Anchore has put the document "admin/b/k?1"`)
	}
	rows := catalogRows(t, a.url)
	for _, h := range plain {
		if at := checkHostile(t, rows, h, a.db, a.swift); (at == 1) != (h.what == "free") {
			t.Errorf("%s is in place %d", h.what, at)
		}
	}
	var gets []testenv.AnchoreRequest
	for _, id := range ids {
		gets = append(gets, testenv.AnchoreRequest{Op: "get", URI: a.swift.prefix + "admin/b/" + id})
	}
	for i, answer := range a.server.AsAnchore(t, gets...) {
		if string(answer.Body) != string(bodies[ids[i]]) {
			t.Errorf("%q: Anchore gets %q, %s", ids[i], answer.Body, answer.Error)
		}
	}
}

// TestSwiftOnePlaceByTwoPrefixes: two prefixes that come to one place are one place.
func TestSwiftOnePlaceByTwoPrefixes(t *testing.T) {
	t.Parallel()
	for _, pair := range [][2]string{{"./a/", "a/"}, {"a/", "./a/"}, {"/a/", "a/"}, {"a//../", "a/"}, {"a/", "x/../a/"}} {
		a := newAwkwardSwift(t, pair[0], map[string][]byte{"k": []byte("x")}, "k")
		to := swiftPlace(a.server, strings.Split(a.swift.prefix, "/")[2], pair[1])
		kedge(t, "migrate", "--dontask", a.source, to.config(t, a.url, compression{})).want(t, exitRefused)
		if answer := a.server.AsAnchore(t, testenv.AnchoreRequest{Op: "get", URI: to.prefix + "admin/b/k"})[0]; string(answer.Body) != "x" && pair[1] == "a/" && pair[0] != "a//../" {
			t.Errorf("%q: %q, %s", pair, answer.Body, answer.Error)
		}
	}
}
