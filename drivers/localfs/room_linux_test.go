package localfs

import (
	"math"
	"testing"

	"golang.org/x/sys/unix"
)

// TestFreeBytes: s3fs tells of more blocks than there are bytes to count.
func TestFreeBytes(t *testing.T) {
	for _, test := range []struct {
		blocks uint64
		size   int64
		want   int64
	}{
		{0, 4096, 0},
		{10, 4096, 40960},
		{math.MaxUint64 / 2, 16 << 20, math.MaxInt64},
		{1, 0, 0},
	} {
		of := unix.Statfs_t{Bavail: test.blocks, Bsize: test.size}
		if got := freeBytes(&of); got != test.want {
			t.Errorf("%d blocks of %d bytes: %d, want %d", test.blocks, test.size, got, test.want)
		}
	}
}
