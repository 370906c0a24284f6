// Package concurrency bounds how much of a run is under way at once: how many
// operations each store has in flight, and how many documents, with how many bytes,
// are taken in hand together.
//
// # Operations
//
// A Gate stands before a store. All batches share it, and whoever has an operation
// to do waits there for a place, first come, first served. With a fixed number it is
// a semaphore and no more. Otherwise a tuner behind it climbs the hill of
// throughput: it tries more operations and keeps what brings more, tries fewer and
// keeps what costs nothing, and rests for longer and longer where neither pays. A
// store that turns operations away gets a third fewer at once. The tuner only
// computes; time is what it is told, so that its tests need none.
//
// # Documents
//
// Limits follow from the memory that the operator allows: how many documents and
// bytes a batch has, and from which length on a payload is streamed instead of held.
// A Cutter cuts the catalog's rows into batches by them. It is the one place that
// decides how a batch is cut.
//
// The package knows neither stages nor items: what it bounds tells it its length
// (Work), or is asked for it by a function (Cutter).
package concurrency
