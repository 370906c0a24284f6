package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"os"
	"path"
	"slices"
	"strings"
	"time"
)

// file is a file of an archive.
type file struct {
	path string      // with slashes, relative
	mode os.FileMode // with os.ModeSymlink for a link
	data []byte      // of a link: where it leads to
}

func sortFiles(files []file) {
	slices.SortFunc(files, func(a, b file) int { return strings.Compare(a.path, b.path) })
}

// ownedFolder is a folder of an archive that is not like the others, which are
// root's, for everybody to read.
type ownedFolder struct {
	path string // with slashes, relative
	mode int64  // with the sticky bit, as tar has it
	user int    // and the group of the same number
}

// tarball packs files below a folder, "" for none. All of them are root's and
// have the same time; the order is that of their paths, behind the owned folders.
func tarball(folder string, files []file, when time.Time, owned ...ownedFolder) ([]byte, error) {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	files = slices.Clone(files)
	sortFiles(files)
	made := map[string]bool{}
	for _, o := range owned {
		if err := makeOwned(w, o, made, when); err != nil {
			return nil, err
		}
	}
	for _, f := range files {
		name := path.Join(folder, f.path)
		if err := makeFolders(w, path.Dir(name), made, when); err != nil {
			return nil, err
		}
		header := header(name, f.mode, when)
		header.Typeflag, header.Size = tar.TypeReg, int64(len(f.data))
		content := f.data
		if f.mode&os.ModeSymlink != 0 {
			header.Typeflag, header.Linkname, header.Size = tar.TypeSymlink, string(f.data), 0
			content = nil
		}
		if err := w.WriteHeader(header); err != nil {
			return nil, err
		}
		if _, err := w.Write(content); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return gzipped(out.Bytes())
}

func makeOwned(w *tar.Writer, o ownedFolder, made map[string]bool, when time.Time) error {
	if err := makeFolders(w, path.Dir(o.path), made, when); err != nil {
		return err
	}
	made[o.path] = true
	header := header(o.path+"/", 0, when)
	header.Typeflag, header.Mode, header.Uid, header.Gid = tar.TypeDir, o.mode, o.user, o.user
	header.Uname, header.Gname = "", ""
	return w.WriteHeader(header)
}

func makeFolders(w *tar.Writer, name string, made map[string]bool, when time.Time) error {
	if name == "." || made[name] {
		return nil
	}
	if err := makeFolders(w, path.Dir(name), made, when); err != nil {
		return err
	}
	made[name] = true
	header := header(name+"/", 0o755, when)
	header.Typeflag = tar.TypeDir
	return w.WriteHeader(header)
}

func header(name string, mode os.FileMode, when time.Time) *tar.Header {
	return &tar.Header{Name: name, Mode: int64(mode.Perm()), ModTime: when.UTC().Truncate(time.Second), Uname: "root", Gname: "root", Format: tar.FormatUSTAR}
}

// gzipped is data as gzip -9n packs it: without name and time.
func gzipped(data []byte) ([]byte, error) {
	var out bytes.Buffer
	w, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	_, err = w.Write(data)
	err = errors.Join(err, w.Close())
	return out.Bytes(), err
}
