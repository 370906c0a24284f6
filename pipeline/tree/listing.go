package tree

import (
	"context"
	"errors"
	"sync"

	"github.com/kedge/kedge/drivers"
)

// listed is a file as a listing tells of it.
type listed struct {
	path string
	info drivers.Info
}

// listingAhead is how many entries a listing reads ahead.
const listingAhead = 512

var errEnough = errors.New("the range ends here")

// listing reads a range of a store, in order, a little ahead of who asks.
type listing struct {
	entries chan listed
	next    listed // the first one that was not taken yet
	ahead   bool   // next is set
	cancel  context.CancelFunc
	running sync.WaitGroup
	err     error // read after entries is closed
}

// list starts a listing of what of the range lies behind after. It must be
// closed.
func list(ctx context.Context, s drivers.Tree, r keyRange, after string) *listing {
	ctx, cancel := context.WithCancel(ctx)
	l := &listing{entries: make(chan listed, listingAhead), cancel: cancel}
	l.running.Go(func() {
		defer close(l.entries)
		err := s.ListAfter(ctx, r.prefix, max(r.after, after), func(path string, info drivers.Info) error {
			if path >= r.end() {
				return errEnough
			}
			select {
			case l.entries <- listed{path, info}:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
		if !errors.Is(err, errEnough) {
			l.err = err
		}
	})
	return l
}

// peek gives the next entry without taking it; ok is false at the end.
func (l *listing) peek() (e listed, ok bool, err error) {
	if !l.ahead {
		l.next, l.ahead = <-l.entries, true
	}
	if l.next.path == "" {
		return listed{}, false, l.err
	}
	return l.next, true, nil
}

// take goes on behind the entry that peek gives.
func (l *listing) take() { l.ahead = l.next.path == "" }

// close ends the listing.
func (l *listing) close() {
	l.cancel()
	l.running.Wait()
}

// item is one file on its way.
type item struct {
	place
	path string
	src  drivers.Info
	// dst is what the destination has there; there says whether it has anything.
	dst   drivers.Info
	there bool

	receipt *drivers.Receipt // of what was put, nil if nothing was
	content []byte           // of a link
	held    bool             // the destination holds it, proved
	already bool             // and did so before
	skipped bool             // it is not to be moved: see counts
	proof   proof
	failure *Failure
	counts  Counts
}

// pairs reads source and destination side by side; dst is nil where there is no
// destination.
type pairs struct{ src, dst *listing }

func (m *migration) pairs(ctx context.Context, r keyRange, after string) pairs {
	if m.alone {
		return pairs{src: list(ctx, m.Source, r, after)}
	}
	return pairs{src: list(ctx, m.Source, r, after), dst: list(ctx, m.Destination, r, after)}
}

func (p pairs) close() {
	p.src.close()
	if p.dst != nil {
		p.dst.close()
	}
}

// page gives the next files of the source, at most n, each with what stands at
// the destination, and counts what stands there alone. It is empty at the end.
func (p pairs) page(n int) (items []*item, extra int64, err error) {
	for len(items) < n {
		s, ok, err := p.src.peek()
		if err != nil {
			return nil, 0, err
		}
		if !ok {
			break
		}
		it := &item{place: classify(s.path), path: s.path, src: s.info}
		passed, err := p.match(it)
		if err != nil {
			return nil, 0, err
		}
		extra += passed
		p.src.take()
		items = append(items, it)
	}
	if len(items) == 0 { // what stands behind the source's last
		extra, err = p.rest()
	}
	return items, extra, err
}

// match finds what the destination has under the path of a file, and counts what
// it has before that.
func (p pairs) match(it *item) (passed int64, err error) {
	for p.dst != nil {
		d, ok, err := p.dst.peek()
		if err != nil {
			return 0, err
		}
		if !ok || d.path > it.path {
			break
		}
		p.dst.take()
		if d.path == it.path {
			it.dst, it.there = d.info, true
		} else {
			passed++
		}
	}
	return passed, nil
}

// rest counts what the destination has left.
func (p pairs) rest() (n int64, err error) {
	for p.dst != nil {
		_, ok, err := p.dst.peek()
		if err != nil || !ok {
			return n, err
		}
		p.dst.take()
		n++
	}
	return 0, nil
}
