package copies

import (
	"unsafe"

	bolt "go.etcd.io/bbolt"
	"golang.org/x/sys/unix"
)

// letGo takes the pages of the file that are mapped out of the process. They stay in the
// system's cache, and come back when they are read: else a record of a gigabyte would
// count as so much memory of kedge's. It is called within a transaction, during which the
// file is not mapped anew.
func letGo(tx *bolt.Tx) {
	info := tx.DB().Info()
	first := *(*unsafe.Pointer)(unsafe.Pointer(&info.Data))
	if bytes := tx.Size(); first != nil && bytes > 0 {
		// It is advice: where it is not taken, nothing is wrong.
		_ = unix.Madvise(unsafe.Slice((*byte)(first), bytes), unix.MADV_DONTNEED)
	}
}
