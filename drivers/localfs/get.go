package localfs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"github.com/kedge/kedge/drivers"
)

// within calls fn with the root that a location lies under: the store's own, or
// one of an earlier configuration, opened for the occasion.
func (s *Store) within(op, uri string, loc location, fn func(root *os.Root) error) error {
	if loc.root == s.dir {
		return fn(s.root)
	}
	root, err := s.openOther(loc.root)
	if err != nil {
		failed := failure(op, uri, "opening the archive "+loc.root, err)
		if failed.Kind == drivers.NotFound {
			// The whole archive is missing: that says nothing of the payload.
			failed.Kind = drivers.Config
			failed.Mend = "is its volume mounted?"
		}
		return failed
	}
	defer root.Close() // nothing was written to it
	return fn(root)
}

// openOther opens a root that is not the store's own. One that lies below that
// is opened from there, so that a link planted in the archive does not make a
// root of what lies outside.
func (s *Store) openOther(dir string) (*os.Root, error) {
	if below, ok := strings.CutPrefix(dir, strings.TrimSuffix(s.dir, "/")+"/"); ok {
		root, err := s.root.OpenRoot(below)
		return root, onTheWay(s.root, below, err)
	}
	return os.OpenRoot(dir)
}

// Get opens a payload's file. Symbolic links that lead out of the root are not
// followed.
func (s *Store) Get(ctx context.Context, uri string) (io.ReadCloser, drivers.Info, error) {
	const op = "get"
	loc, err := s.locate(op, uri)
	if err != nil {
		return nil, drivers.Info{}, err
	}
	if err := ctx.Err(); err != nil {
		return nil, drivers.Info{}, failure(op, uri, "opening", err)
	}
	var body *reader
	err = s.within(op, uri, loc, func(root *os.Root) error {
		if err := listed(ctx, root, loc.path()); err != nil {
			return failure(op, uri, "looking for it in its folder", err)
		}
		file, err := s.openFile(root, loc.path())
		if err != nil {
			return failure(op, uri, "opening", onTheWay(root, loc.path(), err))
		}
		if drivers.Fresh(ctx) {
			dropCached(file)
		}
		info, err := file.Stat()
		if err == nil {
			err = regular(info)
		}
		if err != nil {
			return failure(op, uri, "opening", and(cause(err), file.Close()))
		}
		body = &reader{ctx: ctx, uri: uri, file: file, length: info.Size(), version: identity(info)}
		return nil
	})
	if err != nil {
		return nil, drivers.Info{}, err
	}
	return body, drivers.Info{Bytes: body.length, Version: body.version}, nil
}

// openFile opens a file below a root to be read.
func (s *Store) openFile(root *os.Root, path string) (*os.File, error) {
	if root == s.root {
		if file := s.files.open(path); file != nil {
			return file, nil
		}
	}
	// Without O_NONBLOCK, opening a named pipe would wait for a writer.
	return root.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
}

// Stat tells the length of a payload's file.
func (s *Store) Stat(ctx context.Context, uri string) (drivers.Info, error) {
	const op = "stat"
	loc, err := s.locate(op, uri)
	if err != nil {
		return drivers.Info{}, err
	}
	if err := ctx.Err(); err != nil {
		return drivers.Info{}, failure(op, uri, "looking for it", err)
	}
	var found drivers.Info
	err = s.within(op, uri, loc, func(root *os.Root) error {
		if err := listed(ctx, root, loc.path()); err != nil {
			return failure(op, uri, "looking for it in its folder", err)
		}
		info, err := root.Stat(loc.path())
		if err == nil {
			err = regular(info)
		} else {
			err = onTheWay(root, loc.path(), err)
		}
		if err != nil {
			return failure(op, uri, "looking for it", err)
		}
		found = infoOf(info)
		return nil
	})
	return found, err
}

// infoOf is what a file system tells of a payload's file.
func infoOf(info fs.FileInfo) drivers.Info {
	id := identity(info)
	return drivers.Info{Bytes: info.Size(), Identity: id, Version: id, Modified: info.ModTime()}
}

// identity is what one file has under all its names, also where a directory is
// mounted twice, so that the device's number is no help. Another file with the
// same number, length and time to the nanosecond is not to be expected.
func identity(info fs.FileInfo) string {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return ""
	}
	return fmt.Sprintf("%d-%d-%d", stat.Ino, info.Size(), info.ModTime().UnixNano())
}

func regular(info fs.FileInfo) error {
	if !info.Mode().IsRegular() {
		return fmt.Errorf("not a file but %s", info.Mode())
	}
	return nil
}

// reader delivers exactly the length that the file had when it was opened, or
// an error.
type reader struct {
	ctx    context.Context
	uri    string
	file   *os.File
	length int64
	read   int64
	// version is what the file was when it was opened.
	version string
}

func (r *reader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, failure("get", r.uri, "reading", err)
	}
	if len(p) == 0 {
		return 0, nil
	}
	n, err := r.file.Read(p)
	if over := r.read + int64(n) - r.length; over > 0 {
		n -= int(over)
		r.read = r.length
		return n, r.corrupt(errors.New("the file grew while it was read"))
	}
	r.read += int64(n)
	switch {
	case err == io.EOF && r.read < r.length:
		return n, r.corrupt(fmt.Errorf("the file ended after %d bytes of %d: %w", r.read, r.length, io.ErrUnexpectedEOF))
	case err != nil && err != io.EOF:
		return n, failure("get", r.uri, "reading", err)
	default:
		return n, err
	}
}

func (r *reader) corrupt(err error) error {
	return &drivers.Error{Op: "get", URI: r.uri, Kind: drivers.Corrupt, Err: err}
}

// Close closes the file.
func (r *reader) Close() error {
	if err := r.file.Close(); err != nil {
		return failure("get", r.uri, "closing", err)
	}
	return nil
}
