package copies

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/pipeline/store"
)

const (
	// rateTime is how long a listing is read to measure it, rateListed how many payloads
	// of it at most.
	rateTime   = 2 * time.Second
	rateListed = 50_000
	// ratePatience is how long a store may take that lists next to nothing.
	ratePatience = 10 * time.Second
)

var errMeasured = errors.New("enough is listed")

// ListingRate measures how many payloads a second a store lists, by the beginning of its
// listing, which takes a few seconds at most. 0 where it lists none.
func ListingRate(ctx context.Context, s store.Store) (payloadsPerSecond float64, err error) {
	list, err := listingOf(s, false)
	if err != nil {
		return 0, err
	}
	limited, cancel := context.WithTimeout(ctx, ratePatience)
	defer cancel()
	listed, began := 0, time.Now()
	err = list(limited, func(string, drivers.Info) error {
		if listed++; listed == rateListed || time.Since(began) > rateTime {
			return errMeasured
		}
		return nil
	})
	if err != nil && !errors.Is(err, errMeasured) && (limited.Err() == nil || ctx.Err() != nil) {
		return 0, fmt.Errorf("list %s to measure how fast that goes: %w", s.Place(), err)
	}
	return float64(listed) / time.Since(began).Seconds(), nil
}
