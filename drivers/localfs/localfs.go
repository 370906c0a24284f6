// Package localfs keeps payloads as files, in the layout of Anchore Engine's
// driver of the same name:
//
//	{archive_data_dir}/{md5(userId)}/{bucket}/{md5(archiveId)[0:2]}/{md5(archiveId)}.json
//
// The driver writes a payload to a temporary file beside its place, checks it, and
// renames it. It syncs no file alone: Sync makes all of them durable at once.
package localfs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/internal/mounts"
)

// streamBytes is the size in bytes of the buffers through which streams pass.
const streamBytes = 256 << 10

// Options is the driver's configuration.
type Options struct {
	// ArchiveDataDir is the absolute path of the archive's root.
	ArchiveDataDir string `config:"archive_data_dir" doc:"Directory of the archive; absolute. A destination is created if it is not there. It must hold nothing but the archive." example:"/object_store"`
}

// Validate says what is wrong with the options by themselves, as an error of
// kind Config.
func (o Options) Validate() error {
	dir := o.ArchiveDataDir
	switch {
	case dir == "":
		return misconfigured("", "give the archive's root, an absolute path", errors.New("archive_data_dir is missing"))
	case strings.ContainsRune(dir, 0):
		return misconfigured("", "", fmt.Errorf("archive_data_dir %q holds a NUL byte", dir))
	case !strings.HasPrefix(dir, "/"):
		return misconfigured("", "give an absolute path", fmt.Errorf("archive_data_dir %q is relative", dir))
	}
	for _, part := range strings.Split(dir, "/") {
		if part == ".." {
			return misconfigured("", "write the path without it", fmt.Errorf("archive_data_dir %q holds \"..\"", dir))
		}
	}
	return nil
}

// Store is an archive in a directory. Its methods are safe for concurrent use.
// Two processes must not put under the same key at the same time.
type Store struct {
	prefix string // of every URI, with the slash at its end
	dir    string // the root, cleaned
	place  string
	root   *os.Root
	files  *beneath // of root
	sync   *syncer
	puts   keyLocks
	owner  *owner // nil where files keep the owner that they get
	tree   bool   // opened by OpenTree: any path is a file's
	// volatile is why files here may be gone after a restart.
	volatile string
	// staging is where a tree's files are written before they are moved to
	// their places; nil in an archive.
	staging *staging
}

// Open opens the archive. Where its root is missing, it is made when create is
// set, with its parents. A root in which anything lies that is not a user's
// directory is refused with kind Config, as Anchore refuses it at its start.
// A root that cannot be written to can be opened, and read from.
func Open(ctx context.Context, o Options, create bool) (*Store, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	return open(ctx, o.ArchiveDataDir, create, checkEntries)
}

// open opens a directory, which check may refuse.
func open(ctx context.Context, configured string, create bool, check func(dir string) error) (*Store, error) {
	dir := filepath.Clean(configured)
	uri := scheme + dir
	if err := ctx.Err(); err != nil {
		return nil, failure("open", uri, "opening the archive", err)
	}
	if create {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, openFailure(uri, "making the directory", err)
		}
	}
	if info, err := os.Stat(dir); err != nil {
		return nil, openFailure(uri, "looking for the directory", err)
	} else if !info.IsDir() {
		return nil, misconfigured(uri, "name a directory", errors.New("is not a directory"))
	}
	if err := check(dir); err != nil {
		return nil, err
	}
	real, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return nil, openFailure(uri, "resolving the path", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, openFailure(uri, "opening the directory", err)
	}
	syncer, err := newSyncer(root)
	if err != nil {
		return nil, openFailure(uri, "opening the directory", and(cause(err), root.Close()))
	}
	owner, err := ownerOf(root)
	if err != nil {
		return nil, openFailure(uri, "looking for its owner", and(cause(err), root.Close()))
	}
	files, err := newBeneath(root)
	if err != nil {
		return nil, openFailure(uri, "opening the directory", and(cause(err), and(syncer.close(), root.Close())))
	}
	return &Store{prefix: prefixOf(configured), dir: dir, place: scheme + real, root: root, files: files, sync: syncer, owner: owner, volatile: mounts.Volatile(real)}, nil
}

