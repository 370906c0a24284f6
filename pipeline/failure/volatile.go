package failure

import (
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"

	"github.com/kedge/kedge/internal/mounts"
)

// Volatile is a place that may not keep what it is given.
type Volatile struct {
	// Role is "destination" or "catalog".
	Role, Place string
	// Reason says in one phrase why.
	Reason string
}

// warn tells of the place where it is no reason to refuse.
func (v Volatile) warn(log *slog.Logger) {
	log.Warn("a place may not keep what it is given", "role", v.Role, "place", v.Place, "reason", v.Reason)
}

// VolatileError is the refusal to delete sources on the strength of what places
// hold that may not keep it. It counts as a *RefusedError.
type VolatileError struct{ Places []Volatile }

// Error tells all places and the mend, in one line.
func (e *VolatileError) Error() string {
	var list []string
	for _, v := range e.Places {
		list = append(list, fmt.Sprintf("the %s %s may not keep what it is given: %s", v.Role, v.Place, v.Reason))
	}
	return strings.Join(list, "; ") + " (mend that; or keep the sources, with --nodelete; or give --allow-volatile if it is known to keep its data all the same)"
}

// Unwrap makes it a *RefusedError.
func (e *VolatileError) Unwrap() error { return &RefusedError{Reason: e.Error()} }

// RefuseVolatile refuses, with a VolatileError, to delete sources for places that may
// not keep what they are given. Where none is deleted, or the operator knows better,
// they are told.
func RefuseVolatile(log *slog.Logger, deletes bool, places ...Volatile) error {
	if len(places) > 0 && deletes {
		return &VolatileError{places}
	}
	for _, v := range places {
		v.warn(log)
	}
	return nil
}

// WarnVolatileCheckpoint tells of a checkpoint that may be gone after a restart.
// Nothing is lost with it: rows and stores say where documents are. But the next
// run does not know then what this one had begun.
func WarnVolatileCheckpoint(log *slog.Logger, path string) {
	if reason := mounts.Volatile(filepath.Dir(path)); reason != "" {
		log.Warn("the checkpoint may be gone after a restart: give --checkpoint another place", "checkpoint", path, "reason", reason)
	}
}
