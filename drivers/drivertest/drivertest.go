// Package drivertest is the conformance suite that every driver passes against
// its real backend. It checks what package drivers promises to the pipeline:
//
//   - payloads come back as they were put;
//   - a Put that fails leaves nothing behind, and what was there before untouched;
//   - errors have the right kind, and keys never collide;
//   - contexts are obeyed, and a long stream is never held in memory.
//
// A driver's test calls Run once for each configuration worth testing:
//
//	func TestConformance(t *testing.T) {
//		drivertest.Run(t, drivertest.Backend{Open: openFreshStore})
//	}
//
// memory_test.go has the shortest driver that passes.
package drivertest

import (
	"testing"

	"github.com/kedge/kedge/drivers"
)

// Backend says how to open a fresh store and what the suite may do with it.
type Backend struct {
	// Open opens a fresh, empty store at each call. The suite closes it; what
	// else is to be cleaned up, Open registers with tb.Cleanup.
	Open func(tb testing.TB) drivers.Driver

	// OpenBeside opens another empty store on the same backend as d, under
	// another prefix. Optional: nil where the backend has no such thing. The
	// suite closes it.
	OpenBeside func(tb testing.TB, d drivers.Driver) drivers.Driver

	// Corrupt changes the bytes of the payload at uri, not their number, behind
	// the driver's back. Optional.
	Corrupt func(tb testing.TB, d drivers.Driver, uri string)

	// Refuses says that this backend cannot hold such a key: URI or Put must
	// then fail with kind InvalidKey, and every other key must be stored. When
	// Refuses is nil, an awkward key may be stored or refused.
	Refuses func(key drivers.Key) bool

	// Leftovers lists what the backend holds besides whole payloads: temporary
	// files, unfinished uploads, large objects. It is called when a Put has
	// failed, and must find nothing. Optional.
	Leftovers func(tb testing.TB, d drivers.Driver) []string

	// TellsAnother says that the server looks at a payload and at its MD5 one
	// after the other: while one payload replaces another, Get may be told the
	// MD5 of the wrong one of the two.
	TellsAnother bool

	// InMemory says that the backend is this process's own memory, so that a
	// stream that is put is held there.
	InMemory bool

	// Secrets are strings that must not appear in Place, Prefix or any error.
	Secrets []string
}

// Run runs the suite. It takes about a minute against a server on the same
// machine, most of it for the two streams of 64 MiB. It measures the process's
// heap: run no other test at the same time.
func Run(t *testing.T, b Backend) {
	t.Helper()
	if b.Open == nil {
		t.Fatal("drivertest: Backend.Open is nil")
	}
	tests := []struct {
		name string
		run  func(*testing.T, Backend)
	}{
		{"identity", testIdentity},
		{"roundtrip", testRoundtrip},
		{"overwrite", testOverwrite},
		{"modified", testModified},
		{"missing", testMissing},
		{"malformed uri", testMalformedURI},
		{"early close", testEarlyClose},
		{"corrupted behind", testCorrupted},
		{"failed put", testFailedPut},
		{"keys", testKeys},
		{"keys side by side", testKeysSideBySide},
		{"cancelled", testCancelled},
		{"cancelled midway", testCancelledMidway},
		{"concurrent one key", testConcurrentOneKey},
		{"concurrent many keys", testConcurrentManyKeys},
		{"stream 64 MiB", testLongStream},
		{"batch", testBatch},
		{"sync", testSync},
		{"list", testList},
		{"versions", testVersions},
		{"two stores", testTwoStores},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) { test.run(t, b) })
	}
}
