package pipeline

import (
	"errors"
	"fmt"
	"sync"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/pipeline/forms"
)

// classedError carries the class of a failure through a stream.
type classedError struct {
	class string
	err   error
}

func (e *classedError) Error() string { return e.err.Error() }
func (e *classedError) Unwrap() error { return e.err }

func classed(class string, err error) error { return &classedError{class: class, err: err} }

// classOf gives the class that an error carries, or the one for the stage.
func classOf(err error, otherwise string) string {
	var c *classedError
	switch {
	case errors.As(err, &c):
		return c.class
	case errors.Is(err, forms.ErrZlib):
		return ClassZlib
	case drivers.KindOf(err) == drivers.InvalidKey:
		return ClassInvalidKey
	default:
		return otherwise
	}
}

var errRowGone = errors.New("the catalog's row is gone: somebody deleted it during the migration")

func rowChanged(uri string) error {
	return fmt.Errorf("the catalog's row was changed by somebody else during the migration: it says %q now, and is left alone", uri)
}

// streak counts documents that failed in a row for what may be their store's
// fault rather than their own.
type streak struct {
	mu    sync.Mutex
	count int
}

// judge looks at how a stage ended for a batch: a store that fails document
// after document is down, and the run gives up instead of failing them all.
func (m *migration) judge(items []*item, stage string) error {
	failed, last := 0, ""
	for _, it := range items {
		if it.failure == nil {
			failed = 0
			break
		}
		if it.failure.Stage == stage && storeFault(it.failure.Class) {
			failed++
			last = it.failure.Reason
		}
	}
	if len(items) == 0 {
		return nil
	}
	m.streak.mu.Lock()
	defer m.streak.mu.Unlock()
	if failed == 0 {
		m.streak.count = 0
		return nil
	}
	if m.streak.count += failed; m.streak.count < m.MaxBackendFailures {
		return nil
	}
	return &GaveUpError{Failures: m.streak.count, Last: last}
}

// storeFault says whether a class of failures may be a store's fault.
func storeFault(class string) bool {
	switch class {
	case ClassFetch, ClassPut, ClassVerify, ClassDelete:
		return true
	default:
		return false
	}
}
