package route

import (
	"strings"

	"github.com/kedge/kedge/pipeline/catalog"
	"github.com/kedge/kedge/pipeline/store"
)

// Route is the two stores, and which rows are a run's. Safe for concurrent use.
type Route struct {
	Source, Destination store.Store
	// Purging: the run's rows are those that name the destination, of documents that the
	// source can hold.
	Purging bool
	// Elsewhere: rows of the source's scheme that name other places are the run's, too.
	Elsewhere bool
	// Buckets are the logical buckets of the run's rows; all when empty.
	Buckets []string
}

// Selection is what to ask the catalog for; of what it gives, Selected says which rows
// are the run's.
func (r Route) Selection() catalog.Selection {
	s := catalog.Selection{Prefix: r.Source.Prefix(), Buckets: r.Buckets}
	switch {
	case r.Purging:
		s.Prefix = r.Destination.Prefix()
	case r.Elsewhere:
		s.Prefix = r.Source.Scheme()
	}
	return s
}

// Selected says whether a row is the run's. The prefix alone does not tell: the source's
// may be the beginning of the destination's.
func (r Route) Selected(d catalog.Document) bool {
	if r.Purging {
		_, err := r.Source.URI(d.Key)
		return err == nil && !d.NoURI && r.AtDestination(d)
	}
	if d.NoURI {
		return true
	}
	if strings.HasPrefix(d.URI, r.Source.Prefix()) {
		return r.SamePrefix() || !r.AtDestination(d)
	}
	return r.Elsewhere && !r.AtDestination(d)
}

// AtDestination says whether a row names exactly the place that its document has at the
// destination.
func (r Route) AtDestination(d catalog.Document) bool {
	uri, err := r.Destination.URI(d.Key)
	return err == nil && uri == d.URI
}

// SamePrefix says that source and destination give the same URIs, though they are
// different places: an S3 bucket of the same name on another server. The catalog then
// cannot say which of the two holds a document.
func (r Route) SamePrefix() bool { return r.Source.Prefix() == r.Destination.Prefix() }

// MadeFromKey says whether a row's URI is the one that the source's driver makes from its
// key, under whatever prefix.
func (r Route) MadeFromKey(d catalog.Document) bool {
	uri, err := r.Source.URI(d.Key)
	return err == nil && strings.HasSuffix(d.URI, strings.TrimPrefix(uri, r.Source.Prefix()))
}
