package swift

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	ncw "github.com/ncw/swift/v2"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/internal/testenv"
)

func mustStream(t *testing.T, s *Store, uri string, body []byte, length int64) drivers.Receipt {
	t.Helper()
	receipt, err := s.Put(t.Context(), uri, streamOf(length, func() io.Reader { return bytes.NewReader(body) }))
	if err != nil {
		t.Fatal(err)
	}
	if info, err := s.Stat(t.Context(), uri); err != nil || receipt != (drivers.Receipt{Bytes: int64(len(body)), MD5: md5Hex(body), ProvenMD5: md5Hex(body), Version: info.Version}) {
		t.Errorf("receipt %+v, then %+v, %v", receipt, info, err)
	}
	return receipt
}

func wantObjects(t *testing.T, server *testenv.SwiftServer, container string, n int) {
	t.Helper()
	if names := server.Objects(t, container); len(names) != n {
		t.Errorf("%s holds %d objects, want %d: %q", container, len(names), n, names)
	}
}

// TestLargeObject puts 30 MB in segments of 5 MiB, replaces and deletes it.
func TestLargeObject(t *testing.T) {
	server := testenv.Swift(t)
	s := fresh(t, server)
	uri, body := uriOf(t, s, "large"), noise(1, 30_000_000)
	mustStream(t, s, uri, body, -1)
	wantObjects(t, server, s.segments, 6)
	mustHold(t, s, uri, body)
	if info, err := s.Stat(t.Context(), uri); err != nil || info.Bytes != 30_000_000 || info.MD5 != "" {
		t.Errorf("stat: %+v, %v", info, err)
	}
	listed := 0
	err := s.List(t.Context(), func(found string, info drivers.Info) error {
		listed++
		if found != uri || info.Bytes != 30_000_000 || info.MD5 != "" {
			t.Errorf("list: %q %+v", found, info)
		}
		return nil
	})
	if err != nil || listed != 1 {
		t.Errorf("%d listed, %v", listed, err)
	}

	other := noise(2, 11<<20)
	mustStream(t, s, uri, other, int64(len(other))) // by another large one
	wantObjects(t, server, s.segments, 3)
	mustHold(t, s, uri, other)
	mustPut(t, s, uri, []byte("small")) // by a small one
	wantObjects(t, server, s.segments, 0)
	mustHold(t, s, uri, []byte("small"))
	mustStream(t, s, uri, other, -1)
	mustPut(t, s, uri, noise(3, 1<<20)) // by a whole one for which it is asked first
	wantObjects(t, server, s.segments, 0)

	mustStream(t, s, uri, other, -1)
	if err := s.Delete(t.Context(), uri); err != nil {
		t.Fatal(err)
	}
	mustMiss(t, s, uri)
	wantObjects(t, server, s.segments, 0)
	wantObjects(t, server, s.container, 0)
}

// TestLargeFailed: what fails on the way leaves the old payload and no segment.
func TestLargeFailed(t *testing.T) {
	server := testenv.Swift(t)
	s := fresh(t, server)
	uri, old := uriOf(t, s, "large"), noise(1, 6<<20)
	mustStream(t, s, uri, old, -1)
	rotten := errors.New("rotten at its last byte")
	_, err := s.Put(t.Context(), uri, streamOf(-1, func() io.Reader {
		return io.MultiReader(bytes.NewReader(noise(2, 12<<20)), errorReader{rotten})
	}))
	if !errors.Is(err, rotten) {
		t.Errorf("got %v", err)
	}
	mustHold(t, s, uri, old)
	wantObjects(t, server, s.segments, 2)
}

type errorReader struct{ err error }

func (r errorReader) Read([]byte) (int, error) { return 0, r.err }

// TestTooManySegments: with an unknown length the limit shows only at the end.
func TestTooManySegments(t *testing.T) {
	server := testenv.Swift(t)
	s := fresh(t, server)
	s.server.maxSegments = 2
	uri := uriOf(t, s, "large")
	_, err := s.Put(t.Context(), uri, streamOf(-1, func() io.Reader { return bytes.NewReader(noise(1, 11<<20)) }))
	wantKind(t, err, drivers.TooLarge, "segment_size")
	wantObjects(t, server, s.segments, 0)
	mustStream(t, s, uri, noise(1, 11<<20), 11<<20) // a known one has longer segments
	wantObjects(t, server, s.segments, 2)
}

