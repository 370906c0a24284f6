package localfs

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// untrusted are file systems whose syncfs(2) does not reach what is behind
// them: the server of a FUSE file system is not asked to sync, nor is that of
// 9P.
var untrusted = map[uint32]bool{
	unix.FUSE_SUPER_MAGIC: true,
	unix.V9FS_MAGIC:       true,
}

// wholeSync gives a function that syncs the file system of root with
// syncfs(2), and one that ends its use. Since Linux 5.8 syncfs reports what
// could not be written since its descriptor was opened: so the descriptor stays
// open all the time, and an older kernel gets no such function.
func wholeSync(root *os.Root) (whole, end func() error, err error) {
	var stat unix.Statfs_t
	dir, err := root.Open(".")
	if err != nil {
		return nil, nil, err
	}
	conn, err := dir.SyscallConn()
	if err != nil {
		return nil, nil, and(err, dir.Close())
	}
	control := func(call func(fd int) error) error {
		var callErr error
		if err := conn.Control(func(fd uintptr) { callErr = call(int(fd)) }); err != nil {
			return err
		}
		return callErr
	}
	if err := control(func(fd int) error { return unix.Fstatfs(fd, &stat) }); err != nil {
		return nil, nil, and(err, dir.Close())
	}
	if untrusted[uint32(stat.Type)] || !reportsLostWrites() {
		return nil, dir.Close, nil
	}
	return func() error { return control(unix.Syncfs) }, dir.Close, nil
}

// reportsLostWrites says whether the kernel is Linux 5.8 or later.
func reportsLostWrites() bool {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return false
	}
	var major, minor int
	if _, err := fmt.Sscanf(unix.ByteSliceToString(name.Release[:]), "%d.%d", &major, &minor); err != nil {
		return false
	}
	return major > 5 || major == 5 && minor >= 8
}
