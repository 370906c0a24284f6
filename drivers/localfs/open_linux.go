package localfs

import (
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// beneath opens files below a root with openat2(2), which walks the whole path
// in one system call and, as os.Root does, follows no link that leads out.
type beneath struct {
	dir  *os.File
	conn syscall.RawConn
}

func newBeneath(root *os.Root) (*beneath, error) {
	dir, err := root.Open(".")
	if err != nil {
		return nil, err
	}
	conn, err := dir.SyscallConn()
	if err != nil {
		return nil, and(err, dir.Close())
	}
	return &beneath{dir: dir, conn: conn}, nil
}

// open opens a file to be read, or gives nil where it cannot, for whatever
// reason (no such file, a link that leads out, a kernel before 5.6, a sandbox
// that forbids the call): os.Root then says what is the matter.
func (b *beneath) open(path string) *os.File {
	fd := b.openat2(path, unix.O_RDONLY|unix.O_NONBLOCK, 0)
	if fd < 0 {
		return nil
	}
	return os.NewFile(uintptr(fd), filepath.Join(b.dir.Name(), path))
}

// openat2 gives a descriptor, -1 where it cannot.
func (b *beneath) openat2(path string, flags, resolve uint64) int {
	how := &unix.OpenHow{Flags: flags | unix.O_CLOEXEC, Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_MAGICLINKS | resolve}
	fd := -1
	err := b.conn.Control(func(dir uintptr) {
		if got, err := unix.Openat2(int(dir), path, how); err == nil {
			fd = got
		}
	})
	if err != nil {
		return -1
	}
	return fd
}

func (b *beneath) close() error { return b.dir.Close() }
