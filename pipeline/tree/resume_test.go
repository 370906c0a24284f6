package tree

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/kedge/kedge/pipeline/canary"
)

// A run that was interrupted goes on: nothing that was done is listed, read or
// put again.
func TestResumeDoesNotListFromTheStart(t *testing.T) {
	content := shop(1200)
	r := newRig(t, content)
	r.o.Workers = 4
	ctx, kill := context.WithCancel(t.Context())
	puts := 0
	r.dst.before = func(op, path string) error {
		if op == "put" && strings.Contains(path, "/_layers/") {
			if puts++; puts == 600 {
				kill()
			}
		}
		return nil
	}
	if _, err := Run(ctx, nil, r.o); !errors.Is(err, context.Canceled) {
		t.Fatalf("%v", err)
	}
	r.dst.before = nil
	r.src.done, r.dst.done = nil, nil
	result := r.run(t)
	if !result.Complete || !result.Resumed || result.Counts.Moved() != int64(len(content)) {
		t.Errorf("%+v", result)
	}
	holds(t, r.to, content)
	blobs, links, behindStart := 0, 0, 0
	for _, done := range r.dst.done {
		op, path, _ := strings.Cut(done, " ")
		switch {
		case op == "put" && classify(path).class == classBlob:
			blobs++
		case op == "put" && classify(path).class == classLayer:
			links++
		case op == "list" && strings.Contains(path, "/_layers/"):
			behindStart++
		}
	}
	// At most what was in flight is done again: a page for each range.
	if blobs != 0 || links > 1200-600+pageFiles+4 {
		t.Errorf("%d blobs and %d layer links were put again", blobs, links)
	}
	if behindStart == 0 {
		t.Error("no listing began behind a layer link")
	}
}

// A first interrupt ends the run with what is in flight done; the next goes on.
func TestInterrupted(t *testing.T) {
	content := shop(600)
	r := newRig(t, content)
	stop := make(chan struct{})
	var once sync.Once
	r.dst.before = func(op, path string) error {
		if op == "put" && strings.Contains(path, "/blobs/") {
			once.Do(func() { close(stop) })
		}
		return nil
	}
	result, err := Run(t.Context(), stop, r.o)
	if err != nil || !result.Interrupted || result.Complete || result.Counts.Blobs == 0 || result.Counts.Links != 0 {
		t.Fatalf("%+v, %v", result, err)
	}
	result = r.run(t)
	if !result.Complete || !result.Resumed {
		t.Errorf("%+v", result)
	}
	holds(t, r.to, content)
	holds(t, r.from, nil)
}

// noDangling demands that every link in a folder names a blob that is there.
func noDangling(t *testing.T, folder string) {
	t.Helper()
	err := filepath.WalkDir(folder, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		if !classify(strings.TrimPrefix(path, folder+"/")).class.link() {
			return nil
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		target, err := parseLink(content)
		if err != nil {
			return err
		}
		if _, err := os.Stat(filepath.Join(folder, target.blobPath())); err != nil {
			t.Errorf("%s names a blob that is not there", path)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// A run that is ended anywhere leaves no link without its blob, on neither side,
// and the next one finishes.
func TestEndedAnywhere(t *testing.T) {
	content := shop(20)
	for seed := range uint64(4) {
		random := rand.New(rand.NewPCG(seed, 0))
		r := newRig(t, content)
		for try := 0; ; try++ {
			ctx, kill := context.WithCancel(t.Context())
			var mu sync.Mutex
			left := random.IntN(600)
			before := func(string, string) error {
				mu.Lock()
				defer mu.Unlock()
				if left--; left == 0 {
					kill()
				}
				return nil
			}
			r.src.before, r.dst.before = before, before
			result, err := Run(ctx, nil, r.o)
			kill()
			noDangling(t, r.from)
			noDangling(t, r.to)
			if err == nil && result.Complete {
				break
			}
			if !errors.Is(err, context.Canceled) {
				t.Fatalf("seed %d, try %d: %+v, %v", seed, try, result, err)
			}
		}
		holds(t, r.to, content)
		holds(t, r.from, nil)
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

// What deletes at the source deletes at the destination: the first file shows it, is put
// back, and nothing else is deleted, in this run or in the next.
func TestDeletionsThatAreCarriedOn(t *testing.T) {
	content := shop(20)
	r := newRig(t, content)
	r.src.before = func(op, path string) error {
		if op == "delete" {
			return os.Remove(filepath.Join(r.to, strings.TrimPrefix(path, "/")))
		}
		return nil
	}
	for range 2 {
		var lost *canary.LostError
		if _, err := Run(t.Context(), nil, r.o); !errors.As(err, &lost) || lost.Kept == "" || lost.Err != nil || lost.Others {
			t.Fatal(err)
		}
		holds(t, r.to, content)
		holds(t, r.from, content)
	}
	r.src.before = nil
	r.run(t)
	holds(t, r.to, content)
	holds(t, r.from, nil)
	if left, _ := filepath.Glob(r.o.Checkpoint + "*.canary*"); left != nil {
		t.Error(left)
	}
}

// Nobody looks for the probe at the source before it is put: a mount that remembers what was
// not there would hide that both are one place.
func TestTheProbeIsPutBeforeTheSourceIsLookedAt(t *testing.T) {
	r := newRig(t, shop(1))
	var put atomic.Bool
	r.dst.before = func(op, path string) error {
		if op == "put" && strings.HasSuffix(path, probePath) {
			put.Store(true)
		}
		return nil
	}
	r.src.before = func(op, path string) error {
		if !put.Load() && strings.HasSuffix(path, probePath) {
			t.Errorf("%s %s before it was put", op, path)
		}
		return nil
	}
	r.run(t)
	if !put.Load() {
		t.Error("no probe was put")
	}
}
