package pipeline

import (
	"context"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/drivers/metrics"
)

// Store is a driver opened with one configuration, with its compression rule.
type Store struct {
	drivers.Driver
	Compression Compression
	// Meter counts what the driver does; nil if nothing does.
	Meter *metrics.Meter
	// Limits says to what the operator keeps the store, for messages, as in
	// "--max-ops 200"; "" where there is no limit.
	Limits string
}

// Compression is a store's rule: which payloads are compressed when they are
// put. Anchore compresses what is longer than MinBytes bytes as a plain
// document, with zlib (RFC 1950) at level 3.
type Compression struct {
	Enabled  bool
	MinBytes int64
}

// compresses says whether a document of so many plain bytes is stored
// compressed here.
func (s Store) compresses(plainBytes int64) bool {
	return s.mayCompress() && plainBytes > s.Compression.MinBytes
}

// mayCompress says whether any document is stored compressed here.
func (s Store) mayCompress() bool {
	return s.Compression.Enabled && s.Capabilities().Compresses
}

// sync makes durable what was put before, where the driver needs that.
func (s Store) sync(ctx context.Context) error {
	if syncer, ok := s.Driver.(drivers.Syncer); ok && s.Capabilities().NeedsSync {
		return syncer.Sync(ctx)
	}
	return nil
}

// batcher gives the driver's batch operations, nil where there are none.
func (s Store) batcher() drivers.Batcher {
	b, _ := s.Driver.(drivers.Batcher)
	return b
}

// Outage tells whether the store does not answer at present, where its driver
// is watched for that.
func (s Store) Outage() (drivers.Outage, bool) {
	if watched, ok := s.Driver.(drivers.Watched); ok {
		return watched.Outage()
	}
	return drivers.Outage{}, false
}
