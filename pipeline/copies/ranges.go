package copies

import (
	"context"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/pipeline/spread"
)

const (
	// mostRanges is into how many ranges a store is divided, rangeEntries how many
	// payloads one has at least: a page of S3's listing.
	mostRanges   = 32
	rangeEntries = 1000
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
// where there are too few to divide.
func (s *samples) bounds() (bounds []string) {
	ranges := int(min(mostRanges, s.seen/rangeEntries+1))
	slices.Sort(s.uris)
	for i := 1; i < ranges; i++ {
		bounds = append(bounds, s.uris[i*len(s.uris)/ranges])
	}
	return slices.Compact(bounds)
}

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

// spreadBoth spreads the record and the store's listing over files. The record comes first
// where it tells how to divide the listing.
func (c Check) spreadBoth(ctx context.Context, folder string, list listing) (recorded, held [spread.Files]string, err error) {
	record := func(ctx context.Context, some *samples) (err error) {
		recorded, err = spread.Over(folder, "recorded", func(put func([16]byte, []byte) error) error { return c.spreadRecord(ctx, some, put) })
		return err
	}
	store := func(ctx context.Context, name string, list listing) error {
		files, useful, err := spreadListing(ctx, folder, name, list, toldMD5|toldTag|toldVersion)
		if err == nil && !useful {
			err = errUntold // every copy would be doubted for it
		}
		held = files
		return err
	}
	if ranger, ok := c.Store.Driver.(drivers.Ranger); ok && c.Store.Capabilities().ListsRanges {
		some := samplesOf(c.Record.trusted())
		if err = record(ctx, some); err != nil {
			return recorded, held, err
		}
		bounds := some.bounds()
		if len(bounds) > 0 && store(ctx, "ranges", c.ranged(ranger, bounds)) == nil {
			return recorded, held, nil
		}
		if err = context.Cause(ctx); err == nil {
			// Too few to divide; or a server that does not list in the order of keys.
			err = store(ctx, "listed", list)
		}
		return recorded, held, err
	}
	both, bothCtx := errgroup.WithContext(ctx)
	both.Go(func() error { return record(bothCtx, &samples{}) })
	both.Go(func() error { return store(bothCtx, "listed", list) })
	err = both.Wait()
	return recorded, held, err
}

// trusted is how many entries there are to be compared.
func (r *Record) trusted() (n int64) {
	counts := r.Counts()
	for _, s := range trusted {
		n += counts[s]
	}
	return n
}
