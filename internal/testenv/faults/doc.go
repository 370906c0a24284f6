// Package faults stands between a client and a real server and breaks what
// passes on the wire. For any server it breaks TCP: delay, bandwidth, connections
// that are reset, fall silent or are refused. For servers that speak HTTP it breaks
// answers: they are refused, cut short, altered or lost.
//
// A Rule and a seed alone decide which events are hit, never the clock. Every fault
// counts its hits: a test must look whether the fault was met at all.
//
// A proxy's goroutines all end in Close. Its methods are safe for concurrent
// use.
package faults
