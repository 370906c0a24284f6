package localfs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/kedge/kedge/drivers"
)

// TestSyncShares checks that callers share syncs, and that each is covered by
// one that began after its call.
func TestSyncShares(t *testing.T) {
	s := openTemp(t)
	var begun, ended atomic.Int64
	entered, release := make(chan struct{}, 100), make(chan struct{})
	s.sync.whole = func() error {
		begun.Add(1)
		entered <- struct{}{}
		<-release
		ended.Add(1)
		return nil
	}
	var first, others sync.WaitGroup
	call := func() {
		seen := begun.Load() // a sync that has begun may not cover this caller
		if err := s.Sync(t.Context()); err != nil {
			t.Error(err)
		}
		if done := ended.Load(); done <= seen {
			t.Errorf("returned after %d syncs, %d of which had begun before", done, seen)
		}
	}
	first.Go(call)
	<-entered
	for range 50 {
		others.Go(call)
	}
	for s.waiting() == nil { // until somebody waits for the next one
		runtime.Gosched()
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Sync(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("with a cancelled context: %v", err)
	}
	close(release)
	first.Wait()
	others.Wait()
	if n := begun.Load(); n < 2 || n > 51 {
		t.Errorf("%d syncs for 51 callers", n)
	}
}

// waiting gives the sync that is to follow the one under way.
func (s *Store) waiting() *flight {
	s.sync.mu.Lock()
	defer s.sync.mu.Unlock()
	return s.sync.next
}

// TestSyncFailureStays checks that a lost write is told to everybody: the one
// whose file it was may ask later.
func TestSyncFailureStays(t *testing.T) {
	s := openTemp(t)
	fails := true
	s.sync.whole = func() error {
		if fails {
			fails = false
			return syscall.EIO
		}
		return nil
	}
	for range 3 {
		err := s.Sync(t.Context())
		if !errors.Is(err, syscall.EIO) || drivers.KindOf(err) != drivers.Other || !strings.Contains(err.Error(), s.Place()) {
			t.Errorf("sync: %v", err)
		}
	}
}

// TestSyncEach checks that each file that a sync of the whole file system does
// not cover is synced by itself, deleted ones apart, and that not too many wait.
func TestSyncEach(t *testing.T) {
	s := openTemp(t)
	s.sync.whole = nil
	var uris []string
	for i := range maxPaths + 10 {
		uri, err := s.URI(drivers.Key{UserID: "admin", Bucket: "b", ArchiveID: fmt.Sprint(i)})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Put(t.Context(), uri, drivers.InMemory([]byte("x"), "")); err != nil {
			t.Fatal(err)
		}
		uris = append(uris, uri)
		if n := len(s.sync.paths); n > maxPaths {
			t.Fatalf("%d files wait", n)
		}
	}
	if n := len(s.sync.paths); n != 10 {
		t.Errorf("%d files wait, want the last 10", n)
	}
	if err := s.Delete(t.Context(), uris[maxPaths]); err != nil {
		t.Fatal(err)
	}
	if err := s.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := len(s.sync.paths); n != 0 {
		t.Errorf("%d files wait after a sync", n)
	}
	// A file that cannot be synced makes Sync fail.
	s.sync.remember("not\x00possible")
	if err := s.Sync(t.Context()); err == nil {
		t.Error("a file that could not be synced passes")
	}
}

// TestWholeSync checks that syncing the whole file system is used here, on any
// Linux of today, and that it works.
func TestWholeSync(t *testing.T) {
	s := openTemp(t)
	if s.sync.whole == nil {
		if _, err := os.Stat("/proc/sys/kernel/osrelease"); err == nil {
			t.Fatal("not used on this Linux")
		}
		return
	}
	if covered, err := s.sync.covers(rooted{s.root}); err != nil || !covered {
		t.Errorf("the root is not covered: %v", err)
	}
	if err := s.sync.whole(); err != nil {
		t.Error(err)
	}
}
