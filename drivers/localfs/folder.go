package localfs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"syscall"
)

// folder is an open directory below the root, in which files are made, renamed
// and removed. Names are those of entries, without a slash.
type folder interface {
	// make makes a file to be written, which must not be there.
	make(name string) (*os.File, error)
	rename(from, to string) error
	// renameNew is rename where nothing has the new name. Any error but that there
	// is no such file may mean that something has, or that the file system cannot
	// tell.
	renameNew(from, to string) error
	// remove removes a file.
	remove(name string) error
	// removeDirectory removes a directory that is empty. A link in its place stays:
	// what lies behind it may be in use.
	removeDirectory(name string) error
	// device tells which file system the directory is on.
	device() (uint64, error)
	close() error
}

// openFolder opens a directory below a root.
func (s *Store) openFolder(root *os.Root, dir string) (folder, error) {
	if root == s.root {
		if opened := s.files.openFolder(dir, false); opened != nil {
			return opened, nil
		}
	}
	return openBelow(root, dir)
}

// openPlain opens a directory of the archive that no link leads to: two documents
// whose folders a link makes one would replace each other's files.
func (s *Store) openPlain(dir string) (folder, error) {
	if opened := s.files.openFolder(dir, true); opened != nil {
		return opened, nil
	}
	for _, above := range parents(dir) {
		info, err := s.root.Lstat(above)
		if err != nil {
			return nil, err
		}
		if info.Mode()&fs.ModeSymlink != 0 {
			return nil, &linked{path: above}
		}
	}
	return openBelow(s.root, dir)
}

// linked is a symbolic link on the way to a payload's place.
type linked struct{ path string }

func (l *linked) Error() string {
	return fmt.Sprintf("%s is a symbolic link: another document's file may be the same", l.path)
}

func openBelow(root *os.Root, dir string) (folder, error) {
	below, err := root.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	return rooted{below}, nil
}

// removeEmpty removes a directory below a root unless it is gone already.
func (s *Store) removeEmpty(root *os.Root, dir string) error {
	in, err := s.openFolder(root, path.Dir(dir))
	if err == nil {
		err = and(in.removeDirectory(path.Base(dir)), in.close())
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// rooted is a folder of any operating system.
type rooted struct{ root *os.Root }

func (r rooted) make(name string) (*os.File, error) {
	return r.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
}

func (r rooted) rename(from, to string) error { return r.root.Rename(from, to) }

func (r rooted) renameNew(string, string) error { return errors.ErrUnsupported }

func (r rooted) remove(name string) error { return r.root.Remove(name) }

func (r rooted) removeDirectory(name string) error {
	info, err := r.root.Lstat(name)
	if err == nil && !info.IsDir() {
		return syscall.ENOTDIR
	}
	if err != nil {
		return err
	}
	return r.root.Remove(name)
}

func (r rooted) device() (uint64, error) { return deviceOf(r.root) }

func (r rooted) close() error { return r.root.Close() }

// create makes a file that was not there before, so that no link that somebody
// planted is followed; what a killed run left under the name goes.
func create(in folder, name string) (*os.File, error) {
	file, err := in.make(name)
	if !errors.Is(err, fs.ErrExist) {
		return file, err
	}
	if err := in.remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return in.make(name)
}
