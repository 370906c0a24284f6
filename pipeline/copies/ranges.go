package copies

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"os"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/pipeline/spread"
)

const (
	// mostRanges is into how many ranges a store is divided at most. rangeEntries are a page
	// of S3's listing: with fewer it is not divided. evenedEntries is how many of a page
	// are counted on, because samples tell only nearly where a range ends.
	mostRanges    = 32
	rangeEntries  = 1000
	evenedEntries = 960
	// sampledURIs is how many URIs of the record tell where ranges begin.
	sampledURIs = 32 * mostRanges
	// mostListings is how many ranges are listed at once.
	mostListings = 8
)

// samples keep some of the record's URIs, evenly. The zero value keeps none.
type samples struct {
	every, seen int64
	uris        []string
}

// samplesOf is for a record with so many entries.
func samplesOf(entries int64) *samples {
	return &samples{every: max(1, (entries+sampledURIs-1)/sampledURIs)}
}

func (s *samples) add(uri string) {
	if s.seen%s.every == 0 && len(s.uris) < sampledURIs {
		s.uris = append(s.uris, uri)
	}
	s.seen++
}

// bounds are the URIs between ranges that have about the same number of entries; none
// where there are too few to divide. Each range fills whole pages: of its last one a server
// lists also what belongs to the next range, in vain.
func (s *samples) bounds() (bounds []string) {
	if s.seen < rangeEntries {
		return nil
	}
	pages := partsOf(s.seen, mostRanges*evenedEntries) // of a range
	ranges := int(partsOf(s.seen, pages*evenedEntries))
	slices.Sort(s.uris)
	for i := 1; i < ranges; i++ {
		bounds = append(bounds, s.uris[i*len(s.uris)/ranges])
	}
	return slices.Compact(bounds)
}

// partsOf is how many parts of a size something has.
func partsOf(whole, size int64) int64 { return (whole + size - 1) / size }

// ranged is the store's listing, several ranges of it at once. fn is called by one of
// them at a time.
func (c Check) ranged(ranger drivers.Ranger, bounds []string) listing {
	return func(ctx context.Context, fn func(uri string, info drivers.Info) error) error {
		var one sync.Mutex
		group, ctx := errgroup.WithContext(ctx)
		group.SetLimit(max(1, min(mostListings, c.reading().workers)))
		after := ""
		for _, last := range append(slices.Clone(bounds), "") {
			begin := after
			group.Go(func() error {
				return ranger.ListRange(ctx, begin, last, func(uri string, info drivers.Info) error {
					one.Lock()
					defer one.Unlock()
					return fn(uri, info)
				})
			})
			after = last
		}
		return group.Wait()
	}
}

// spreadFiles are the files over which something is spread.
type spreadFiles [spread.Files]string

// remove removes the files; those that are gone, too.
func (f spreadFiles) remove() error {
	for _, path := range f {
		if err := os.Remove(path); path != "" && err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// comparing is a comparison of the record with a listing of the store.
type comparing struct {
	Check
	folder string
	list   listing
	// recorded is what the record has, held what the store has shown of it; inRanges says
	// that it was listed in ranges.
	recorded, held spreadFiles
	inRanges       bool
}

// spread spreads the record and the store's listing over files. The record comes first
// where it tells how to divide the listing.
func (c *comparing) spread(ctx context.Context) error {
	if ranger, ok := c.Store.Driver.(drivers.Ranger); ok && c.Store.Capabilities().ListsRanges {
		some := samplesOf(c.Record.trusted())
		if err := c.spreadRecorded(ctx, some); err != nil {
			return err
		}
		bounds := some.bounds()
		if len(bounds) == 0 { // too few to divide
			return c.spreadHeld(ctx, "listed", c.list)
		}
		err := c.spreadHeld(ctx, "ranges", c.ranged(ranger, bounds))
		if c.inRanges = err == nil; c.inRanges || ctx.Err() != nil {
			return cmp.Or(context.Cause(ctx), err)
		}
		return c.spreadWhole(ctx, err) // such as a server that does not list in the order of keys
	}
	both, bothCtx := errgroup.WithContext(ctx)
	both.Go(func() error { return c.spreadRecorded(bothCtx, &samples{}) })
	both.Go(func() error { return c.spreadHeld(bothCtx, "listed", c.list) })
	return both.Wait()
}

func (c *comparing) spreadRecorded(ctx context.Context, some *samples) (err error) {
	c.recorded, err = spread.Over(c.folder, "recorded", func(put func([16]byte, []byte) error) error { return c.spreadRecord(ctx, some, put) })
	return err
}

func (c *comparing) spreadHeld(ctx context.Context, name string, list listing) error {
	files, useful, err := spreadListing(ctx, c.folder, name, list, toldMD5|toldTag|toldVersion)
	c.held = files
	if err == nil && !useful {
		return errUntold // every copy would be doubted for it
	}
	return err
}

// spreadWhole lists the store as a whole, where its ranges are of no use for a reason.
func (c *comparing) spreadWhole(ctx context.Context, reason error) error {
	if c.Log != nil {
		c.Log.WarnContext(ctx, "the copies are listed as a whole", "reason", reason.Error())
	}
	c.inRanges = false
	if err := c.held.remove(); err != nil {
		return err
	}
	return c.spreadHeld(ctx, "listed", c.list)
}

// errNotInRanges is why ranges are not believed that do not show all copies: a server whose
// order is another one leaves out, between two ranges, what it has.
var errNotInRanges = errors.New("listed in ranges, the store does not show all copies")

// compareAll compares all files. What ranges do not show is looked for in the whole listing
// before it is doubted.
func (c *comparing) compareAll(ctx context.Context, v *verification, read func([]Copy) error) error {
	if !c.inRanges {
		return c.compareEach(ctx, v, nil, read)
	}
	missing := false
	files, err := spread.Over(c.folder, "missing", func(put func([16]byte, []byte) error) error {
		return c.compareEach(ctx, v, func(sum [16]byte, entry Copy) error {
			missing = true
			k, value := c.Record.encode(entry)
			return put(sum, appendBytes(appendBytes(nil, k), value))
		}, read)
	})
	if err != nil || !missing {
		return err
	}
	if err := c.recorded.remove(); err != nil {
		return err
	}
	c.recorded = files
	if err := c.spreadWhole(ctx, errNotInRanges); err != nil {
		return err
	}
	return c.compareEach(ctx, v, nil, read)
}

// compareEach compares file by file. missing takes what the store has not shown and is not
// doubted yet; nil has it doubted.
func (c *comparing) compareEach(ctx context.Context, v *verification, missing func([16]byte, Copy) error, read func([]Copy) error) error {
	for i := range c.held {
		if err := c.compare(ctx, v, i, missing, read); err != nil {
			return err
		}
	}
	return nil
}

// trusted is how many entries there are to be compared.
func (r *Record) trusted() (n int64) {
	counts := r.Counts()
	for _, s := range trusted {
		n += counts[s]
	}
	return n
}
