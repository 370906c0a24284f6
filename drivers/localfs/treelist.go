package localfs

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/kedge/kedge/drivers"
)

// ListAfter walks the directories in the order of the files' paths. It holds the
// names of one directory on each level. Info.Version is made of the file's
// number, length and time.
func (s *Store) ListAfter(ctx context.Context, prefix, after string, fn func(path string, info drivers.Info) error) error {
	if !s.tree {
		return &drivers.Error{Op: "list", URI: s.place, Kind: drivers.Config, Err: errors.New("the directory was opened as an archive of documents")}
	}
	w := &treeWalk{store: s, ctx: ctx, prefix: prefix, after: after, fn: fn}
	from := "." // the deepest directory in which everything lies
	if i := strings.LastIndexByte(prefix, '/'); i > 0 {
		from = prefix[:i]
	}
	return w.walk(from)
}

type treeWalk struct {
	store         *Store
	ctx           context.Context
	prefix, after string
	fn            func(path string, info drivers.Info) error
}

// name is an entry as it counts in the order of paths: a directory's with the
// slash that follows it there.
type treeName struct {
	key   string
	entry fs.DirEntry
}

func (w *treeWalk) walk(dir string) error {
	if err := w.ctx.Err(); err != nil {
		return failure("list", w.store.place, "reading the directories", err)
	}
	names, err := w.read(dir)
	if err != nil {
		return err
	}
	for _, n := range names {
		file := path.Join(dir, n.entry.Name())
		if strings.HasSuffix(n.key, "/") {
			if w.reaches(file + "/") {
				if err := w.walk(file); err != nil {
					return err
				}
			}
			continue
		}
		if file <= w.after || !strings.HasPrefix(file, w.prefix) {
			continue
		}
		if err := w.file(file, n.entry); err != nil {
			return err
		}
	}
	return nil
}

// reaches says whether something below a directory may have to be listed.
func (w *treeWalk) reaches(dir string) bool {
	if !strings.HasPrefix(dir, w.prefix) && !strings.HasPrefix(w.prefix, dir) {
		return false
	}
	return dir > w.after || strings.HasPrefix(w.after, dir)
}

// read gives the entries of a directory in order. One that is not there, or was
// removed meanwhile, has none.
func (w *treeWalk) read(dir string) ([]treeName, error) {
	f, err := w.store.root.Open(dir)
	if err != nil {
		if missing(err) {
			return nil, nil
		}
		return nil, failure("list", w.store.prefix+dir, "opening the directory", err)
	}
	defer f.Close()
	var names []treeName
	err = eachEntry(f, func(entry fs.DirEntry) error {
		key := entry.Name()
		isDir, err := w.isDirectory(dir, entry)
		if isDir {
			key += "/"
		}
		names = append(names, treeName{key, entry})
		return err
	})
	if err != nil {
		var failed *drivers.Error
		switch {
		case errors.As(err, &failed):
			return nil, err
		case missing(err): // removed while it was open, so empty
			return nil, nil
		}
		return nil, failure("list", w.store.prefix+dir, "reading the directory", err)
	}
	slices.SortFunc(names, func(a, b treeName) int { return strings.Compare(a.key, b.key) })
	return names, nil
}

// isDirectory follows symbolic links, as the registry does. One that leads out
// of the root cannot be followed, and what lies behind it must not be left out
// without a word.
func (w *treeWalk) isDirectory(dir string, entry fs.DirEntry) (bool, error) {
	if entry.Type()&fs.ModeSymlink == 0 {
		return entry.IsDir(), nil
	}
	info, err := w.store.root.Stat(path.Join(dir, entry.Name()))
	if err != nil {
		failed := failure("list", w.store.prefix+path.Join(dir, entry.Name()), "following the symbolic link", err)
		failed.Mend = "it leads nowhere, or out of the root, where kedge does not follow: mount the directory in its place"
		return false, failed
	}
	return info.IsDir(), nil
}

// file lists one file.
func (w *treeWalk) file(file string, entry fs.DirEntry) error {
	if err := w.ctx.Err(); err != nil {
		return failure("list", w.store.place, "reading the directories", err)
	}
	info, err := w.info(file, entry)
	switch {
	case err != nil && missing(err):
		return nil
	case err != nil:
		return failure("list", w.store.prefix+file, "looking at the file", err)
	case !info.Mode().IsRegular():
		return &drivers.Error{Op: "list", URI: w.store.prefix + file, Kind: drivers.Config, Err: regular(info), Mend: "move it out of the tree"}
	default:
		return w.fn(file, drivers.Info{Bytes: info.Size(), Version: identity(info)})
	}
}

func (w *treeWalk) info(file string, entry fs.DirEntry) (os.FileInfo, error) {
	if entry.Type()&fs.ModeSymlink != 0 {
		return w.store.root.Stat(file)
	}
	return entry.Info()
}
