package copies

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/pipeline/catalog"
	"github.com/kedge/kedge/pipeline/store"
)

// rowsOf are the rows of which copies were made.
func rowsOf(all []Copy) []catalog.Document {
	rows := make([]catalog.Document, len(all))
	for i, c := range all {
		rows[i] = catalog.Document{Key: c.Key, Name: c.Name, URI: c.Source.URI, Compressed: c.Source.Compressed, Digest: c.Source.Digest, Bytes: c.Source.Bytes}
	}
	return rows
}

func adoptFor(t *testing.T, r *Record, d drivers.Driver, rows []catalog.Document) Adopt {
	return Adopt{
		Record: r, Store: store.Store{Driver: d}, Folder: filepath.Join(t.TempDir(), "check"),
		KeepsForm: func(d catalog.Document) bool { return !d.Compressed },
		Rows: func(fn func(catalog.Document) error) error {
			for _, row := range rows {
				if err := fn(row); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

// Of copies whose record is lost exactly those get an entry that the store shows, as the
// row has it.
func TestCopiesAreRecognised(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"s3", "db2"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := stores[name](t)
			o.copies = 1200
			all := copied(t, o)
			harmed := harm(t, o, all)
			rows := rowsOf(all)
			// None of these is 5 more than a multiple of 37.
			rows[0].Digest = ""
			rows[1].Bytes++
			rows[2].Bytes = -1
			rows[3].URI = all[3].Destination.URI
			rows[4].NoURI = true
			rows[6].Compressed = true
			rows[7].Digest = digest
			another := rows[8] // a row of the same key and place, with another document
			another.Name, another.Digest = "another", digest
			rows = append(rows, another)
			recorded := map[int]State{10: Intended, 11: Doubted, 12: Committed}

			opening := opening
			opening.Destination = o.URI
			r := open(t, filepath.Join(t.TempDir(), "k.copies"), opening)
			want := map[State]int64{}
			for n, s := range recorded {
				c := all[n]
				c.State = s
				wait(t, r.Put([]Copy{c}))
				want[s]++
			}
			before := time.Now().Truncate(time.Second)
			a := adoptFor(t, r, o.Driver, rows)
			adopted, err := a.Run(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			want[Copied] = int64(len(all) - len(harmed) - 7 - len(recorded))
			if got := r.Counts(); adopted != want[Copied] || !maps.Equal(got, want) {
				t.Errorf("%d adopted, counts %v; want %v", adopted, got, want)
			}
			for i, c := range each(t, r, 100, Copied) {
				if harmed[c.Key] || c.When.Before(before) {
					t.Fatalf("entry %d: %+v", i, c)
				}
			}
			found, err := r.Find(documents(all[20], Copy{Key: another.Key, Name: another.Name}))
			if err != nil {
				t.Fatal(err)
			}
			expected := keptCopy(all[20])
			expected.State, expected.When = Copied, found[0].When
			expected.Destination.sum, expected.Destination.versioned = found[0].Destination.sum, found[0].Destination.versioned
			if found[0] != expected || found[1].State != None {
				t.Errorf("found %+v\nwant  %+v", found[0], expected)
			}
			// What was recognised is what a check confirms; and once more there is nothing new.
			checked, err := Check{Record: r, Store: a.Store, How: TrustList, Folder: a.Folder}.Run(t.Context())
			if err != nil || checked != (Checked{Confirmed: want[Copied] + 2}) {
				t.Errorf("%+v, %v", checked, err)
			}
			if adopted, err := a.Run(t.Context()); adopted != 0 || err != nil {
				t.Errorf("once more: %d, %v", adopted, err)
			}
			if _, err := os.Stat(a.Folder); err == nil {
				t.Error("the folder is left")
			}
		})
	}
}

// A store that shows no MD5 shows no copies, and its rows are not even read.
func TestNothingIsRecognisedByLengthOrVersion(t *testing.T) {
	t.Parallel()
	o := opened{Driver: openLocalfs(t), copies: 20}
	all := copied(t, o)
	opening := opening
	opening.Destination = o.URI
	r := open(t, filepath.Join(t.TempDir(), "k.copies"), opening)
	a := adoptFor(t, r, o.Driver, rowsOf(all))
	a.Rows = func(func(catalog.Document) error) error { return errors.New("the rows are read") }
	if adopted, err := a.Run(t.Context()); adopted != 0 || err != nil || len(r.Counts()) != 0 {
		t.Errorf("%d, %v, %v", adopted, err, r.Counts())
	}
	// Nor does one that tells the MD5 of another payload, or twice something else.
	for _, d := range []*saying{
		{Driver: o.Driver, say: func(i drivers.Info) drivers.Info { return drivers.Info{Bytes: i.Bytes, MD5: digest} }},
		{Driver: o.Driver, say: func(i drivers.Info) drivers.Info { return drivers.Info{Bytes: i.Bytes, Version: digest} }},
		{Driver: o.Driver, twice: true, say: func(i drivers.Info) drivers.Info { return drivers.Info{Bytes: i.Bytes, MD5: md5Of(payloadOf(0))} }},
	} {
		if adopted, err := adoptFor(t, r, d, rowsOf(all)).Run(t.Context()); adopted != 0 || err != nil || len(r.Counts()) != 0 {
			t.Errorf("%d, %v, %v", adopted, err, r.Counts())
		}
	}
	a = adoptFor(t, r, &saying{Driver: o.Driver, say: func(i drivers.Info) drivers.Info { return drivers.Info{Bytes: i.Bytes, MD5: digest} }}, nil)
	broken := errors.New("the catalog broke off")
	a.Rows = func(func(catalog.Document) error) error { return broken }
	if _, err := a.Run(t.Context()); !errors.Is(err, broken) {
		t.Error(err)
	}
}
