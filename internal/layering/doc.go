// Package layering holds no code: its test checks which package may import
// which. The table of rules is at the top of layering_test.go;
// docs/architecture.md tells the reasons.
package layering
