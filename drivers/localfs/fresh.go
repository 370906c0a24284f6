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
				err = syscall.ENOENT
			}
			return err
		}
	}
}
