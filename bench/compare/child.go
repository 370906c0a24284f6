package compare

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"syscall"
	"time"
)

// measurement is what one child process took.
type measurement struct {
	wall time.Duration
	// cpu is user and system time together.
	cpu time.Duration
	// peak is the most memory that was resident, in bytes.
	peak int64
}

// measure runs a child to its end.
func measure(ctx context.Context, environment []string, command []string) (measurement, error) {
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Env = environment
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return measurement{}, err
	}
	ended := make(chan struct{})
	peaks := make(chan int64)
	go func() { peaks <- watchPeak(cmd.Process.Pid, ended) }()
	err := cmd.Wait()
	m := measurement{wall: time.Since(began)}
	close(ended)
	m.peak = <-peaks
	if err != nil {
		text := output.String()
		return m, fmt.Errorf("%s: %w\n%s", command[0], err, text[max(0, len(text)-4000):])
	}
	usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	if !ok {
		return m, errors.New("the system does not tell what a process used")
	}
	m.cpu = time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
	return m, nil
}

// peakInterval is how often a child's peak is looked at: it only grows, so that
// only what is new in the last of these intervals is missed.
const peakInterval = 20 * time.Millisecond

// watchPeak gives the peak of a process's resident memory in bytes. The ru_maxrss
// of wait4 will not do: Linux counts in it what the parent had when it forked.
func watchPeak(pid int, ended <-chan struct{}) (peak int64) {
	for {
		peak = max(peak, highWater(pid))
		select {
		case <-ended:
			return peak
		case <-time.After(peakInterval):
		}
	}
}

// highWater reads VmHWM of a process, 0 when it has ended.
func highWater(pid int) int64 {
	var kib int64
	if _, err := fmt.Sscanf(field(fmt.Sprintf("/proc/%d/status", pid), "VmHWM"), "%d kB", &kib); err != nil {
		return 0
	}
	return kib << 10
}
