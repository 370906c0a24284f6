// Package preflight finds the reasons not to begin a run at all: what can be seen without
// writing anything (Untried), places that may not keep what they are given (Volatile), what
// only a probe shows (Probe), and stores that take different names for one (Alike).
//
// Nothing is changed by any of it but for the probe, which is removed again.
package preflight
