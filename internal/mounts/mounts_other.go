//go:build !linux

package mounts

// volatile knows nothing: only Linux tells of its mounts in this way.
func volatile(string) string { return "" }
