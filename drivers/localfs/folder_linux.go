package localfs

import (
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// openFolder opens a directory, or gives nil where it cannot, as open does. A plain
// one is reached without any link.
func (b *beneath) openFolder(path string, plain bool) folder {
	var resolve uint64
	if plain {
		resolve = unix.RESOLVE_NO_SYMLINKS
	}
	fd := b.openat2(path, unix.O_RDONLY|unix.O_DIRECTORY, resolve)
	if fd < 0 {
		return nil
	}
	return &descriptor{fd: fd, path: filepath.Join(b.dir.Name(), path)}
}

// descriptor is a folder by its file descriptor: each call is one system call,
// where os.Root opens and closes the directory for some of them.
type descriptor struct {
	fd   int
	path string
}

func (d *descriptor) make(name string) (*os.File, error) {
	fd, err := again(func() (int, error) {
		return unix.Openat(d.fd, name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o644)
	})
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), filepath.Join(d.path, name)), nil
}

func (d *descriptor) rename(from, to string) error {
	_, err := again(func() (int, error) { return 0, unix.Renameat(d.fd, from, d.fd, to) })
	return err
}

func (d *descriptor) renameNew(from, to string) error {
	_, err := again(func() (int, error) { return 0, unix.Renameat2(d.fd, from, d.fd, to, unix.RENAME_NOREPLACE) })
	return err
}

func (d *descriptor) remove(name string) error {
	_, err := again(func() (int, error) { return 0, unix.Unlinkat(d.fd, name, 0) })
	return err
}

func (d *descriptor) removeDirectory(name string) error {
	_, err := again(func() (int, error) { return 0, unix.Unlinkat(d.fd, name, unix.AT_REMOVEDIR) })
	return err
}

func (d *descriptor) device() (uint64, error) {
	var stat unix.Stat_t
	_, err := again(func() (int, error) { return 0, unix.Fstat(d.fd, &stat) })
	return uint64(stat.Dev), err //nolint:unconvert // its type differs between systems
}

func (d *descriptor) close() error { return unix.Close(d.fd) }

// again calls a system call until no signal interrupts it: some file systems let
// themselves be interrupted, and Go's runtime sends signals.
func again[T any](call func() (T, error)) (T, error) {
	for {
		result, err := call()
		if err != unix.EINTR {
			return result, err
		}
	}
}
