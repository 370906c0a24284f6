package drivers

import "context"

// Meant says which payload an operation is about, for backends on which a URI may
// mean several places (Capabilities.Placer). Others pay no attention to it.
type Meant struct {
	// MD5 is the payload's MD5 as stored, in lower-case hex, as the catalog's row
	// says; "" where the row says nothing: then it is the payload that Anchore
	// would read.
	MD5 string
	// AsAnchore confines Get to the one place where Anchore itself looks.
	AsAnchore bool
}

type meantKey struct{}

// WithMeant gives a context with which Get, Stat and Delete know which payload is
// meant by a URI. Without it they take the URI's own place first, and Delete removes
// nothing that may be another document's. With it, Delete removes the payload where
// it is: the caller has made sure that no other row names that place.
func WithMeant(ctx context.Context, m Meant) context.Context {
	return context.WithValue(ctx, meantKey{}, m)
}

// MeantBy gives what WithMeant has said; told is false where nobody has.
func MeantBy(ctx context.Context) (m Meant, told bool) {
	m, told = ctx.Value(meantKey{}).(Meant)
	return m, told
}

// Placer is what Capabilities holds for a backend on which Anchore puts or looks
// for the payloads of some URIs elsewhere than the URI says. Its methods ask no
// backend, and are safe for concurrent use.
type Placer interface {
	// OtherPlaces gives the places beside the URI's own where its payload may be,
	// each as the URI whose own place it is; none for nearly every URI.
	OtherPlaces(uri string) []string
	// FoundByAnchore says why Anchore would not find what Put stores under a URI
	// made by URI; nil where it does.
	FoundByAnchore(uri string) error
}

// FoundByAnchore says why Anchore would not find in this store what Put stores
// under a URI made by URI; nil where it does.
func FoundByAnchore(d Driver, uri string) error {
	c := d.Capabilities()
	switch {
	case !c.ParsesURI:
		return nil
	case c.Placer != nil:
		return c.Placer.FoundByAnchore(uri)
	}
	return ReadableByAnchore(uri)
}
