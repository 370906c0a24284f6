package testenv

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// folderPattern names the folder of one test binary's servers, lockName the
// file in it that the binary holds locked while it lives.
const (
	folderPattern = "kedge-testenv-*"
	lockName      = "lock"
)

// socketPathBytes bounds the temporary folder's length, so that the path of a
// Unix socket some levels below it stays within the system's 100-odd bytes.
const socketPathBytes = 50

// makeFolder makes the folder of this test binary's servers, in the temporary
// folder, or in /tmp or /var/tmp where that is too long or closed to others
// (PostgreSQL runs as another user when we are root). It removes what test
// binaries that were killed have left there.
//
// The folder counts as abandoned once the returned lock is closed.
func makeFolder() (dir string, lock *os.File, err error) {
	var errs []error
	for _, parent := range []string{os.TempDir(), "/tmp", "/var/tmp"} {
		if err := suits(parent); err != nil {
			errs = append(errs, err)
			continue
		}
		removeAbandoned(parent)
		dir, lock, err := makeFolderIn(parent)
		if err == nil {
			return dir, lock, nil
		}
		errs = append(errs, err)
	}
	return "", nil, fmt.Errorf("no temporary folder for servers: %w", errors.Join(errs...))
}

// sharedMemory is where Linux has a file system in memory, memoryBytes what must be
// free there.
const (
	sharedMemory = "/dev/shm"
	memoryBytes  = 4 << 30
)

// makeMemoryFolder makes a second folder as makeFolder does, in memory; it is the
// first one where there is no room.
func (e *environment) makeMemoryFolder() string {
	if freeBytes(sharedMemory) < memoryBytes || suits(sharedMemory) != nil {
		return e.folder
	}
	removeAbandoned(sharedMemory)
	dir, lock, err := makeFolderIn(sharedMemory)
	if err != nil {
		return e.folder
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.folders[dir] = lock
	return dir
}

// suits says whether any user can reach what is in the folder parent.
func suits(parent string) error {
	if len(parent) > socketPathBytes {
		return fmt.Errorf("%s is too long for sockets", parent)
	}
	for dir := parent; ; dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		if err != nil {
			return err
		}
		if info.Mode().Perm()&0o001 == 0 {
			return fmt.Errorf("%s is closed to other users", dir)
		}
		if dir == filepath.Dir(dir) {
			return nil
		}
	}
}

func makeFolderIn(parent string) (dir string, lock *os.File, err error) {
	dir, err = os.MkdirTemp(parent, folderPattern)
	if err != nil {
		return "", nil, err
	}
	if err := os.Chmod(dir, 0o711); err != nil {
		return "", nil, err
	}
	// Locked before it gets its name, so that there is no lock file that
	// nobody holds.
	lock, err = os.Create(filepath.Join(dir, lockName+".new"))
	if err != nil {
		return "", nil, err
	}
	err = syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == nil {
		err = os.Rename(lock.Name(), filepath.Join(dir, lockName))
	}
	if err != nil {
		return "", nil, fmt.Errorf("lock %s: %w", dir, errors.Join(err, lock.Close()))
	}
	return dir, lock, nil
}

// removeAbandoned removes folders whose test binary is gone. What cannot be
// removed (another user's) is left: it is no business of this run.
func removeAbandoned(parent string) {
	dirs, err := filepath.Glob(filepath.Join(parent, folderPattern))
	if err != nil {
		return
	}
	for _, dir := range dirs {
		if abandoned(dir) {
			_ = unmountBelow(dir)
			_ = os.RemoveAll(dir)
		}
	}
}

// abandoned says whether the owner of a folder is gone.
func abandoned(dir string) bool {
	lock, err := os.Open(filepath.Join(dir, lockName))
	if errors.Is(err, os.ErrNotExist) {
		// Just being made, or its owner was killed while making it.
		info, err := os.Stat(dir)
		return err == nil && time.Since(info.ModTime()) > time.Hour
	}
	if err != nil {
		return false
	}
	defer lock.Close()
	return syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil
}
