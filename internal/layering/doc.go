// Package layering holds no code. Its test checks which package may import which.
// The table of rules is at the top of layering_test.go. docs/architecture.md gives
// the reasons.
package layering
