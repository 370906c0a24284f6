package tree

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"
)

// maxExamples is how many failures of a class the Result holds.
const maxExamples = 5

// end writes the outcome into the result, and says whether the state file has
// served its purpose.
func (m *migration) end(ran error) (drop bool, err error) {
	m.result.Interrupted = ran == nil && m.cut.Load()
	finished := ran == nil && !m.cut.Load()
	if m.result.Failures, m.result.Failed, err = groupFailures(m.state, nil); err != nil {
		return false, errors.Join(ran, err)
	}
	if finished {
		if err := m.state.finish(); err != nil {
			return false, err
		}
	}
	h, err := m.state.header()
	if err != nil {
		return false, errors.Join(ran, err)
	}
	m.result.Counts, m.result.Files = h.Counts, h.Files
	m.result.Complete = finished && m.result.Failed == 0
	return m.result.Complete && !m.KeepSource, ran
}

// groupFailures reads the failures, calling each (if it is not nil) with every
// one, and counts them by class.
func groupFailures(s *state, each func(Failure)) (list []FailureGroup, total int64, err error) {
	groups := make(map[string]*FailureGroup)
	err = s.failures(func(f Failure) {
		g := groups[f.Class]
		if g == nil {
			g = &FailureGroup{Class: f.Class}
			groups[f.Class] = g
		}
		if g.Count++; len(g.Examples) < maxExamples {
			g.Examples = append(g.Examples, f)
		}
		total++
		if each != nil {
			each(f)
		}
	})
	for _, g := range groups {
		list = append(list, *g)
	}
	slices.SortFunc(list, func(a, b FailureGroup) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Class, b.Class))
	})
	return list, total, err
}

// keepReporting reports progress until ctx ends.
func (m *migration) keepReporting(ctx context.Context) {
	if m.Report == nil {
		return
	}
	tick := time.NewTicker(reportInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		m.mu.Lock()
		s := m.progress
		m.mu.Unlock()
		s.Paused = m.outages()
		m.Report(s)
	}
}

// count lists the source once more beside the work, so that progress has a
// total. It is no part of what is moved: a run that ends before it is none the
// worse.
func (m *migration) count(ctx context.Context) error {
	ranges := inside(m.Repositories)
	if len(m.Repositories) == 0 {
		ranges = append(ranges, outside()...)
	}
	var files, bytes int64
	for _, r := range ranges {
		l := list(ctx, m.Source, r, "")
		for {
			e, ok, err := l.peek()
			if err != nil || !ok {
				break
			}
			l.take()
			if p := classify(e.path); p.class != classUpload || m.Uploads {
				files++
				bytes += e.info.Bytes
			}
		}
		l.close()
		if ctx.Err() != nil || l.err != nil {
			return nil // the work itself will meet what is wrong
		}
	}
	m.mu.Lock()
	m.progress.Files = files
	m.mu.Unlock()
	return m.state.change(func(h *header) { h.Files, h.Bytes, h.Counted = files, bytes, true }, nil)
}
