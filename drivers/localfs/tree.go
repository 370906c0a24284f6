package localfs

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/kedge/kedge/drivers"
)

// TreeOptions are the options of a registry's driver filesystem.
type TreeOptions struct {
	// RootDirectory is the absolute path of the tree's root.
	RootDirectory string `config:"rootdirectory" default:"/var/lib/registry" doc:"Directory of the registry's storage; absolute. A destination is created if it is not there." example:"/var/lib/registry"`
	// MaxThreads bounds the registry's own threads and means nothing here.
	MaxThreads string `config:"maxthreads" default:"100" doc:"How many file operations the registry makes at once; of no effect on kedge." example:"100"`
}

// DefaultTreeOptions are what the registry assumes.
func DefaultTreeOptions() TreeOptions { return TreeOptions{RootDirectory: "/var/lib/registry"} }

// Validate says what is wrong with the options by themselves, as an error of
// kind Config.
func (o TreeOptions) Validate() error {
	dir := o.RootDirectory
	switch {
	case dir == "":
		return misconfigured("", "give an absolute path", errors.New("rootdirectory is empty"))
	case strings.ContainsRune(dir, 0):
		return misconfigured("", "", fmt.Errorf("rootdirectory %q holds a NUL byte", dir))
	case !strings.HasPrefix(dir, "/"):
		return misconfigured("", "give an absolute path: kedge does not run in the registry's folder", fmt.Errorf("rootdirectory %q is relative", dir))
	}
	return nil
}

// OpenTree opens a directory as a tree of files with paths of its own making
// (drivers.Tree). Where the root is missing, it is made when create is set, with
// its parents. Keys of documents are refused, and so is List: there are none.
//
// A file appears at its place together with the directories that were missing
// above it, by one rename: whoever lists a directory never finds one that has
// no file yet.
func OpenTree(ctx context.Context, o TreeOptions, create bool) (*Store, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	s, err := open(ctx, filepath.Clean(o.RootDirectory), create, func(string) error { return nil })
	if err != nil {
		return nil, err
	}
	s.tree, s.staging = true, &staging{root: s.root, owner: s.owner}
	return s, nil
}

var _ drivers.Tree = (*Store)(nil)

// PathURI gives "file://", the root and the path.
func (s *Store) PathURI(path string) (string, error) {
	uri := s.prefix + path
	if !s.tree {
		return "", &drivers.Error{Op: "uri", URI: uri, Kind: drivers.InvalidKey, Err: errors.New("the directory was opened as an archive of documents")}
	}
	if _, err := s.locateTree("uri", uri); err != nil {
		return "", err
	}
	return uri, nil
}

// locate takes a URI apart: of an archive's document, or of a tree's file.
func (s *Store) locate(op, uri string) (location, error) {
	if s.tree {
		return s.locateTree(op, uri)
	}
	return locate(op, uri)
}

func (s *Store) locateTree(op, uri string) (location, error) {
	refuse := func(reason string) (location, error) {
		return location{}, &drivers.Error{Op: op, URI: uri, Kind: drivers.InvalidKey, Err: errors.New(reason)}
	}
	path, ok := strings.CutPrefix(uri, s.prefix)
	switch {
	case !ok:
		return refuse("does not lie below " + s.prefix)
	case strings.ContainsRune(path, 0):
		return refuse("holds a NUL byte")
	case len(uri)-len(scheme) > maxPath:
		return refuse(fmt.Sprintf("a path of more than %d bytes", maxPath))
	}
	for part := range strings.SplitSeq(path, "/") {
		switch {
		case part == "" || part == "." || part == "..":
			return refuse("has an empty, \".\" or \"..\" component")
		case len(part) > maxName:
			return refuse(fmt.Sprintf("a name of %d bytes, a file name has at most %d", len(part), maxName))
		}
	}
	loc := location{root: s.dir, dir: ".", name: path}
	if i := strings.LastIndexByte(path, '/'); i >= 0 {
		loc.dir, loc.name = path[:i], path[i+1:]
	}
	return loc, nil
}
