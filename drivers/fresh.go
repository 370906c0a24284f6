package drivers

import "context"

type freshKey struct{}

// WithFresh gives a context with which Get and Stat ask the backend itself, as far as
// that can be brought about: not a cache of the driver's, of the file system's, or of an
// HTTP proxy's on the way. It costs more; it is for looks on which a deletion hangs.
func WithFresh(ctx context.Context) context.Context { return context.WithValue(ctx, freshKey{}, true) }

// Fresh says whether WithFresh was asked for.
func Fresh(ctx context.Context) bool { return ctx.Value(freshKey{}) != nil }
