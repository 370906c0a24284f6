// Package faults stands between a client and a real server and breaks what
// passes on the wire: TCP for any server (delay, bandwidth, connections that are
// reset, fall silent or are refused), HTTP for those that speak it (answers that
// are refused, cut short, altered or lost).
//
// Which events are hit follows from a Rule and a seed alone, never from the
// clock, and every fault counts its hits: a test must look whether the fault was
// met at all.
//
// A proxy's goroutines all end in Close. Its methods are safe for concurrent
// use.
package faults
