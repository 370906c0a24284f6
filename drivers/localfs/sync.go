package localfs

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path"
	"sync"
	"syscall"

	"golang.org/x/sync/errgroup"
)

// syncer makes written files durable, many at once. Callers who come while a
// sync is under way share the next one: each is covered by a sync that started
// after it had called.
//
// Where the operating system can sync a whole file system and reports what it
// could not write, that is done (see whole); otherwise, and for files on
// another file system than the root's, each file and its directories are
// synced.
type syncer struct {
	root   *os.Root
	device uint64       // of the root
	whole  func() error // syncs the root's file system; nil where that is not to be trusted
	end    func() error // ends the use of whole

	mu      sync.Mutex
	current *flight
	next    *flight
	broken  error               // why no Sync can succeed any more
	paths   map[string]struct{} // files under the root that whole does not cover
	running sync.WaitGroup
}

// maxPaths bounds how many files wait to be synced one by one.
const maxPaths = 4096

// flight is one sync, and those who wait for it.
type flight struct {
	done chan struct{}
	err  error
}

func newSyncer(root *os.Root) (*syncer, error) {
	device, err := deviceOf(root)
	if err != nil {
		return nil, err
	}
	s := &syncer{root: root, device: device, paths: map[string]struct{}{}}
	s.whole, s.end, err = wholeSync(root)
	return s, err
}

// deviceOf tells which file system a directory is on. Directories are asked,
// never files: an overlay reports other numbers for them.
func deviceOf(dir *os.Root) (uint64, error) {
	info, err := dir.Stat(".")
	if err != nil {
		return 0, err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, errors.New("the operating system does not tell the device")
	}
	return uint64(stat.Dev), nil //nolint:unconvert // its type differs between systems
}

// covers says whether files in this directory are made durable by syncing the
// whole file system.
func (s *syncer) covers(dir folder) (bool, error) {
	if s.whole == nil {
		return false, nil
	}
	device, err := dir.device()
	return device == s.device, err
}

// remember notes a file that must be synced by itself.
func (s *syncer) remember(path string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.paths[path] = struct{}{}
}

// makeRoom syncs when too many files wait for it.
func (s *syncer) makeRoom(ctx context.Context) error {
	s.mu.Lock()
	full := len(s.paths) >= maxPaths
	s.mu.Unlock()
	if !full {
		return nil
	}
	return s.wait(ctx)
}

// wait returns when a sync that started after the call has ended, or when ctx
// is done.
func (s *syncer) wait(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	f := s.board()
	select {
	case <-f.done:
		return f.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// board gives the flight that will cover the caller, and starts it when none is
// under way.
func (s *syncer) board() *flight {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current == nil {
		s.current = &flight{done: make(chan struct{})}
		s.running.Go(s.fly)
		return s.current
	}
	if s.next == nil {
		s.next = &flight{done: make(chan struct{})}
	}
	return s.next
}

// fly runs flights until nobody waits for another one.
func (s *syncer) fly() {
	for {
		s.mu.Lock()
		f, paths, err := s.current, s.paths, s.broken
		s.paths = map[string]struct{}{}
		s.mu.Unlock()
		if err == nil {
			err = s.sync(paths)
		}
		s.mu.Lock()
		if err != nil && s.broken == nil {
			// The system reports a lost write once, whoever asks first. The
			// next one to ask may be the one whose file it was.
			s.broken = err
		}
		f.err = err
		s.current, s.next = s.next, nil
		last := s.current == nil
		s.mu.Unlock()
		close(f.done)
		if last {
			return
		}
	}
}

func (s *syncer) sync(paths map[string]struct{}) error {
	if s.whole != nil {
		if err := s.whole(); err != nil {
			return err
		}
	}
	return s.syncEach(paths)
}

// syncEach syncs files, and then the directories above them.
func (s *syncer) syncEach(paths map[string]struct{}) error {
	dirs := map[string]struct{}{}
	for file := range paths {
		for _, dir := range parents(path.Dir(file)) {
			dirs[dir] = struct{}{}
		}
		dirs["."] = struct{}{}
	}
	for _, names := range []map[string]struct{}{paths, dirs} {
		var group errgroup.Group
		group.SetLimit(8) // a journal commits many at once
		for name := range names {
			group.Go(func() error { return s.syncOne(name) })
		}
		if err := group.Wait(); err != nil {
			return err
		}
	}
	return nil
}

func (s *syncer) syncOne(name string) error {
	f, err := s.root.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // deleted meanwhile
	}
	if err != nil {
		return err
	}
	return and(f.Sync(), f.Close())
}

// close waits for the sync under way.
func (s *syncer) close() error {
	s.running.Wait()
	return s.end()
}
