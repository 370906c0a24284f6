package store

import (
	"context"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/drivers/metrics"
	"github.com/kedge/kedge/pipeline/forms"
)

// Store is a driver opened with one configuration, with its compression rule.
type Store struct {
	drivers.Driver
	Compression forms.Compression
	// Meter counts what the driver does; nil if nothing does.
	Meter *metrics.Meter
	// Limits says to what the operator keeps the store, for messages, as in
	// "--max-ops 200"; "" where there is no limit.
	Limits string
}

// Rule is the store's compression rule, as far as its driver can follow it.
func (s Store) Rule() forms.Compression {
	return forms.Compression{Enabled: s.Compression.Enabled && s.Capabilities().Compresses, MinBytes: s.Compression.MinBytes}
}

// Compresses says whether a document of so many plain bytes is stored
// compressed here.
func (s Store) Compresses(plainBytes int64) bool { return s.Rule().Compresses(plainBytes) }

// MayCompress says whether any document is stored compressed here.
func (s Store) MayCompress() bool { return s.Rule().Enabled }

// Sync makes durable what was put before, where the driver needs that.
func (s Store) Sync(ctx context.Context) error {
	if syncer, ok := s.Driver.(drivers.Syncer); ok && s.Capabilities().NeedsSync {
		return syncer.Sync(ctx)
	}
	return nil
}

// Batcher gives the driver's batch operations, nil where there are none.
func (s Store) Batcher() drivers.Batcher {
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
