// Package concurrency bounds how much of a run is under way at once: how many
// operations each store has in flight, and how many documents, with how many bytes,
// make a batch.
//
// # Operations
//
// A Gate stands before a store. All batches share it. Whoever has an operation to do
// waits there for a place, first come, first served. With a fixed number it is a
// semaphore and no more. Otherwise a tuner behind it climbs the hill of throughput: it
// tries more operations and keeps what brings more, tries fewer and keeps what costs
// nothing, and rests for longer and longer where neither pays. When a store turns
// operations away, the tuner allows a third fewer at once. The tuner only computes. Its
// caller gives it the time, so that its tests need none.
//
// # Documents
//
// Limits follow from the memory that the operator allows: how many documents and
// bytes a batch has, and from which length on a payload is streamed instead of held.
// A Cutter cuts the catalog's rows into batches by them. No other place decides how a
// batch is cut.
//
// The package knows neither stages nor items. What it bounds gives its length itself
// (Work), or by a function (Cutter).
package concurrency