// TestAbortUploads removes what a killed process left of one object.
func TestAbortUploads(t *testing.T) {
	server := testenv.Swift(t)
	s := fresh(t, server)
	uri, sibling := uriOf(t, s, "large"), uriOf(t, s, "large/2")
	if err := s.AbortUploads(t.Context(), uri); err != nil {
		t.Errorf("without a container of segments: %v", err)
	}
	body := noise(1, 6<<20)
	mustStream(t, s, uri, body, -1) // in place
	leave := func(uri string) {
		loc, _ := split(uri)
		for i := range 3 {
			name := fmt.Sprintf("%skilled/%08d", segmentPrefix(loc), i)
			if err := server.Client().ObjectPutString(t.Context(), s.segments, name, "left", ""); err != nil {
				t.Fatal(err)
			}
		}
	}
	leave(uri)
	leave(sibling)
	wantObjects(t, server, s.segments, 8)
	if err := s.AbortUploads(t.Context(), uri); err != nil {
		t.Fatal(err)
	}
	wantObjects(t, server, s.segments, 5)
	mustHold(t, s, uri, body)
	if err := s.AbortUploads(t.Context(), sibling); err != nil {
		t.Fatal(err)
	}
	wantObjects(t, server, s.segments, 2)
}

// putDynamic makes a dynamic large object as python-swiftclient does.
func putDynamic(t *testing.T, server *testenv.SwiftServer, uri, segments, prefix string, pieces ...[]byte) {
	t.Helper()
	c := server.Client()
	if err := c.ContainerCreate(t.Context(), segments, nil); err != nil {
		t.Fatal(err)
	}
	for i, piece := range pieces {
		if err := c.ObjectPutBytes(t.Context(), segments, fmt.Sprintf("%s%08d", prefix, i), piece, ""); err != nil {
			t.Fatal(err)
		}
	}
	loc, _ := split(uri)
	manifest := (&url.URL{Path: segments + "/" + prefix}).EscapedPath()
	_, err := c.ObjectPut(t.Context(), loc.container, loc.name, bytes.NewReader(nil), false, "", "",
		ncw.Headers{"X-Object-Manifest": manifest, "Content-Length": "0"})
	if err != nil {
		t.Fatal(err)
	}
}

