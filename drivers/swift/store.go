// Package swift keeps payloads as objects in a container of OpenStack Swift.
// Layout, URI and configuration are Anchore's (driver "swift"): the object's
// name is {anchore_key_prefix}{user}/{bucket}/{archive id}, raw, and the options
// are those of python-swiftclient's SwiftService.
//
// Every payload goes with its MD5, and the server compares that with what arrived.
// A long stream becomes a static large object. The driver puts its segments first,
// in a container of their own, and its manifest last. The object appears with the
// manifest.
//
// What has nothing to do with Swift's protocol is in drivers/httpstore.
package swift

import (
	"context"
	"net/url"
	"sync"

	ncw "github.com/ncw/swift/v2"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/drivers/httpstore"
)

// Store is a container opened with one configuration. Its methods are safe for
// concurrent use.
type Store struct {
	container, prefix string
	segments          string // the container of segments
	account           string // the storage URL, for Place
	method            authMethod
	secrets           *[]string // a pointer, so that printing a Store prints none
	rateLimitFails    bool      // do not try again when the server says to slow down
	opened            bool
	missing           bool
	tuning            Tuning
	server            serverInfo
	versions          sync.Map // container -> versions
	conn              *ncw.Connection
	http              *tripper
	buffers           httpstore.Buffers
}

var (
	_ drivers.Driver  = (*Store)(nil)
	_ drivers.Batcher = (*Store)(nil)
	_ drivers.Lister  = (*Store)(nil)
	_ drivers.Aborter = (*Store)(nil)
	_ drivers.Placer  = (*Store)(nil)
)

// Name is "swift".
func (s *Store) Name() string { return "swift" }

// Scheme is "swift://".
func (s *Store) Scheme() string { return scheme }

// Prefix is swift://{container}/{anchore_key_prefix}.
func (s *Store) Prefix() string { return scheme + s.container + "/" + s.prefix }

// Missing says that the container is not there and was not made, because the
// store was opened with Tuning.Look.
func (s *Store) Missing() bool { return s.missing }

// Place is the prefix and the storage URL, which names host and account.
func (s *Store) Place() string {
	if s.account == "" {
		return s.Prefix()
	}
	return s.Prefix() + " at " + s.account
}

// publicURL is a storage URL without anything that could be a secret.
func publicURL(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return "an unreadable storage URL"
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath}).String()
}

// Capabilities: a stream holds one segment in memory; deletes go many to a
// request where the server has bulk_delete. Segments are longer than
// StreamBytes says only for a payload of known length that would otherwise take
// more of them than the server allows (8 GB with 1000 segments of 8 MiB).
func (s *Store) Capabilities() drivers.Capabilities {
	return drivers.Capabilities{
		Compresses:  true,
		ParsesURI:   true,
		Placer:      s,
		BatchDelete: s.server.bulkDeletes > 0,
		Lists:       true,
		ListTells:   s.server.listsLarge,
		Uploads:     true,
		StreamBytes: s.tuning.SegmentBytes + 256<<10, GetStreamBytes: 256 << 10,
		Workers: s.tuning.Workers,
	}
}

// Close gives up the idle connections.
func (s *Store) Close() error {
	s.http.CloseIdleConnections()
	return nil
}

// Stat asks for an object's headers, at the place where the payload is that is
// meant (see drivers.WithMeant). Info.MD5 is the ETag of what is no large object.
func (s *Store) Stat(ctx context.Context, uri string) (drivers.Info, error) {
	own, err := s.locate("stat", uri)
	if err != nil {
		return drivers.Info{}, err
	}
	_, h, err := s.find(ctx, uri, own)
	if err != nil {
		return drivers.Info{}, s.fail("stat", uri, err)
	}
	return s.measured(ctx, "stat", uri, h)
}
