package s3

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/internal/testenv"
)

// TestNamesThatAreTooLong: versitygw answers a stream with a name that its file
// system cannot hold with an internal error, and breaks off a long body. That it
// will never take it is known at once, in whatever way it is put.
func TestNamesThatAreTooLong(t *testing.T) {
	large := noise(4, 6<<20)
	onEach(t, func(t *testing.T, server *testenv.S3Server) {
		s := fresh(t, server)
		s.heed.state.Store(heedPaid)
		for _, id := range []string{strings.Repeat("k", 256), strings.Repeat("k", 300) + "/x", "ends-in-a-slash/"} {
			uri := uriOf(t, s, id)
			mention := "more than 255 bytes between slashes"
			if strings.HasSuffix(id, "/") {
				if mention = "ends in a slash"; server.Name == "minio" {
					continue // it holds such keys
				}
			}
			for name, p := range map[string]drivers.Payload{
				"held":   drivers.InMemory([]byte("x"), md5Hex([]byte("x"))),
				"long":   {Bytes: large, Length: int64(len(large)), MD5: md5Hex(large), ReadBack: true},
				"parts":  streamOf(-1, func() io.Reader { return bytes.NewReader(large) }),
				"stream": {Length: int64(len(large)), MD5: md5Hex(large), Open: func(context.Context) (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(large)), nil }},
			} {
				t.Run(fmt.Sprint(name, " ", len(id)), func(t *testing.T) {
					_, err := s.Put(t.Context(), uri, p)
					wantKind(t, err, drivers.InvalidKey, mention)
				})
			}
		}
		mustBeEmpty(t, s, server)
	})
}

// TestPrefixWithEmptyComponent: tried where documents are put, and read anyhow.
// MinIO holds no such key, but takes a slash at the beginning away; versitygw keeps
// all under another name.
func TestPrefixWithEmptyComponent(t *testing.T) {
	const refused, folded = "does not hold such keys", `keeps what is put there as "a/"`
	onEach(t, func(t *testing.T, server *testenv.S3Server) {
		bucket := server.Bucket(t)
		for prefix, minio := range map[string]string{"/a/": folded, "a//": refused, "./a/": refused, "b/../a/": refused} {
			o := optionsFor(server, bucket)
			o.Prefix = prefix
			_, err := Open(t.Context(), o, Tuning{Writes: true})
			wantKind(t, err, drivers.Config, "prefix: ", map[string]string{"minio": minio, "versitygw": folded}[server.Name])
			for _, tuning := range []Tuning{{}, {Writes: true, Look: true}} {
				s, err := Open(t.Context(), o, tuning)
				if err != nil {
					t.Fatal(err)
				}
				uri := uriOf(t, s, "k")
				mustMiss(t, s, uri)
				s.Close()
			}
		}
		plain := opened(t, optionsFor(server, bucket))
		mustBeEmpty(t, plain, server)
		if server.Name != "versitygw" {
			return
		}
		// As Anchore has put it and reads it. It is not deleted: under that name it
		// may be another archive's.
		o := optionsFor(server, bucket)
		o.Prefix = "/a/"
		s := opened(t, o)
		mustPut(t, plain, "s3://"+bucket+"/a/admin/manifest_data/k", []byte("x"))
		mustHold(t, s, uriOf(t, s, "k"), []byte("x"))
		wantKind(t, s.Delete(t.Context(), uriOf(t, s, "k")), drivers.InvalidKey, "under another name")
	})
}

// exact is a server that keeps every key as it is, as Amazon's and Ceph's do; none
// of those that run here does.
type exact struct {
	mu      sync.Mutex
	objects map[string][]byte
}

func (e *exact) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e.mu.Lock()
	defer e.mu.Unlock()
	w.Header().Set("X-Amz-Request-Id", "exact")
	key, isObject := strings.CutPrefix(r.URL.Path, "/archive/")
	if !isObject {
		e.list(w, r.URL.Query().Get("prefix"))
		return
	}
	body, there := e.objects[key]
	switch {
	case r.Method == http.MethodPut:
		body, _ = io.ReadAll(r.Body)
		e.objects[key] = body
	case r.Method == http.MethodDelete:
		delete(e.objects, key)
		w.WriteHeader(http.StatusNoContent)
		return
	case !there:
		w.WriteHeader(http.StatusNotFound)
		if r.Method != http.MethodHead {
			_, _ = io.WriteString(w, "<Error><Code>NoSuchKey</Code></Error>")
		}
		return
	}
	sum := md5.Sum(body)
	w.Header().Set("Etag", `"`+hex.EncodeToString(sum[:])+`"`)
	w.Header().Set("Last-Modified", time.Now().UTC().Format(http.TimeFormat))
	if r.Method != http.MethodPut {
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(body))
	}
}

func (e *exact) list(w http.ResponseWriter, prefix string) {
	var keys []string
	for key := range e.objects {
		if strings.HasPrefix(key, prefix) {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	w.Header().Set("Content-Type", "application/xml")
	fmt.Fprint(w, "<ListBucketResult>")
	for _, key := range keys {
		fmt.Fprintf(w, "<Contents><Key>%s</Key><Size>%d</Size></Contents>", html.EscapeString(key), len(e.objects[key]))
	}
	fmt.Fprint(w, "</ListBucketResult>")
}

// TestPrefixKept: such a prefix is a destination where the server keeps it apart.
func TestPrefixKept(t *testing.T) {
	stand := &exact{objects: map[string][]byte{}}
	server := httptest.NewServer(stand)
	t.Cleanup(server.Close)
	o := Options{AccessKey: "AK", SecretKey: "SK", URL: server.URL, Bucket: "archive", Prefix: "/a//./b/"}
	s, err := Open(t.Context(), o, Tuning{Writes: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	uri := uriOf(t, s, "k")
	if uri != "s3://archive//a//./b/admin/manifest_data/k" {
		t.Errorf("URI %s", uri)
	}
	mustPut(t, s, uri, []byte("x"))
	mustHold(t, s, uri, []byte("x"))
	if len(stand.objects) != 1 || stand.objects["/a//./b/admin/manifest_data/k"] == nil {
		t.Errorf("it holds %d objects", len(stand.objects))
	}
	_, err = s.URI(drivers.Key{UserID: "u", Bucket: "b", ArchiveID: "x//y"})
	wantKind(t, err, drivers.InvalidKey)
	// A source is not tried; it deletes what is listed under that name.
	source := opened(t, o)
	mustHold(t, source, uri, []byte("x"))
	if err := source.Delete(t.Context(), uri); err != nil || len(stand.objects) != 0 {
		t.Errorf("delete: %v, %d left", err, len(stand.objects))
	}
}