// TestDynamicLargeObject reads, lists, replaces and deletes one that another
// program wrote.
func TestDynamicLargeObject(t *testing.T) {
	server := testenv.Swift(t)
	s := fresh(t, server)
	uri := uriOf(t, s, "dyn amic%?")
	loc, _ := split(uri)
	prefix := loc.name + "/1700000000.0/300/100/"
	one, two, three := noise(1, 100), noise(2, 100), noise(3, 50)
	whole := bytes.Join([][]byte{one, two, three}, nil)
	for _, end := range []func(){
		func() { mustPut(t, s, uri, []byte("new")) },
		func() { mustStream(t, s, uri, noise(4, 6<<20), -1) },
		func() {
			if err := s.Delete(t.Context(), uri); err != nil {
				t.Error(err)
			}
			mustMiss(t, s, uri)
		},
		func() {
			for _, err := range s.DeleteBatch(t.Context(), []string{uri, uriOf(t, s, "1"), uriOf(t, s, "2"), uriOf(t, s, "z"), uriOf(t, s, "zz")}) {
				if err != nil {
					t.Error(err)
				}
			}
			mustMiss(t, s, uri)
		},
	} {
		if err := s.Delete(t.Context(), uri); err != nil {
			t.Fatal(err)
		}
		putDynamic(t, server, uri, s.segments, prefix, one, two, three)
		mustHold(t, s, uri, whole)
		if info, err := s.Stat(t.Context(), uri); err != nil || info.Bytes != 250 || info.MD5 != "" {
			t.Errorf("stat: %+v, %v", info, err)
		}
		err := s.List(t.Context(), func(_ string, info drivers.Info) error {
			if info.Bytes != 250 {
				t.Errorf("listed with %d bytes", info.Bytes)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
		end()
		for _, name := range server.Objects(t, s.segments) {
			if strings.HasPrefix(name, loc.name) {
				t.Errorf("segment %q is left", name)
			}
		}
	}
}

// putStatic makes a static large object of objects that are there.
func putStatic(t *testing.T, s *Store, uri string, parts ...location) {
	t.Helper()
	var entries []map[string]string
	for _, part := range parts {
		entries = append(entries, map[string]string{"path": "/" + part.container + "/" + part.name})
	}
	manifest, err := json.Marshal(entries)
	if err != nil {
		t.Fatal(err)
	}
	loc, _ := split(uri)
	_, _, err = s.do(t.Context(), request{
		method: http.MethodPut, container: loc.container, object: loc.name,
		query: url.Values{"multipart-manifest": {"put"}}, payload: manifest,
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestForeignStaticLargeObject deletes one that another program wrote, with
// segments beneath its own name, one by one and among many.
func TestForeignStaticLargeObject(t *testing.T) {
	server := testenv.Swift(t)
	s := fresh(t, server)
	uri := uriOf(t, s, "static")
	loc, _ := split(uri)
	var others []string
	for i := range 6 {
		others = append(others, uriOf(t, s, fmt.Sprintf("s%d", i)))
		mustPut(t, s, others[i], []byte("plain"))
	}
	others = append(others, uriOf(t, s, "zzz")) // the last, and not there
	for name, remove := range map[string]func() []error{
		"alone": func() []error { return []error{s.Delete(t.Context(), uri)} },
		"batch": func() []error { return s.DeleteBatch(t.Context(), append([]string{uri}, others...)) },
	} {
		part := location{s.container, loc.name + "/part"}
		if err := server.Client().ObjectPutString(t.Context(), part.container, part.name, "part", ""); err != nil {
			t.Fatal(err)
		}
		putStatic(t, s, uri, part)
		mustHold(t, s, uri, []byte("part"))
		for _, err := range remove() {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		for _, left := range server.Objects(t, s.container) {
			if strings.HasPrefix(left, loc.name) {
				t.Errorf("%s: %q is left", name, left)
			}
		}
	}
}

// TestSharedSegments: a large object made of other documents is not deleted
// with them.
func TestSharedSegments(t *testing.T) {
	server := testenv.Swift(t)
	s := fresh(t, server)
	document, body := uriOf(t, s, "document"), []byte("a document")
	mustPut(t, s, document, body)
	loc, _ := split(document)
	static, dynamic, all := uriOf(t, s, "static"), uriOf(t, s, "dynamic"), uriOf(t, s, "all")
	user := strings.TrimSuffix(loc.name, "manifest_data/document")
	putStatic(t, s, static, loc)
	putDynamic(t, server, dynamic, s.container, loc.name)
	putDynamic(t, server, all, s.container, user)
	for _, uri := range []string{static, dynamic, all} {
		wantKind(t, s.Delete(t.Context(), uri), drivers.InvalidKey, "other documents")
	}
	mustPut(t, s, dynamic, []byte("replaced")) // which may be done
	mustHold(t, s, document, body)
	mustHold(t, s, static, body)
	if err := s.Delete(t.Context(), document); err != nil {
		t.Fatal(err)
	}
	// The manifest is there, its segment is not.
	_, _, err := s.Get(t.Context(), static)
	wantKind(t, err, drivers.Corrupt, "segment")
}

// TestCancelledUpload leaves nothing behind.
func TestCancelledUpload(t *testing.T) {
	server := testenv.Swift(t)
	s := fresh(t, server)
	ctx, cancel := context.WithCancel(t.Context())
	_, err := s.Put(ctx, uriOf(t, s, "k"), streamOf(-1, func() io.Reader {
		return io.MultiReader(bytes.NewReader(noise(1, 6<<20)), callReader(cancel), bytes.NewReader(noise(2, 6<<20)))
	}))
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	wantObjects(t, server, s.segments, 0)
	wantObjects(t, server, s.container, 0)
}

type callReader func()

func (r callReader) Read([]byte) (int, error) { r(); return 0, io.EOF }
