package localfs

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"syscall"

	"github.com/kedge/kedge/drivers"
)

// folderPage is how many names of a folder are read at a time.
const folderPage = 1024

// listed fails with ENOENT where a fresh answer is asked for and a file's folder
// does not list it: a mount may remember a single name for longer than it believes a
// listing of its folder.
func listed(ctx context.Context, root *os.Root, path string) error {
	if !drivers.Fresh(ctx) {
		return nil
	}
	dir, err := root.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer dir.Close()
	for {
		names, err := dir.Readdirnames(folderPage)
		for _, name := range names {
			if name == filepath.Base(path) {
				return nil
			}
		}
		if len(names) == 0 {
			if err == nil || errors.Is(err, io.EOF) {
				err = listedOtherwise(root, path)
			}
			return err
		}
	}
}

// listedOtherwise fails with ENOENT unless the folder lists the file by another spelling of
// its name: a file system may write names in another form than it was given.
func listedOtherwise(root *os.Root, path string) error {
	file, err := root.Lstat(path)
	if err != nil {
		return err
	}
	dir, err := root.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer dir.Close()
	for {
		list, err := dir.Readdir(folderPage)
		for _, info := range list {
			if os.SameFile(info, file) {
				return nil
			}
		}
		if len(list) == 0 {
			if err == nil || errors.Is(err, io.EOF) {
				err = syscall.ENOENT
			}
			return err
		}
	}
}
