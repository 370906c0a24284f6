package localfs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"sync/atomic"
	"syscall"

	"github.com/kedge/kedge/drivers"
)

// stagingDir lies under a tree's root. Whoever reads the tree looks further
// down.
const stagingDir = ".kedge-part"

// staging is where the files of a tree are written. The names in it depend on
// the targets alone, so that what a killed run has left is replaced by the next
// attempt.
type staging struct {
	root  *os.Root
	owner *owner
	// elsewhere: some directories of the tree are on another file system, to
	// which nothing can be renamed: files are then written beside their places.
	elsewhere atomic.Bool
}

// stagedName is the name in stagingDir of a file on its way to loc.
func stagedName(loc location) string { return md5Hex(loc.path()) }

// branchName is the name in stagingDir of the directories that go with it.
func branchName(loc location) string { return md5Hex(loc.path()) + ".d" }

// usable says whether files are to be written there.
func (s *staging) usable() bool { return s != nil && !s.elsewhere.Load() }

// close removes the folder if nothing is in it.
func (s *staging) close() {
	if s != nil {
		_ = s.root.Remove(stagingDir) // not there, or still of use to a later run
	}
}

// stage makes the temporary file of a put into a tree.
func (p *put) stage() error {
	for range startAttempts {
		folder, err := p.store.openFolder(p.store.root, stagingDir)
		if errors.Is(err, fs.ErrNotExist) {
			if err := p.store.root.Mkdir(stagingDir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
				return p.fail("making the folder for temporary files", err)
			}
			continue
		}
		if err != nil {
			return p.fail("opening the folder for temporary files", err)
		}
		file, err := create(folder, stagedName(p.loc))
		if err == nil {
			err = p.store.owner.ofFile(file)
		}
		if err == nil {
			p.folder, p.file = folder, file
			return nil
		}
		if file != nil {
			_ = file.Close() // nothing was written
		}
		err = and(cause(err), folder.close())
		if !errors.Is(err, fs.ErrNotExist) {
			return p.fail("making the temporary file", err)
		}
	}
	return p.fail("making the folder for temporary files", fmt.Errorf("removed again by others %d times: %w", startAttempts, syscall.EAGAIN))
}

// place moves the temporary file to its place.
func (p *put) place() error {
	for range startAttempts {
		if err := p.ctx.Err(); err != nil {
			return p.fail("moving the temporary file to its place", err)
		}
		err := p.store.root.Rename(path.Join(stagingDir, stagedName(p.loc)), p.loc.path())
		if errors.Is(err, fs.ErrNotExist) && p.loc.dir != "." {
			err = p.placeBranch()
		}
		switch {
		case err == nil:
			return p.placed()
		case errors.Is(err, syscall.EXDEV):
			p.store.staging.elsewhere.Store(true)
			return &drivers.Error{Op: "put", URI: p.uri, Kind: drivers.Temporary, Err: errors.New("its directory is on another file system than the root: writing there directly from now on")}
		case !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrExist) && !errors.Is(err, syscall.ENOTEMPTY):
			return p.fail("moving the temporary file to its place", err)
		}
	}
	return p.fail("making the directories", fmt.Errorf("made and removed again by others %d times: %w", startAttempts, syscall.EAGAIN))
}

// placeBranch moves the file and the directories that are missing above it. An
// error that says "exists" or "not there" means that others were at work on the
// same directories.
func (p *put) placeBranch() (err error) {
	root := p.store.root
	missing, rest := p.loc.dir, ""
	for _, dir := range parents(p.loc.dir) {
		if _, serr := root.Lstat(dir); errors.Is(serr, fs.ErrNotExist) {
			missing, rest = dir, p.loc.dir[len(dir):]
			break
		}
	}
	branch := path.Join(stagingDir, branchName(p.loc))
	if err := root.RemoveAll(branch); err != nil {
		return err
	}
	staged, within := path.Join(stagingDir, stagedName(p.loc)), path.Join(branch+rest, p.loc.name)
	if err := p.makeBranch(branch, rest); err != nil {
		return err
	}
	if err := root.Rename(staged, within); err != nil {
		return err
	}
	if err = root.Rename(branch, missing); err == nil {
		return nil
	}
	if rerr := root.Rename(within, staged); rerr != nil {
		return rerr
	}
	if rerr := root.RemoveAll(branch); rerr != nil {
		return rerr
	}
	return err
}

// makeBranch makes the directory branch with those of rest ("/a/b") below it.
func (p *put) makeBranch(branch, rest string) error {
	for _, dir := range append([]string{branch}, below(branch, rest)...) {
		if err := p.store.root.Mkdir(dir, 0o755); err != nil {
			return err
		}
		if err := p.store.owner.ofDirectory(p.store.root, dir); err != nil {
			return err
		}
	}
	return nil
}

// below lists the directories of rest below dir, the uppermost first.
func below(dir, rest string) (dirs []string) {
	for i := 1; i <= len(rest); i++ {
		if i == len(rest) || rest[i] == '/' {
			dirs = append(dirs, dir+rest[:i])
		}
	}
	return dirs
}

// placed notes a file that syncing the root's file system does not cover.
func (p *put) placed() error {
	folder, err := p.store.openFolder(p.store.root, p.loc.dir)
	if err != nil {
		return p.fail("looking at the directory", err)
	}
	defer folder.close()
	covered, err := p.store.sync.covers(folder)
	if err != nil {
		return p.fail("looking at the directory", err)
	}
	if !covered {
		p.store.sync.remember(p.loc.path())
	}
	return nil
}
