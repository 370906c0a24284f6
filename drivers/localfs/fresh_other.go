//go:build !linux

package localfs

import "os"

// dropCached does nothing here: there is no such advice.
func dropCached(*os.File) {}
