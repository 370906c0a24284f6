package tree

import (
	"context"
	"errors"

	"github.com/kedge/kedge/pipeline/failure"
)

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
	groups := make(failure.Groups[Failure])
	err = s.failures(func(f Failure) {
		groups.Add(f.Class, f)
		if each != nil {
			each(f)
		}
	})
	return groups.Sorted(), groups.Total(), err
}

// snapshot tells how far the run has come.
func (m *migration) snapshot() Snapshot {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.progress
	s.Paused = failure.Outages(m.stores()...)
	return s
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
