package anchore

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/kedge/kedge/pipeline/catalog"
)

// lockPause is waited between two looks at a file that another process locks.
const lockPause = 250 * time.Millisecond

// fileLock is flock(2) on the database file, which SQLite's own locks (those of
// fcntl) do not meet. The descriptor stays open until the database is closed:
// closing any descriptor of a file gives up all of SQLite's locks on it in the
// same process.
type fileLock struct {
	mu     sync.Mutex
	file   *os.File
	locked bool
	lost   chan struct{} // never closed: the lock lives as long as the process
}

func (l *sqlite) Lost() <-chan struct{} { return l.lock.lost }

func (l *sqlite) Lock(ctx context.Context, wait bool) error {
	for {
		err := l.lock.try(l.path)
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			if err != nil {
				return fmt.Errorf("take the migration lock: %w", err)
			}
			return nil
		}
		if !wait {
			return &catalog.HeldError{PID: flockHolder(l.path)}
		}
		if !pause(ctx, lockPause) {
			return fmt.Errorf("take the migration lock: %w", ctx.Err())
		}
	}
}

// Holder looks for a process that locks the file.
func (l *sqlite) Holder(context.Context) (*catalog.HeldError, error) {
	if pid := flockHolder(l.path); pid != 0 {
		return &catalog.HeldError{PID: pid}, nil
	}
	return nil, nil
}

// try takes the lock, or fails with EWOULDBLOCK.
func (f *fileLock) try(path string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.locked {
		return errors.New("it is held already")
	}
	if f.file == nil {
		file, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			return err
		}
		f.file = file
	}
	for {
		err := syscall.Flock(int(f.file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		f.locked = err == nil
		return err
	}
}

func (f *fileLock) held() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.locked
}

func (l *sqlite) Unlock(context.Context) error {
	f := &l.lock
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.locked {
		return nil
	}
	f.locked = false
	if err := syscall.Flock(int(f.file.Fd()), syscall.LOCK_UN); err != nil {
		return fmt.Errorf("give the migration lock back: %w", err)
	}
	return nil
}

// close gives the descriptor up, after the database has been closed.
func (f *fileLock) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.locked = false
	if f.file != nil {
		_ = f.file.Close()
		f.file = nil
	}
}

// flockHolder looks for the process that holds flock on a file, 0 if it cannot
// be told. A line of /proc/locks (proc(5)) reads
// "1: FLOCK  ADVISORY  WRITE 1234 08:01:5678 0 EOF", the file being given as
// major:minor:inode.
func flockHolder(path string) int {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0
	}
	locks, err := os.Open("/proc/locks")
	if err != nil {
		return 0
	}
	defer locks.Close()
	inode := ":" + strconv.FormatUint(stat.Ino, 10)
	lines := bufio.NewScanner(locks)
	for lines.Scan() {
		f := strings.Fields(lines.Text())
		if len(f) >= 6 && f[1] == "FLOCK" && strings.HasSuffix(f[5], inode) {
			if pid, err := strconv.Atoi(f[4]); err == nil && pid > 0 {
				return pid
			}
		}
	}
	return 0
}
