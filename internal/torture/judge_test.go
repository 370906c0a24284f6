package torture

import (
	"bytes"
	"slices"
	"strings"
	"testing"
)

// roundOf prepares a round of a pair, small and with documents that cannot be moved.
func roundOf(t *testing.T, rig *rig, pair Pair) *round {
	t.Helper()
	for number := 0; ; number++ {
		r, err := newRound(rig, pair, number, &Options{Program: program, Seed: fixedSeed, EveryPoint: true})
		if err != nil {
			t.Fatal(err)
		}
		if slices.ContainsFunc(r.model.documents, func(d *document) bool { return d.kind == "question mark" }) {
			if err := r.prepare(t.Context()); err != nil {
				t.Fatal(err)
			}
			r.cutover = true
			return r
		}
	}
}

// mustRun runs the program to its end.
func (r *round) mustRun(t *testing.T, command string, flags ...string) {
	t.Helper()
	r.flags = flags
	o, err := r.run(t.Context(), command, disruption{}, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	if !o.complete() {
		t.Fatalf("%s ends with status %d: %s", command, o.exit, o.output)
	}
}

// TestATornDocumentIsJudgedByItsRow has services stopped between the payload and the row
// of a document that had been copied: the cutover takes the copy, and that is right if it
// is what the row says.
func TestATornDocumentIsJudgedByItsRow(t *testing.T) {
	if alone() {
		t.Skip("the harness is checked with all other tests")
	}
	rig := newRigs(t, 1)[0]
	for name, replaced := range map[string]bool{"the copy is sound": false, "the copy is another's": true} {
		t.Run(name, func(t *testing.T) {
			r := roundOf(t, rig, Pair{"db", "localfs"})
			r.mustRun(t, "copy")
			d := r.model.documents[slices.IndexFunc(r.model.documents, func(d *document) bool { return d.kind == "ordinary" && d.fate == moves && len(d.names) == 1 })]
			d.fate, d.torn, d.payload = stays, true, []byte("a newer version, of which no row tells")
			overwrite(t, r.from, d, d.payload)
			if replaced {
				overwrite(t, r.to, d, []byte("x"))
			}
			r.mustRun(t, "migrate", "--trust-copies=record")
			s, err := r.startAgain(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			s.stop(false)
			if replaced {
				if r.totals.Lost != 1 {
					t.Errorf("nobody noticed: %s", r.tell(0))
				}
				return
			}
			if err := r.settle(t.Context(), s); err != nil {
				t.Fatal(err)
			}
			if err := r.last(t.Context(), "migrate", nil); err != nil {
				t.Fatal(err)
			}
			if err := r.judge(t.Context()); err != nil {
				t.Fatal(err)
			}
			if d.fate == stays || r.totals.Bad() {
				t.Errorf("the document's fate is %v: %s", d.fate, r.tell(0))
			}
		})
	}
}

// overwrite replaces what a document has at a place.
func overwrite(t *testing.T, at *place, d *document, payload []byte) {
	t.Helper()
	uri := at.uri(d.key)
	err := at.store.remove(t.Context(), []string{uri})
	if err == nil {
		err = at.store.fill(t.Context(), map[string][]byte{uri: payload})
	}
	if err != nil {
		t.Fatal(err)
	}
	if held, err := at.store.read(t.Context(), []string{uri}); err != nil || !bytes.Equal(held[uri], payload) {
		t.Fatalf("%s: %q, %v", uri, held[uri], err)
	}
}

// TestTheWayBackLeavesWhatAnchoreCouldNotRead goes back to a place where Anchore could
// not read a document: it stays where Anchore can, and what it had there stays too.
func TestTheWayBackLeavesWhatAnchoreCouldNotRead(t *testing.T) {
	if alone() {
		t.Skip("the harness is checked with all other tests")
	}
	rig := newRigs(t, 1)[0]
	for _, test := range []struct{ flag, found string }{
		{"--unreadable-keys=keep", ""},
		{"--unreadable-keys=move", "its row was changed"}, // as if kedge had done it unasked
	} {
		t.Run(test.flag, func(t *testing.T) {
			r := roundOf(t, rig, Pair{"minio", "localfs"})
			r.keep = true
			r.mustRun(t, "migrate", "--nodelete")
			if err := r.turn(t.Context()); err != nil {
				t.Fatal(err)
			}
			r.flags = []string{test.flag}
			if err := r.last(t.Context(), "rollback", nil); err != nil {
				t.Fatal(err)
			}
			if err := r.judge(t.Context()); err != nil {
				t.Fatal(err)
			}
			if told := r.tell(0); r.totals.Bad() != (test.found != "") || !strings.Contains(told, test.found) {
				t.Error(told)
			}
		})
	}
}

// TestWhoRemovesCopiesLeavesNoSegments removes what was copied to Swift, large objects too.
func TestWhoRemovesCopiesLeavesNoSegments(t *testing.T) {
	if alone() {
		t.Skip("the harness is checked with all other tests")
	}
	r := roundOf(t, newRigs(t, 1)[0], Pair{"localfs", "swift"})
	r.mustRun(t, "copy")
	list := func() []string {
		t.Helper()
		list, err := r.to.store.list(t.Context(), nil) // so that every segment is told
		if err != nil {
			t.Fatal(err)
		}
		return list
	}
	var uris []string
	segments := 0
	for _, what := range list() {
		if strings.HasPrefix(what, "segment ") {
			segments++
			continue
		}
		uris = append(uris, what)
	}
	if segments == 0 {
		t.Fatal("nothing was copied in segments")
	}
	if err := r.to.store.remove(t.Context(), uris); err != nil {
		t.Fatal(err)
	}
	if left := list(); len(left) > 0 {
		t.Errorf("%d are left: %v", len(left), left)
	}
}
