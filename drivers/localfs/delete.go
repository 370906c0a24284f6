package localfs

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"slices"
	"syscall"
)

// Delete removes a payload's file, what a killed Put of it has left, and the
// directories between the file and the root that are empty then.
func (s *Store) Delete(ctx context.Context, uri string) error {
	const op = "delete"
	loc, err := s.locate(op, uri)
	if err != nil {
		return err
	}
	unlock, err := s.puts.lock(ctx, loc.path())
	if err != nil {
		return failure(op, uri, "waiting for a put of it", err)
	}
	defer unlock()
	if err := ctx.Err(); err != nil {
		return failure(op, uri, "starting", err)
	}
	return s.within(op, uri, loc, func(root *os.Root) error {
		if err := s.removeFile(root, loc); err != nil && !missing(err) {
			return failure(op, uri, "removing the file", err)
		}
		return s.removeFolders(root, uri, loc)
	})
}

// removeFile removes a payload's file and what a killed Put of it has left.
func (s *Store) removeFile(root *os.Root, loc location) error {
	in, err := s.openFolder(root, loc.dir)
	if err != nil {
		return err
	}
	defer in.close() // nothing was written to it
	for _, name := range []string{loc.name, loc.partial()} {
		if err := in.remove(name); err != nil && !missing(err) {
			return err
		}
	}
	return nil
}

// removeFolders removes the folder and those above it as far as they are empty.
func (s *Store) removeFolders(root *os.Root, uri string, loc location) error {
	for _, dir := range slices.Backward(parents(loc.dir)) {
		err := s.removeEmpty(root, dir)
		switch {
		case err == nil:
		case stillUsed(err), errors.Is(err, syscall.ENOTDIR):
			return nil
		case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
			// The payload is gone all the same, and the directory is whole.
			return nil
		default:
			return failure("delete", uri, "removing an empty directory", err)
		}
	}
	return nil
}

// missing says that there is no such file, or that one of the directories above
// it is none.
func missing(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}
