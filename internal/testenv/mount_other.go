//go:build !linux

package testenv

import "testing"

// IgnoringCase needs Linux.
func IgnoringCase(tb testing.TB) string {
	tb.Helper()
	tb.Fatal("testenv: a file system that ignores case is mounted on Linux only")
	return ""
}

// WriteBack needs Linux.
func WriteBack(tb testing.TB) string {
	tb.Helper()
	tb.Fatal("testenv: a file system in user space is mounted on Linux only")
	return ""
}

func unmountBelow(string) error { return nil }

// freeBytes is 0: there is no folder in memory that is known.
func freeBytes(string) int64 { return 0 }
