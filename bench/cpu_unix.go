//go:build unix

package bench

import (
	"syscall"
	"time"
)

// processCPU is the time that this process has spent, user and system; -1 where
// the system does not tell.
func processCPU() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return -1
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
