package localfs

import (
	"os"

	"golang.org/x/sys/unix"
)

// dropCached has the kernel forget what it has read of a file, so that the file system is
// asked. Where it will not, nothing is the worse.
func dropCached(file *os.File) {
	conn, err := file.SyscallConn()
	if err != nil {
		return
	}
	_ = conn.Control(func(fd uintptr) { _ = unix.Fadvise(int(fd), 0, 0, unix.FADV_DONTNEED) })
}
