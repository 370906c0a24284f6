package localfs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// foldersDeep is how many folders are above a file: the user's, the bucket's, and
// one of 256.
const foldersDeep = 3

// RefuseLinks refuses, with kind Config, an archive in which a symbolic link stands
// for a folder: by it one file may have two paths, so that putting one document
// replaces or removes another one's. It is for a destination; an archive that is
// not there has none, and what cannot be read is left to Put. It reads all folders
// but those that hold the files.
func RefuseLinks(ctx context.Context, o Options) error {
	dir := filepath.Clean(o.ArchiveDataDir)
	var links []string
	err := findLinks(ctx, dir, 1, func(path string) {
		if len(links) < linksTold+1 {
			links = append(links, strings.TrimPrefix(path, dir+"/"))
		}
	})
	uri := scheme + dir
	switch {
	case err != nil:
		return openFailure(uri, "looking for links", err)
	case len(links) == 0:
		return nil
	}
	told := strings.Join(links[:min(len(links), linksTold)], ", ")
	if len(links) > linksTold {
		told += " and others"
	}
	return misconfigured(uri, "put a directory in its place, or mount one there",
		fmt.Errorf("a symbolic link stands for a folder, by which the files of two documents may be one: %s", told))
}

// linksTold is how many links are named.
const linksTold = 5

func findLinks(ctx context.Context, dir string, depth int, found func(path string)) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	f, err := os.Open(dir)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return nil // Put looks again
	}
	if err != nil {
		return err
	}
	defer f.Close()
	return eachEntry(f, func(entry fs.DirEntry) error {
		path := filepath.Join(dir, entry.Name())
		switch {
		case entry.Type()&fs.ModeSymlink != 0:
			found(path)
		case entry.IsDir() && depth < foldersDeep:
			return findLinks(ctx, path, depth+1, found)
		}
		return nil
	})
}

// onTheWay names the link below a root because of which a file could not be opened:
// what leads out of the root is not followed, whoever made it. The error is given
// back as it is where there is none.
func onTheWay(root *os.Root, path string, err error) error {
	if err == nil || missing(err) {
		return err
	}
	for _, above := range parents(path) {
		info, lerr := root.Lstat(above)
		if lerr != nil {
			return err
		}
		if info.Mode()&fs.ModeSymlink == 0 {
			continue
		}
		target, lerr := root.Readlink(above)
		if lerr != nil {
			return err
		}
		return &leadsOut{link: filepath.Join(root.Name(), above), target: target}
	}
	return err
}

// leadsOut is a link below a root that is not followed.
type leadsOut struct{ link, target string }

func (l *leadsOut) Error() string {
	return fmt.Sprintf("%s is a symbolic link, to %s, and a link below the archive's root is not followed out of it", l.link, l.target)
}

func (l *leadsOut) mend() string {
	return fmt.Sprintf("mount the directory in the link's place: rm %s; mkdir %s; mount --bind %s %s", l.link, l.link, l.target, l.link)
}
