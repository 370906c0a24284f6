package localfs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/kedge/kedge/drivers"
)

// stuck is a payload that delivers some bytes, says so, and then nothing until
// the context is done.
func stuck(head []byte, delivered chan<- struct{}) drivers.Payload {
	return drivers.Payload{Length: -1, Open: func(ctx context.Context) (io.ReadCloser, error) {
		return io.NopCloser(io.MultiReader(bytes.NewReader(head), readerFunc(func([]byte) (int, error) {
			close(delivered)
			<-ctx.Done()
			return 0, ctx.Err()
		}))), nil
	}}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// TestTemporaryFile checks where a payload lies while it is written, and what
// becomes of one that a killed run left.
func TestTemporaryFile(t *testing.T) {
	s := openTemp(t)
	uri, err := s.URI(drivers.Key{UserID: "admin", Bucket: "b", ArchiveID: "doc"})
	if err != nil {
		t.Fatal(err)
	}
	path := strings.TrimPrefix(uri, scheme)
	part := filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+partialSuffix)
	if err := os.MkdirAll(filepath.Dir(part), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(part, bytes.Repeat([]byte("left by a killed run"), 100), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.List(t.Context(), func(uri string, _ drivers.Info) error { return errors.New("listed " + uri) }); err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	delivered, done := make(chan struct{}), make(chan error)
	go func() {
		_, err := s.Put(ctx, uri, stuck([]byte("half"), delivered))
		done <- err
	}()
	<-delivered
	if b, err := os.ReadFile(part); err != nil || string(b) != "half" {
		t.Errorf("the temporary file holds %q, %v", b, err)
	}
	if root, err := os.ReadDir(s.dir); err != nil || len(root) != 1 {
		t.Errorf("the root holds %v, %v", root, err)
	}
	// Anchore starts on such a root.
	second, err := Open(t.Context(), Options{ArchiveDataDir: s.dir}, false)
	if err != nil {
		t.Errorf("open beside a Put under way: %v", err)
	} else if err := second.Close(); err != nil {
		t.Error(err)
	}
	// Another Put of the key waits, and can be called off.
	short, stop := context.WithCancel(t.Context())
	waiting := make(chan error)
	go func() {
		_, err := s.Put(short, uri, drivers.InMemory([]byte("second"), ""))
		waiting <- err
	}()
	stop()
	if err := <-waiting; !errors.Is(err, context.Canceled) {
		t.Errorf("a put that waited: %v", err)
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("put: %v", err)
	}
	if _, err := os.Stat(part); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the temporary file is still there: %v", err)
	}
	if len(s.puts.locks) != 0 {
		t.Errorf("%d keys still locked", len(s.puts.locks))
	}
	if _, err := s.Put(t.Context(), uri, drivers.InMemory([]byte("whole"), "")); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm()&^0o644 != 0 || info.Mode().Perm()&0o600 != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	// Delete takes with it what a killed Put left.
	if err := os.WriteFile(part, []byte("left"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := s.Delete(t.Context(), uri); err != nil {
		t.Fatal(err)
	}
	if left := entries(t, s.dir); len(left) != 0 {
		t.Errorf("left: %q", left)
	}
}

// TestFailedPutRemovesDirectories checks that a failed Put leaves no empty
// directory above its file, not even one that a killed Put has made, and removes
// no other.
func TestFailedPutRemovesDirectories(t *testing.T) {
	s := openTemp(t)
	for _, dir := range []string{"empty of another", "empty before"} {
		if err := os.MkdirAll(filepath.Join(s.dir, md5Hex("admin"), dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	before := slices.DeleteFunc(entries(t, s.dir), func(name string) bool { return strings.HasSuffix(name, "/empty before") })
	rotten := errors.New("rotten")
	for _, bucket := range []string{"empty before", "new"} {
		uri, err := s.URI(drivers.Key{UserID: "admin", Bucket: bucket, ArchiveID: "doc"})
		if err != nil {
			t.Fatal(err)
		}
		_, err = s.Put(t.Context(), uri, drivers.Payload{Length: -1, Open: func(context.Context) (io.ReadCloser, error) {
			return io.NopCloser(io.MultiReader(strings.NewReader("x"), readerFunc(func([]byte) (int, error) { return 0, rotten }))), nil
		}})
		if !errors.Is(err, rotten) {
			t.Errorf("put: %v", err)
		}
		if after := entries(t, s.dir); strings.Join(after, "\n") != strings.Join(before, "\n") {
			t.Errorf("before: %q\nafter: %q", before, after)
		}
	}
}

// TestSourceKind checks that the source's failure is not taken for one here.
func TestSourceKind(t *testing.T) {
	s := openTemp(t)
	uri, err := s.URI(drivers.Key{UserID: "admin", Bucket: "b", ArchiveID: "doc"})
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		err  error
		kind drivers.Kind
	}{
		{syscall.ENOSPC, drivers.Other},
		{&os.PathError{Op: "read", Path: "/source", Err: syscall.EACCES}, drivers.Other},
		{&drivers.Error{Op: "get", URI: "s3://b/k", Kind: drivers.Temporary, Err: io.ErrUnexpectedEOF}, drivers.Temporary},
	} {
		_, err = s.Put(t.Context(), uri, drivers.Payload{Length: 5, Open: func(context.Context) (io.ReadCloser, error) {
			return io.NopCloser(readerFunc(func([]byte) (int, error) { return 0, test.err })), nil
		}})
		if !errors.Is(err, test.err) || drivers.KindOf(err) != test.kind {
			t.Errorf("kind %d of %v, want %d", drivers.KindOf(err), err, test.kind)
		}
	}
}

// TestPutBesideDelete lets Puts make the directories that Deletes and failed
// Puts remove.
func TestPutBesideDelete(t *testing.T) {
	s := openTemp(t)
	var wg sync.WaitGroup
	for w := range 8 {
		uri, err := s.URI(drivers.Key{UserID: "admin", Bucket: "b", ArchiveID: fmt.Sprint(w)})
		if err != nil {
			t.Fatal(err)
		}
		// The same shard for all, so that they share every directory.
		uri = s.prefix + md5Hex("admin") + "/b/00/" + filepath.Base(uri)
		body := fmt.Appendf(nil, "body %d", w)
		wg.Go(func() {
			for i := range 300 {
				if i%3 == w%3 {
					_, err := s.Put(t.Context(), uri, drivers.Payload{Length: 1, Open: func(context.Context) (io.ReadCloser, error) {
						return io.NopCloser(strings.NewReader("too long")), nil
					}})
					if drivers.KindOf(err) != drivers.Corrupt {
						t.Errorf("put: %v", err)
					}
					continue
				}
				if _, err := s.Put(t.Context(), uri, drivers.InMemory(body, md5Hex(string(body)))); err != nil {
					t.Errorf("put: %v", err)
					return
				}
				if info, err := s.Stat(t.Context(), uri); err != nil || info.Bytes != int64(len(body)) {
					t.Errorf("stat: %+v, %v", info, err)
				}
				if err := s.Delete(t.Context(), uri); err != nil {
					t.Errorf("delete: %v", err)
				}
			}
		})
	}
	wg.Wait()
	if left := entries(t, s.dir); len(left) != 0 {
		t.Errorf("left: %q", left)
	}
}

// TestFileChanges checks that a reader delivers the announced length or fails.
func TestFileChanges(t *testing.T) {
	s := openTemp(t)
	uri, err := s.URI(drivers.Key{UserID: "admin", Bucket: "b", ArchiveID: "doc"})
	if err != nil {
		t.Fatal(err)
	}
	path := strings.TrimPrefix(uri, scheme)
	for name, length := range map[string]int64{"shrinks": 40, "grows": 160, "stays": 100} {
		if _, err := s.Put(t.Context(), uri, drivers.InMemory(make([]byte, 100), "")); err != nil {
			t.Fatal(err)
		}
		body, info, err := s.Get(t.Context(), uri)
		if err != nil || info.Bytes != 100 {
			t.Fatalf("get: %+v, %v", info, err)
		}
		if err := os.Truncate(path, length); err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(body)
		switch name {
		case "shrinks":
			if !errors.Is(err, io.ErrUnexpectedEOF) || drivers.KindOf(err) != drivers.Corrupt {
				t.Errorf("%s: %d bytes, %v", name, len(b), err)
			}
		case "grows":
			if drivers.KindOf(err) != drivers.Corrupt || len(b) > 100 {
				t.Errorf("%s: %d bytes, %v", name, len(b), err)
			}
		default:
			if err != nil || len(b) != 100 {
				t.Errorf("%s: %d bytes, %v", name, len(b), err)
			}
		}
		if err := body.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestNotAFile checks that what is no regular file is neither read nor waited
// for.
func TestNotAFile(t *testing.T) {
	s := openTemp(t)
	for name, plant := range map[string]func(path string) error{
		"directory":  func(path string) error { return os.Mkdir(path, 0o755) },
		"named pipe": func(path string) error { return syscall.Mkfifo(path, 0o644) },
	} {
		uri, err := s.URI(drivers.Key{UserID: "admin", Bucket: "b", ArchiveID: name})
		if err != nil {
			t.Fatal(err)
		}
		path := strings.TrimPrefix(uri, scheme)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), plant(path)); err != nil {
			t.Fatal(err)
		}
		if body, _, err := s.Get(t.Context(), uri); err == nil {
			body.Close()
			t.Errorf("%s: read", name)
		}
		if _, err := s.Stat(t.Context(), uri); err == nil {
			t.Errorf("%s: passes for a payload", name)
		}
		if err := s.List(t.Context(), func(uri string, _ drivers.Info) error { return errors.New("listed " + uri) }); err != nil {
			t.Error(err)
		}
	}
}

func TestClassify(t *testing.T) {
	for number, kind := range map[syscall.Errno]drivers.Kind{
		syscall.ENOENT: drivers.NotFound, syscall.ENOTDIR: drivers.NotFound,
		syscall.EACCES: drivers.Denied, syscall.EPERM: drivers.Denied, syscall.EROFS: drivers.Denied,
		syscall.ENOSPC: drivers.Full, syscall.EDQUOT: drivers.Full,
		syscall.ENAMETOOLONG: drivers.InvalidKey, syscall.EILSEQ: drivers.InvalidKey,
		syscall.EMFILE: drivers.Temporary, syscall.ENFILE: drivers.Temporary, syscall.ESTALE: drivers.Temporary,
		syscall.EFBIG: drivers.TooLarge, syscall.EIO: drivers.Other,
	} {
		for _, err := range []error{
			&os.PathError{Op: "openat", Path: "some/path", Err: number},
			&os.LinkError{Op: "renameat", Old: "some/path", New: "b", Err: number},
		} {
			got := failure("put", "file:///x", "writing", err)
			if got.Kind != kind || !errors.Is(got, number) || strings.Contains(got.Error(), "some/path") {
				t.Errorf("%v: kind %d, want %d: %v", number, got.Kind, kind, got)
			}
		}
	}
}
