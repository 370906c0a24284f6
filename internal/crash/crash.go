//go:build !torture

// Package crash lets the torture harness end the process at named points, and
// break it on purpose to prove that the harness notices. It does so only in a build
// with the tag torture. In any other build the functions are empty.
package crash

// Point is a named point between two durable effects.
func Point(string) {}

// Mutated says whether a named fault has been switched on.
func Mutated(string) bool { return false }
