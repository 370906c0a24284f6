//go:build !unix

package bench

import "time"

// processCPU is the time that this process has spent; -1: not known here.
func processCPU() time.Duration { return -1 }
