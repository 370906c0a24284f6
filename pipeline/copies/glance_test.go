package copies

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/kedge/kedge/checkpoint"
	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/drivers/localfs"
	"github.com/kedge/kedge/pipeline/store"
)

// A glance shows what Find does, leaves the file as it is, and does not wait for whoever
// has it open.
func TestGlance(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "k.copies")
	r := open(t, path, opening)
	moved := Moved{Documents: 2, Bytes: 7, Took: 3}
	wait(t, r.Put([]Copy{sample(1, Copied), sample(2, Committed)}))
	wait(t, r.Update(func(h *Header) { h.Moved = moved }))
	wanted := documents(sample(1, None), sample(2, None), sample(3, None))
	var inUse *checkpoint.InUseError
	if _, _, err := Glance(path, opening, wanted); !errors.As(err, &inUse) {
		t.Errorf("while it is open: %v", err)
	}
	closeRecord(t, r)
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name    string
		opening Opening
		states  [3]State
	}{
		{"as it is", opening, [3]State{Copied, Committed, None}},
		{"turned", turned, [3]State{Committed, Copied, None}},
	} {
		found, h, err := Glance(path, c.opening, wanted)
		if err != nil || len(found) != 3 || h.Moved != moved {
			t.Fatalf("%s: %v, %+v, %v", c.name, found, h, err)
		}
		for i, want := range c.states {
			if found[i].State != want {
				t.Errorf("%s: document %d is %v, want %v", c.name, i+1, found[i].State, want)
			}
		}
	}
	var mismatch *checkpoint.MismatchError
	if _, _, err := Glance(path, Opening{Identity: checkpoint.Identify("another"), Source: sourceURI, Destination: destinationURI}, wanted); !errors.As(err, &mismatch) {
		t.Errorf("another's: %v", err)
	}
	if after, err := os.ReadFile(path); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the file was changed, or %v", err)
	}
	var damaged *DamagedError
	if err := os.WriteFile(path, before[:100], 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Glance(path, opening, wanted); !errors.As(err, &damaged) {
		t.Errorf("a damaged one: %v", err)
	}
}

// The rate of a listing is known where the store holds something.
func TestListingRate(t *testing.T) {
	t.Parallel()
	d, err := localfs.Open(t.Context(), localfs.Options{ArchiveDataDir: filepath.Join(t.TempDir(), "archive")}, true)
	if err != nil {
		t.Fatal(err)
	}
	s := store.Store{Driver: d}
	if rate, err := ListingRate(t.Context(), s); rate != 0 || err != nil {
		t.Errorf("an empty store lists %v a second, %v", rate, err)
	}
	uri, err := d.URI(sample(1, None).Key)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Put(t.Context(), uri, drivers.InMemory([]byte("payload"), "321c3cf486ed509164edec1e1981fec8")); err != nil {
		t.Fatal(err)
	}
	if rate, err := ListingRate(t.Context(), s); rate <= 0 || err != nil {
		t.Errorf("%v a second, %v", rate, err)
	}
}
