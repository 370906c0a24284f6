package tree

import (
	"context"

	"golang.org/x/sync/errgroup"
)

// overRanges works on all files of the ranges, page by page. The ranges go
// concurrently and each in its order; those that an earlier run has done are
// left out.
func (m *migration) overRanges(ctx context.Context, ranges []keyRange, work func(context.Context, *page) error) error {
	g, running := errgroup.WithContext(ctx)
	g.SetLimit(rangesAtOnce)
	for _, r := range ranges {
		g.Go(func() error { return m.overRange(running, r, work) })
	}
	return g.Wait()
}

// page is a part of a range: neighbours in the order of paths.
type page struct {
	items []*item
	// after is the path that the page comes behind, "" for the range's first.
	after string
	// revived: an interrupted run may have had these files in flight.
	revived bool
	outcome outcome
}

func (m *migration) overRange(ctx context.Context, r keyRange, work func(context.Context, *page) error) error {
	after, err := m.state.position(r.id())
	if err != nil || after == r.end() {
		return err
	}
	if m.stopping() {
		m.cut.Store(true)
		return nil
	}
	files := m.pairs(ctx, r, after)
	defer files.close()
	revived := m.result.Resumed
	after = max(r.start(), after)
	for {
		if m.stopping() {
			m.cut.Store(true)
			return nil
		}
		items, extra, err := files.page(pageFiles)
		if err != nil {
			return err
		}
		p := &page{items: items, after: after, revived: revived}
		p.outcome = outcome{rangeID: r.id(), last: r.end()}
		if m.counting {
			p.outcome.counts.Extra = extra
		}
		if len(items) > 0 {
			after = items[len(items)-1].path
			p.outcome.last = after
			err = work(ctx, p)
		} else if m.counting {
			err = m.forgetRest(p, r)
		}
		if err != nil {
			return err
		}
		if err := m.record(p); err != nil {
			return err
		}
		if len(items) == 0 {
			return nil
		}
		revived = false
	}
}

// forgetRest drops what was proved of files behind the last one that the source
// has of a range.
func (m *migration) forgetRest(p *page, r keyRange) error {
	known, err := m.state.proofs(p.after, r.end())
	for path := range known {
		p.outcome.forget = append(p.outcome.forget, path)
	}
	return err
}

// record writes down what has become of a page.
func (m *migration) record(p *page) error {
	o := &p.outcome
	for _, it := range p.items {
		if it.failure != nil {
			o.failures = append(o.failures, *it.failure)
		}
		o.counts.add(it.counts)
	}
	offset, err := m.journal.append(m.result.Pass, p.items, m.Source, m.Destination)
	if err != nil {
		return err
	}
	o.journalBytes = offset
	if err := m.state.record(*o); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.progress.Counts.add(o.counts)
	m.progress.Failed += int64(len(o.failures))
	return nil
}
