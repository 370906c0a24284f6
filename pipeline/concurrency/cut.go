package concurrency

import "github.com/kedge/kedge/drivers"

// Cutter cuts a stream of documents into batches, in their order. Those of one key
// stay together, because they share places; one that is streamed is a batch of its
// own. Not safe for concurrent use.
type Cutter[T any] struct {
	Limits Limits
	Key    func(T) drivers.Key
	// Bytes is how long the payload is, in bytes; negative where that is not known.
	Bytes func(T) int64
	// Cost is what a document whose payload is held takes of the memory budget, in
	// bytes; nil is the payload alone.
	Cost func(document T, payloadBytes int64) int64

	cut   []T
	bytes int64
	full  bool
}

// Add adds a document and returns the batch before it when that is complete.
func (c *Cutter[T]) Add(document T) []T {
	bytes := c.Bytes(document)
	if bytes < 0 {
		bytes = c.Limits.UnknownBytes
	}
	alone := bytes > c.Limits.StreamBytes
	if c.Cost != nil && !alone {
		bytes = c.Cost(document, bytes)
	}
	var complete []T
	if n := len(c.cut); n > 0 && c.Key(c.cut[n-1]) != c.Key(document) && (c.full || alone || c.bytes+bytes > c.Limits.BatchBytes) {
		complete = c.Rest()
	}
	c.cut = append(c.cut, document)
	c.bytes += bytes
	c.full = c.full || alone || len(c.cut) >= c.Limits.BatchDocuments || c.bytes >= c.Limits.BatchBytes
	return complete
}

// Rest returns what is left; nil when there is nothing.
func (c *Cutter[T]) Rest() []T {
	cut := c.cut
	c.cut, c.bytes, c.full = nil, 0, false
	return cut
}
