//go:build !linux

package testenv

import "testing"

// IgnoringCase needs Linux.
func IgnoringCase(tb testing.TB) string {
	tb.Helper()
	tb.Fatal("testenv: a file system that ignores case is mounted on Linux only")
	return ""
}

func unmountBelow(string) error { return nil }
