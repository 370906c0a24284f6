package drivers

import "time"

// Outage is a time during which a store does not answer, so that its operations
// wait.
type Outage struct {
	// Place is the store's.
	Place string
	// Since is when it was found not to answer, and Until when it is given up.
	Since, Until time.Time
	// Last is the latest failure.
	Last error
	// GaveUp says that the wait is over: all operations fail with kind Down.
	GaveUp bool
}

// Watched is implemented by decorators that hold operations back while their
// store does not answer (and by those around them, which pass it on).
type Watched interface {
	// Outage tells of the outage that there is now, and whether there is one. It
	// is told before the first operation fails with kind Down.
	Outage() (Outage, bool)
}
