package localfs

import (
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Room is what a file system has left for this process's user.
type Room struct {
	// Directory is where it was asked for: the archive's root, or the nearest
	// parent that is there.
	Directory string
	// FreeBytes are what may still be written, BlockBytes what a file takes at
	// least and is rounded up to.
	FreeBytes, BlockBytes int64
	// FreeFiles is how many files and directories can still be made; -1 where
	// the file system has no such limit.
	FreeFiles int64
	// Writable says whether this process may make files in Directory.
	Writable bool
}

// RoomFor asks for the room that an archive at this path has, or would have. It
// makes nothing.
func RoomFor(archiveDataDir string) (Room, error) {
	dir, err := nearest(filepath.Clean(archiveDataDir))
	if err != nil {
		return Room{}, openFailure(scheme+archiveDataDir, "looking for the directory", err)
	}
	var of unix.Statfs_t
	if err := unix.Statfs(dir, &of); err != nil {
		return Room{}, openFailure(scheme+dir, "asking for the free space", err)
	}
	r := Room{
		Directory: dir, BlockBytes: int64(of.Bsize), FreeFiles: int64(of.Ffree), //nolint:unconvert // the types differ between systems
		FreeBytes: freeBytes(&of),
		Writable:  unix.Access(dir, unix.W_OK|unix.X_OK) == nil,
	}
	if of.Files == 0 {
		r.FreeFiles = -1
	}
	return r, nil
}

// freeBytes is what a file system has left, in bytes. Some FUSE mounts tell more than
// can be counted.
func freeBytes(of *unix.Statfs_t) int64 {
	blocks, size := uint64(of.Bavail), uint64(of.Bsize) //nolint:unconvert // the types differ between systems
	if size > 0 && blocks > math.MaxInt64/size {
		return math.MaxInt64
	}
	return int64(blocks * size)
}

// nearest is the path, or else the nearest parent that is there.
func nearest(path string) (string, error) {
	for {
		info, err := os.Stat(path)
		switch {
		case err == nil && !info.IsDir():
			return "", &fs.PathError{Op: "open", Path: path, Err: unix.ENOTDIR}
		case err == nil:
			return path, nil
		case !errors.Is(err, fs.ErrNotExist) || path == filepath.Dir(path):
			return "", err
		}
		path = filepath.Dir(path)
	}
}