// checkEntries refuses a root with entries at which Anchore would refuse to
// start: whatever is not a directory whose name begins with 32 hex digits.
func checkEntries(dir string) error {
	uri := scheme + dir
	f, err := os.Open(dir)
	if err != nil {
		return openFailure(uri, "opening the directory", err)
	}
	defer f.Close()
	const named = 5
	var foreign []string
	count := 0
	err = eachEntry(f, func(entry fs.DirEntry) error {
		isDir := entry.IsDir()
		if entry.Type()&fs.ModeSymlink != 0 {
			target, err := os.Stat(filepath.Join(dir, entry.Name()))
			isDir = err == nil && target.IsDir()
		}
		if name := entry.Name(); isDir && len(name) >= 32 && isHex(name[:32]) {
			return nil
		}
		if count++; count <= named {
			foreign = append(foreign, fmt.Sprintf("%q", entry.Name()))
		}
		return nil
	})
	if err != nil {
		return openFailure(uri, "reading the directory", err)
	}
	if count == 0 {
		return nil
	}
	list := strings.Join(foreign, ", ")
	if count > named {
		list += fmt.Sprintf(" and %d more", count-named)
	}
	return misconfigured(uri, "Anchore refuses to start on such a directory: name the archive's own, or move these away",
		fmt.Errorf("holds what belongs to no archive: %s", list))
}

// Unmade is an archive whose root is not there yet, and is not made: only its
// names can be asked for (Name, Capabilities, Prefix, Scheme, Place, URI), and
// it can be closed. The nearest parent that is there must be a directory.
func Unmade(o Options) (*Store, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	dir := filepath.Clean(o.ArchiveDataDir)
	uri := scheme + dir
	parent, err := nearest(dir)
	if err != nil {
		return nil, openFailure(uri, "looking for the directory", err)
	}
	real, err := filepath.EvalSymlinks(parent)
	if err != nil {
		return nil, openFailure(uri, "resolving the path", err)
	}
	return &Store{prefix: prefixOf(o.ArchiveDataDir), dir: dir, place: scheme + filepath.Join(real, strings.TrimPrefix(dir, parent)), volatile: mounts.Volatile(real)}, nil
}

// URIPrefix is what every URI of the store begins with, as Store.Prefix tells it of
// an open one.
func (o Options) URIPrefix() string { return prefixOf(o.ArchiveDataDir) }

// prefixOf is what every URI begins with: as Python's os.path.join makes it,
// never cleaned.
func prefixOf(configured string) string {
	return scheme + strings.TrimSuffix(configured, "/") + "/"
}

// openFailure is an error of Open; a directory that is missing or not one is
// the configuration's fault.
func openFailure(uri, doing string, err error) error {
	failed := failure("open", uri, doing, err)
	if failed.Kind == drivers.NotFound {
		failed.Kind = drivers.Config
		failed.Mend = "is the path right, and the volume mounted?"
	}
	return failed
}

func misconfigured(uri, mend string, err error) error {
	return &drivers.Error{Op: "open", URI: uri, Kind: drivers.Config, Mend: mend, Err: err}
}

// Name is "localfs".
func (s *Store) Name() string { return "localfs" }

// Capabilities says what the store can do.
func (s *Store) Capabilities() drivers.Capabilities {
	return drivers.Capabilities{
		Compresses:  true,
		ParsesURI:   true,
		HashedPaths: true,
		Identifies:  true,
		NeedsSync:   true,
		Lists:       true,
		ListTells:   true,

		TakesUnhashed: s.staging == nil,
		StreamBytes:   streamBytes, GetStreamBytes: streamBytes,
		Workers:  8,
		Volatile: s.volatile,
	}
}

// Prefix is "file://" and the root as it was configured, with a slash.
func (s *Store) Prefix() string { return s.prefix }

// Scheme is "file://".
func (s *Store) Scheme() string { return scheme }

// Place is "file://" and the root with symbolic links resolved.
func (s *Store) Place() string { return s.place }

// Sync makes durable all payloads whose Put has returned. Once it has failed,
// the file system may have dropped anything written since the Sync before: it
// then fails for as long as the store is open.
func (s *Store) Sync(ctx context.Context) error {
	if err := s.sync.wait(ctx); err != nil {
		return failure("sync", s.place, "making the files durable", err)
	}
	return s.stillThere()
}

// stillThere fails when the root's path leads to another directory than the one
// that was opened (it was renamed, or something was mounted over it): files are
// being put where no URI leads.
func (s *Store) stillThere() error {
	opened, err := s.root.Stat(".")
	if err != nil {
		return failure("sync", s.place, "looking for the archive", err)
	}
	named, err := os.Stat(s.dir)
	if err != nil {
		return failure("sync", s.place, "looking for the archive", err)
	}
	if !os.SameFile(opened, named) {
		return &drivers.Error{Op: "sync", URI: s.place, Kind: drivers.Config, Err: errors.New("the directory was replaced by another one while it was in use")}
	}
	return nil
}

// Close waits for a Sync under way and gives the directory up.
func (s *Store) Close() error {
	if s.root == nil {
		return nil // Unmade
	}
	s.staging.close()
	if err := and(s.sync.close(), and(s.files.close(), s.root.Close())); err != nil {
		return failure("close", s.place, "closing the directory", err)
	}
	return nil
}
