package copies

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/kedge/kedge/drivers"
)

// ranging lists ranges of what is in folders, as an S3 server does; or in no order, as none
// of the servers that tests can start does.
type ranging struct {
	drivers.Driver
	unordered        bool
	ranges, listings atomic.Int64
}

func (d *ranging) Capabilities() drivers.Capabilities {
	c := d.Driver.Capabilities()
	c.ListsRanges = true
	return c
}

func (d *ranging) List(ctx context.Context, fn func(string, drivers.Info) error) error {
	d.listings.Add(1)
	return d.Driver.(drivers.Lister).List(ctx, fn)
}

func (d *ranging) ListRange(ctx context.Context, after, last string, fn func(string, drivers.Info) error) error {
	d.ranges.Add(1)
	return d.Driver.(drivers.Lister).List(ctx, func(uri string, info drivers.Info) error {
		if uri <= after || last != "" && uri > last {
			return nil
		}
		if err := fn(uri, info); err != nil || !d.unordered {
			return err
		}
		return errors.New("the server does not list in the order of keys")
	})
}

// A store is listed in ranges where it can do that. One that turns out to have no order is
// listed as a whole.
func TestRangesShowWhatTheWholeListingShows(t *testing.T) {
	t.Parallel()
	for _, unordered := range []bool{false, true} {
		t.Run(fmt.Sprint(unordered), func(t *testing.T) {
			t.Parallel()
			o := opened{Driver: openLocalfs(t), copies: 3500}
			all := copied(t, o)
			harmed := harm(t, o, all)
			d := &ranging{Driver: o.Driver, unordered: unordered}
			o.Driver = d
			checkHarm(t, o, all, harmed, TrustList)
			if whole := d.listings.Load() > 0; d.ranges.Load() == 0 || whole != unordered {
				t.Errorf("%d ranges and %d whole listings", d.ranges.Load(), d.listings.Load())
			}
		})
	}
}

// Ranges begin and end at URIs of the record, evenly, however many entries it has and in
// whatever order they come.
func TestBoundsAreEven(t *testing.T) {
	t.Parallel()
	for _, entries := range []int{0, 1, 999, 1000, 40_000, 1_000_000} {
		some := samplesOf(int64(entries))
		for n := range entries {
			some.add(fmt.Sprintf("s3://b/%07d", n*7919%max(entries, 1)))
		}
		bounds := some.bounds()
		if want := min(mostRanges, entries/rangeEntries+1) - 1; len(bounds) != want || !slices.IsSorted(bounds) || len(some.uris) > sampledURIs {
			t.Errorf("%d entries, %d samples: %d bounds, want %d", entries, len(some.uris), len(bounds), want)
		}
		before := 0
		for _, bound := range bounds {
			var at int
			if _, err := fmt.Sscanf(bound, "s3://b/%d", &at); err != nil {
				t.Fatal(err)
			}
			if even := entries / (len(bounds) + 1); at-before > 2*even {
				t.Errorf("%d entries: a range of %d, %d would be even", entries, at-before, even)
			}
			before = at
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
