package tree

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/kedge/kedge/checkpoint"
	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/drivers/localfs"
	"github.com/kedge/kedge/pipeline/failure"
)

// files writes files below a folder's docker/registry/v2.
func files(t *testing.T, folder string, content map[string]string) {
	t.Helper()
	for path, text := range content {
		path = filepath.Join(folder, root, "v2", path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// blobOf is the path and the digest of a blob.
func blobOf(content string) (path, digest string) {
	sum := sha256.Sum256([]byte(content))
	h := hex.EncodeToString(sum[:])
	return "blobs/sha256/" + h[:2] + "/" + h + "/data", "sha256:" + h
}

// shop is a small registry: n blobs, each a manifest with a tag of its own.
func shop(n int) map[string]string {
	content := map[string]string{}
	for i := range n {
		text := fmt.Sprint("blob ", i)
		path, d := blobOf(text)
		content[path] = text
		h := strings.TrimPrefix(d, "sha256:")
		repository := fmt.Sprintf("repositories/team%d/app", i%3)
		content[repository+"/_layers/sha256/"+h+"/link"] = d
		content[repository+"/_manifests/revisions/sha256/"+h+"/link"] = d
		content[fmt.Sprintf("%s/_manifests/tags/v%d/current/link", repository, i)] = d
		content[fmt.Sprintf("%s/_manifests/tags/v%d/index/sha256/%s/link", repository, i, h)] = d
	}
	return content
}

// spy notes what is done to a store, and does it through hooks.
type spy struct {
	*localfs.Store
	mu     sync.Mutex
	done   []string // operation and path, in order
	before func(op, path string) error
}

func (s *spy) note(op, path string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.done = append(s.done, op+" "+strings.TrimPrefix(path, s.Prefix()))
	if s.before != nil {
		return s.before(op, strings.TrimPrefix(path, s.Prefix()))
	}
	return nil
}

func (s *spy) Put(ctx context.Context, uri string, p drivers.Payload) (drivers.Receipt, error) {
	if err := s.note("put", uri); err != nil {
		return drivers.Receipt{}, err
	}
	return s.Store.Put(ctx, uri, p)
}

func (s *spy) Get(ctx context.Context, uri string) (io.ReadCloser, drivers.Info, error) {
	if err := s.note("get", uri); err != nil {
		return nil, drivers.Info{}, err
	}
	return s.Store.Get(ctx, uri)
}

func (s *spy) Delete(ctx context.Context, uri string) error {
	if err := s.note("delete", uri); err != nil {
		return err
	}
	return s.Store.Delete(ctx, uri)
}

func (s *spy) ListAfter(ctx context.Context, prefix, after string, fn func(string, drivers.Info) error) error {
	if err := s.note("list", after); err != nil {
		return err
	}
	return s.Store.ListAfter(ctx, prefix, after, fn)
}

func opened(t *testing.T, folder string) *spy {
	t.Helper()
	s, err := localfs.OpenTree(t.Context(), localfs.TreeOptions{RootDirectory: folder}, true)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return &spy{Store: s}
}

// rig is a migration between two folders.
type rig struct {
	from, to string
	o        Options
	src, dst *spy
}

func newRig(t *testing.T, content map[string]string) *rig {
	t.Helper()
	r := &rig{from: t.TempDir(), to: t.TempDir()}
	files(t, r.from, content)
	r.src, r.dst = opened(t, r.from), opened(t, r.to)
	r.o = Options{Source: r.src, Destination: r.dst, Checkpoint: filepath.Join(t.TempDir(), "checkpoint")}
	return r
}

func (r *rig) run(t *testing.T) Result {
	t.Helper()
	result, err := Run(t.Context(), nil, r.o)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

// holds demands that a folder has exactly these files.
func holds(t *testing.T, folder string, content map[string]string) {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(folder, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		found[strings.TrimPrefix(path, filepath.Join(folder, root, "v2")+"/")] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for path, text := range content {
		if got, ok := found[path]; !ok || got != text {
			t.Errorf("%s: %q, want %q", path, got, text)
		}
		delete(found, path)
	}
	for path := range found {
		t.Errorf("there is %s too", path)
	}
}

// rank is where a path belongs in the order of putting.
func rank(path string) int {
	switch p := classify(path); p.class {
	case classLayer:
		return 1
	case classRevision:
		return 2
	case classCurrent:
		return 3
	case classIndex:
		return 4
	default:
		return 0
	}
}

// Blobs are put before layer links, those before manifests, those before tags;
// and the source is emptied the other way round, after all was put.
func TestOrder(t *testing.T) {
	content := shop(150)
	r := newRig(t, content)
	result := r.run(t)
	if !result.Complete || result.Counts.Moved() != int64(len(content)) || result.Counts.Deleted != int64(len(content)) || result.Files != int64(len(content)) && result.Files != 0 {
		t.Errorf("%+v", result)
	}
	holds(t, r.to, content)
	holds(t, r.from, nil)
	for _, test := range []struct {
		spy  *spy
		op   string
		sign int
	}{{r.dst, "put ", 1}, {r.src, "delete ", -1}} {
		last, n := -5, 0
		for _, done := range test.spy.done {
			path, ok := strings.CutPrefix(done, test.op)
			if !ok || own(path) {
				continue
			}
			n++
			if now := rank(path) * test.sign; now < last {
				t.Fatalf("%s%s comes behind what it must come before", test.op, path)
			} else {
				last = now
			}
		}
		if n != len(content) {
			t.Errorf("%d times %s, want %d", n, test.op, len(content))
		}
	}
}

// What is written to the source during the run is noticed before anything is
// deleted there.
func TestSourceWrittenToMeanwhile(t *testing.T) {
	content := shop(50)
	r := newRig(t, content)
	late := shop(51)
	for path := range content {
		delete(late, path)
	}
	var once sync.Once
	r.dst.before = func(op, path string) error {
		if op == "put" && classify(path).class == classRevision {
			once.Do(func() { files(t, r.from, late) })
		}
		return nil
	}
	result := r.run(t)
	if result.Complete || !result.SourceKept || result.Counts.Deleted != 0 || len(result.Failures) != 1 || result.Failures[0].Class != ClassChanged {
		t.Errorf("%+v", result)
	}
	all := shop(51)
	holds(t, r.from, all)
	r.dst.before = nil
	if result = r.run(t); !result.Complete {
		t.Errorf("%+v", result)
	}
	holds(t, r.to, all)
	holds(t, r.from, nil)
}

// A tag that was given during the run to a manifest pushed during the run waits
// for the next one.
func TestTagMovedMeanwhile(t *testing.T) {
	content := shop(3)
	r := newRig(t, content)
	r.o.KeepSource = true
	path, d := blobOf("pushed later")
	tag := "repositories/team0/app/_manifests/tags/v0/current/link"
	var once sync.Once
	r.dst.before = func(op, p string) error {
		if op == "put" && classify(p).class == classRevision {
			once.Do(func() {
				files(t, r.from, map[string]string{path: "pushed later", "repositories/team0/app/_manifests/revisions/sha256/" + d[7:] + "/link": d, tag: d})
			})
		}
		return nil
	}
	result := r.run(t)
	if result.Failed != 1 || result.Failures[0].Class != ClassChanged || !strings.Contains(result.Failures[0].Examples[0].Reason, "run again") {
		t.Errorf("%+v", result)
	}
	if _, err := os.Stat(filepath.Join(r.to, root, "v2", tag)); err == nil {
		t.Error("the tag was made, without its manifest")
	}
	r.dst.before = nil
	if result = r.run(t); !result.Complete {
		t.Errorf("%+v", result)
	}
	if got, err := os.ReadFile(filepath.Join(r.to, root, "v2", tag)); err != nil || string(got) != d {
		t.Errorf("the tag: %q, %v", got, err)
	}
}

// What the destination has lost, or has other bytes of, is put again; nothing is
// deleted at the source that the destination does not hold any more.
func TestDestinationTamperedWith(t *testing.T) {
	content := shop(20)
	r := newRig(t, content)
	r.o.KeepSource = true
	r.run(t)
	lost, _ := blobOf("blob 3")
	changed, _ := blobOf("blob 4")
	longer, _ := blobOf("blob 5")
	if err := os.Remove(filepath.Join(r.to, root, "v2", lost)); err != nil {
		t.Fatal(err)
	}
	files(t, r.to, map[string]string{changed: "blub 4", longer: "blob 5 and more"})
	result := r.run(t)
	if !result.Complete || result.Counts.AlreadyThere != int64(len(content)-3) {
		t.Errorf("%+v", result)
	}
	holds(t, r.to, content)

	r.o.KeepSource = false
	var once sync.Once
	r.src.before = func(op, path string) error {
		if op == "delete" && rank(path) == 4 {
			once.Do(func() { _ = os.Remove(filepath.Join(r.to, root, "v2", lost)) })
		}
		return nil
	}
	result = r.run(t)
	if result.Complete || result.Failed != 1 || result.Failures[0].Class != failure.ClassDelete {
		t.Errorf("%+v", result)
	}
	if got, err := os.ReadFile(filepath.Join(r.from, root, "v2", lost)); err != nil || string(got) != "blob 3" {
		t.Errorf("the source's blob: %q, %v", got, err)
	}
}

// A store that fails file after file ends the run; a checkpoint is one
// migration's.
func TestGivesUp(t *testing.T) {
	r := newRig(t, shop(200))
	r.o.MaxBackendFailures = 20
	r.dst.before = func(op, path string) error {
		if op == "put" && !own(path) {
			return &drivers.Error{Op: "put", URI: path, Kind: drivers.Full, Err: errors.New("full")}
		}
		return nil
	}
	result, err := Run(t.Context(), nil, r.o)
	var gaveUp *failure.GaveUpError
	if !errors.As(err, &gaveUp) || result.Complete {
		t.Errorf("%+v, %v", result, err)
	}
	other := newRig(t, nil)
	other.o.Checkpoint = r.o.Checkpoint
	var mismatch *checkpoint.MismatchError
	if _, err := Run(t.Context(), nil, other.o); !errors.As(err, &mismatch) {
		t.Errorf("another migration's checkpoint: %v", err)
	}
	s, err := openState(r.o.Checkpoint, Identity(r.o))
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	var inUse *checkpoint.InUseError
	if _, err := Run(t.Context(), nil, r.o); !errors.As(err, &inUse) {
		t.Errorf("a checkpoint in use: %v", err)
	}
}

// Files that are no blob and no link are moved as they are, and again when they
// have changed.
func TestOtherFiles(t *testing.T) {
	content := map[string]string{"notes": "one", "blobs/sha256/README": "two", "repositories/a/_manifests/x.tmp": "", "../../../docker/registry/v1/old": "three"}
	r := newRig(t, content)
	r.o.KeepSource = true
	if result := r.run(t); !result.Complete || result.Counts.Others != 4 {
		t.Errorf("%+v", result)
	}
	content["notes"] = "une"
	files(t, r.from, map[string]string{"notes": "une"})
	if result := r.run(t); !result.Complete || result.Counts.AlreadyThere != 3 {
		t.Errorf("%+v", result)
	}
	if got, err := os.ReadFile(filepath.Join(r.to, root, "v2/notes")); err != nil || string(got) != "une" {
		t.Errorf("%q, %v", got, err)
	}
	r.o.KeepSource = false
	if result := r.run(t); !result.Complete {
		t.Errorf("%+v", result)
	}
	holds(t, r.from, nil)
}
