// Package guard finds out, for one document, whose payloads may be at its places besides
// its own: before it is put at the destination (put.go), and before its source is deleted
// (source.go).
//
// What the look through the whole catalog has found (package survey) is its measure; the
// stores and the catalog are asked where that does not say enough.
package guard
