package torture

import (
	"context"
	"iter"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"
)

// requests is how many requests are in flight at once.
const requests = 12

// each does something for all of them, several at once.
func each(ctx context.Context, all iter.Seq[string], do func(ctx context.Context, one string) error) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(requests)
	for one := range all {
		g.Go(func() error { return do(ctx, one) })
	}
	return g.Wait()
}

// readEach reads payloads, several at once; get gives nil where there is none.
func readEach(ctx context.Context, uris []string, get func(ctx context.Context, uri string) ([]byte, error)) (map[string][]byte, error) {
	payloads := make(map[string][]byte)
	var mu sync.Mutex
	return payloads, each(ctx, slices.Values(uris), func(ctx context.Context, uri string) error {
		payload, err := get(ctx, uri)
		if payload != nil {
			mu.Lock()
			defer mu.Unlock()
			payloads[uri] = payload
		}
		return err
	})
}
