package tree

import (
	"context"
	"io"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/drivers/localfs"
	"github.com/kedge/kedge/pipeline/failure"
)

// caseless is a folder that takes names which differ only in case for one, and
// lists them as they were put first, as SMB, vfat and macOS do. No file system of
// that kind can be mounted wherever the tests run; the one that can lists all in
// small letters.
type caseless struct {
	*localfs.Store
	folder string
}

// spelled is a URI as its folders and its file are spelled on disk.
func (c caseless) spelled(uri string) string {
	dir, as := c.folder, strings.TrimSuffix(c.Prefix(), "/")
	for part := range strings.SplitSeq(strings.TrimPrefix(uri, c.Prefix()), "/") {
		entries, _ := os.ReadDir(dir)
		for _, e := range entries {
			if strings.EqualFold(e.Name(), part) {
				part = e.Name()
				break
			}
		}
		dir, as = filepath.Join(dir, part), as+"/"+part
	}
	return as
}

func (c caseless) Put(ctx context.Context, uri string, p drivers.Payload) (drivers.Receipt, error) {
	return c.Store.Put(ctx, c.spelled(uri), p)
}

func (c caseless) Get(ctx context.Context, uri string) (io.ReadCloser, drivers.Info, error) {
	return c.Store.Get(ctx, c.spelled(uri))
}

func (c caseless) Stat(ctx context.Context, uri string) (drivers.Info, error) {
	return c.Store.Stat(ctx, c.spelled(uri))
}

func (c caseless) Delete(ctx context.Context, uri string) error {
	return c.Store.Delete(ctx, c.spelled(uri))
}

// Of names that differ only in case one moves, always the same, and what is below
// the other stays and is named; also when the source has the one no more.
func TestNamesThatTheDestinationDoesNotTellApart(t *testing.T) {
	first, last := t.TempDir(), t.TempDir()
	content := shop(6)
	var blobs []string
	for i := range 3 {
		_, d := blobOf([]string{"blob 0", "blob 3", "blob 1"}[i])
		blobs = append(blobs, d)
	}
	tags := "repositories/team0/app/_manifests/tags/"
	maps.Copy(content, map[string]string{
		tags + "Latest/current/link": blobs[0], tags + "latest/current/link": blobs[1],
		"repositories/team1/App/_layers/sha256/" + strings.TrimPrefix(blobs[2], "sha256:") + "/link": blobs[2],
	})
	files(t, first, content)
	src, err := localfs.OpenTree(t.Context(), localfs.TreeOptions{RootDirectory: first}, false)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	dst, err := localfs.OpenTree(t.Context(), localfs.TreeOptions{RootDirectory: last}, true)
	if err != nil {
		t.Fatal(err)
	}
	defer dst.Close()
	state := filepath.Join(t.TempDir(), "state")
	run := func() Result {
		t.Helper()
		r, err := Run(t.Context(), nil, Options{Source: src, Destination: caseless{dst, last}, Checkpoint: state})
		if err != nil {
			t.Fatal(err)
		}
		if r.Complete || len(r.Failures) != 1 || r.Failures[0].Class != failure.ClassPlaceTaken {
			t.Errorf("the run: %+v", r)
		}
		return r
	}
	tag := func() string {
		t.Helper()
		text, err := os.ReadFile(filepath.Join(last, root, "v2", tags, "Latest/current/link"))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	for range 2 {
		run()
		if got := tag(); got != blobs[0] {
			t.Errorf("the tag is %s, want %s", got, blobs[0])
		}
		if _, err := os.Stat(filepath.Join(last, root, "v2/repositories/team1/App")); err != nil {
			t.Error(err)
		}
	}
	// As after a run that emptied the source: the place is at the destination.
	if err := os.RemoveAll(filepath.Join(first, root, "v2", tags, "Latest")); err != nil {
		t.Fatal(err)
	}
	if r := run(); r.Failures[0].Count == 0 || tag() != blobs[0] {
		t.Errorf("the tag is %s, want %s; %+v", tag(), blobs[0], r)
	}
}
