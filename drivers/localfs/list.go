package localfs

import (
	"context"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/kedge/kedge/drivers"
)

// entriesAtOnce is how many entries of a directory are held in memory.
const entriesAtOnce = 1024

// List calls fn with every file of the layout's form. Temporary files and
// whatever else lies around are left out, and so is what is put or deleted
// meanwhile, or not.
func (s *Store) List(ctx context.Context, fn func(uri string, info drivers.Info) error) error {
	l := &listing{store: s, ctx: ctx, fn: fn}
	return l.walk(".", 0)
}

type listing struct {
	store *Store
	ctx   context.Context
	fn    func(uri string, info drivers.Info) error
}

// levels tell which entries belong to the layout, from the root downwards.
var levels = []func(name string) bool{
	isUser,
	func(string) bool { return true },
	isShard,
	isDocument,
}

// walk lists what is under dir, which stands depth levels under the root.
func (l *listing) walk(dir string, depth int) error {
	if err := l.ctx.Err(); err != nil {
		return failure("list", l.store.place, "reading the directories", err)
	}
	f, err := l.store.root.Open(dir)
	if err != nil {
		if missing(err) && depth > 0 {
			return nil // removed meanwhile, or not a directory
		}
		return failure("list", l.store.prefix+dir, "opening the directory", err)
	}
	defer f.Close()
	var walkErr error
	err = eachEntry(f, func(entry fs.DirEntry) error {
		if !levels[depth](entry.Name()) {
			return nil
		}
		path := strings.TrimPrefix(dir+"/"+entry.Name(), "./")
		if depth < len(levels)-1 {
			walkErr = l.walk(path, depth+1)
		} else {
			walkErr = l.file(path)
		}
		return walkErr
	})
	if walkErr != nil {
		return walkErr
	}
	if err != nil {
		return failure("list", l.store.prefix+dir, "reading the directory", err)
	}
	return nil
}

// file lists one file.
func (l *listing) file(path string) error {
	if err := l.ctx.Err(); err != nil {
		return failure("list", l.store.place, "reading the directories", err)
	}
	uri := l.store.prefix + path
	info, err := l.store.root.Stat(path)
	switch {
	case err != nil && missing(err):
		return nil
	case err != nil:
		return failure("list", uri, "looking at the file", err)
	case !info.Mode().IsRegular():
		return nil
	default:
		return l.fn(uri, infoOf(info))
	}
}

// eachEntry calls fn with the entries of a directory until it returns an error,
// holding only some of them in memory.
func eachEntry(dir *os.File, fn func(fs.DirEntry) error) error {
	for {
		entries, err := dir.ReadDir(entriesAtOnce)
		for _, entry := range entries {
			if err := fn(entry); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
