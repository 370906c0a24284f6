package copies

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/pipeline/store"
)

// ranging lists ranges of what is in folders, as an S3 server does; or as none of the
// servers does that tests can start.
type ranging struct {
	drivers.Driver
	// unordered lists in no order; leavesOut leaves something out between ranges.
	unordered, leavesOut bool
	// whole is called when the store is listed as a whole; may be nil.
	whole            func()
	ranges, listings atomic.Int64
}

func (d *ranging) Capabilities() drivers.Capabilities {
	c := d.Driver.Capabilities()
	c.ListsRanges = true
	return c
}

func (d *ranging) List(ctx context.Context, fn func(string, drivers.Info) error) error {
	d.listings.Add(1)
	if d.whole != nil {
		d.whole()
	}
	return d.Driver.(drivers.Lister).List(ctx, fn)
}

func (d *ranging) ListRange(ctx context.Context, after, last string, fn func(string, drivers.Info) error) error {
	d.ranges.Add(1)
	return d.Driver.(drivers.Lister).List(ctx, func(uri string, info drivers.Info) error {
		if uri <= after || last != "" && uri > last || d.leavesOut && strings.Contains(uri, "77") {
			return nil
		}
		if err := fn(uri, info); err != nil || !d.unordered {
			return err
		}
		return errors.New("the server does not list in the order of keys")
	})
}

// A store is listed in ranges where it can do that. One that turns out to have no order is
// listed as a whole, and so is one that does not show all copies so.
func TestRangesShowWhatTheWholeListingShows(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		how   *ranging
		harms bool
		whole int64
	}{
		{"nothing is missing", &ranging{}, false, 0},
		{"something is missing", &ranging{}, true, 1}, // checkHarm looks twice: the second time it is doubted already
		{"no order", &ranging{unordered: true}, true, 2},
		{"something is left out between ranges", &ranging{leavesOut: true}, true, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			o := opened{Driver: openLocalfs(t), copies: 3500}
			all := copied(t, o)
			harmed := map[drivers.Key]bool{}
			if c.harms {
				harmed = harm(t, o, all)
			}
			d := c.how
			d.Driver, o.Driver = o.Driver, d
			checkHarm(t, o, all, harmed, TrustList)
			if d.ranges.Load() == 0 || d.listings.Load() != c.whole {
				t.Errorf("%d ranges and %d whole listings", d.ranges.Load(), d.listings.Load())
			}
		})
	}
}

// What was listed in ranges in vain takes no room beside the whole listing, and the log says
// why.
func TestAListingInRangesThatWasOfNoUse(t *testing.T) {
	t.Parallel()
	for name, d := range map[string]*ranging{"in the order of keys": {unordered: true}, "does not show all copies": {leavesOut: true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := opened{Driver: openLocalfs(t), copies: 3500}
			all := copied(t, o)
			folder := filepath.Join(t.TempDir(), "check")
			d.whole = func() {
				left, err := filepath.Glob(filepath.Join(folder, "*", "ranges-*"))
				if err != nil || len(left) > 0 {
					t.Errorf("%d files are left, %v", len(left), err)
				}
			}
			d.Driver, o.Driver = o.Driver, d
			var log bytes.Buffer
			check := Check{Record: recordOf(t, o, all), Store: store.Store{Driver: d}, How: TrustList, Folder: folder, Log: slog.New(slog.NewTextHandler(&log, nil))}
			if got, err := check.Run(t.Context()); err != nil || got.Doubted != 0 || d.listings.Load() != 1 {
				t.Errorf("%+v, %v, %d whole listings", got, err, d.listings.Load())
			}
			if !strings.Contains(log.String(), name) {
				t.Errorf("the log says: %s", log.String())
			}
		})
	}
}

// Copies that are not below the store's prefix are no ends of ranges.
func TestBoundsAreOfTheStore(t *testing.T) {
	t.Parallel()
	o := opened{Driver: openLocalfs(t), copies: 100}
	all := copied(t, o)
	for i := range 50 {
		all[2*i].Destination.URI = "file:///elsewhere/" + all[2*i].Key.ArchiveID
	}
	check := Check{Record: recordOf(t, o, all), Store: store.Store{Driver: o.Driver}}
	some := samplesOf(int64(len(all)))
	if err := check.spreadRecord(t.Context(), some, func([16]byte, []byte) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if elsewhere := slices.ContainsFunc(some.uris, func(uri string) bool { return !strings.HasPrefix(uri, o.Prefix()) }); elsewhere || len(some.uris) < 50 {
		t.Errorf("%d samples, of other places: %v", len(some.uris), elsewhere)
	}
}

// Ranges begin and end at URIs of the record, evenly, however many entries it has and in
// whatever order they come.
func TestBoundsAreEven(t *testing.T) {
	t.Parallel()
	for entries, want := range map[int]int{0: 0, 1: 0, 999: 0, 1000: 1, 8000: 8, 30_000: 31, 40_000: 20, 100_000: 26, 1_000_000: 31} {
		some := samplesOf(int64(entries))
		for n := range entries {
			some.add(fmt.Sprintf("s3://b/%07d", n*7919%max(entries, 1)))
		}
		bounds := some.bounds()
		if len(bounds) != want || !slices.IsSorted(bounds) || len(some.uris) > sampledURIs {
			t.Errorf("%d entries, %d samples: %d bounds, want %d", entries, len(some.uris), len(bounds), want)
		}
		before, pages := -1, 0
		for _, bound := range append(bounds, fmt.Sprintf("s3://b/%07d", entries-1)) {
			var at int
			if _, err := fmt.Sscanf(bound, "s3://b/%d", &at); err != nil {
				t.Fatal(err)
			}
			if even := entries / (len(bounds) + 1); at-before > 2*even {
				t.Errorf("%d entries: a range of %d, %d would be even", entries, at-before, even)
			}
			// One more than the range has: what comes behind it tells that it has ended.
			pages += int(partsOf(int64(at-before+1), rangeEntries))
			before = at
		}
		if pages > entries/rangeEntries*112/100+2 {
			t.Errorf("%d entries: %d pages are listed", entries, pages)
		}
	}
}

// The file's pages that are let go come back with what was in them, also beside writing.
func TestTheRecordIsReadableAfterItsPagesWereLetGo(t *testing.T) {
	t.Parallel()
	o := opened{Driver: openLocalfs(t), copies: 300}
	all := copied(t, o)
	r := recordOf(t, o, all)
	for range 3 {
		r.touched.Store(mappedEntries) // the next look lets go
		ticket := r.Put(all)
		found, err := r.Find(documents(all...))
		if err != nil {
			t.Fatal(err)
		}
		for i, c := range found {
			if c.State != all[i].State || c.Destination.URI != all[i].Destination.URI {
				t.Fatalf("%+v", c)
			}
		}
		wait(t, ticket)
		if r.touched.Load() != 0 {
			t.Error("nothing was let go")
		}
	}
}
