package localfs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"github.com/kedge/kedge/drivers"
)

// failure makes the driver's error of a file system's.
func failure(op, uri, doing string, err error) *drivers.Error {
	err = cause(err)
	kind, mend := classify(err)
	return &drivers.Error{Op: op, URI: uri, Kind: kind, Mend: mend, Err: fmt.Errorf("%s: %w", doing, err)}
}

// cause strips what package os says of system calls and paths: the URI names
// the file.
func cause(err error) error {
	switch e := err.(type) {
	case *fs.PathError:
		return e.Err
	case *os.LinkError:
		return e.Err
	case *os.SyscallError:
		return e.Err
	default:
		return err
	}
}

// and adds a second error to a first one, in one line. Either may be nil.
func and(err, also error) error {
	if err == nil || also == nil {
		return errors.Join(err, also)
	}
	return fmt.Errorf("%w; also %w", err, also)
}

// classify sorts the errors of system calls.
func classify(err error) (drivers.Kind, string) {
	var number syscall.Errno
	var link *linked
	var out *leadsOut
	switch {
	case errors.As(err, &out):
		return drivers.Other, out.mend()
	case errors.As(err, &link):
		return drivers.Other, "put a directory in its place"
	case !errors.As(err, &number):
		return drivers.KindOf(err), ""
	}
	switch number {
	case syscall.ENOENT, syscall.ENOTDIR:
		return drivers.NotFound, ""
	case syscall.EACCES, syscall.EPERM:
		return drivers.Denied, fmt.Sprintf("uid %d lacks the permission", os.Geteuid())
	case syscall.EROFS:
		return drivers.Denied, "the file system is mounted read-only"
	case syscall.ENOSPC:
		return drivers.Full, "make room on the file system; it may also be out of inodes"
	case syscall.EDQUOT:
		return drivers.Full, "raise the quota"
	case syscall.EFBIG:
		return drivers.TooLarge, ""
	case syscall.ENAMETOOLONG, syscall.EILSEQ:
		return drivers.InvalidKey, ""
	case syscall.EMFILE, syscall.ENFILE:
		return drivers.Temporary, "too many open files: raise the limit, or use fewer workers"
	case syscall.EINTR, syscall.EAGAIN, syscall.ENOMEM, syscall.ETIMEDOUT, syscall.ESTALE:
		return drivers.Temporary, ""
	default:
		return drivers.Other, ""
	}
}
