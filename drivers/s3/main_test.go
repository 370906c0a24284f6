package s3

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/internal/testenv"
)

func TestMain(m *testing.M) { os.Exit(testenv.Main(m)) }

// onEach runs a test against each server.
func onEach(t *testing.T, test func(t *testing.T, server *testenv.S3Server)) {
	for _, server := range testenv.S3Servers(t) {
		t.Run(server.Name, func(t *testing.T) { test(t, server) })
	}
}

func optionsFor(server *testenv.S3Server, bucket string) Options {
	return Options{AccessKey: server.AccessKey, SecretKey: server.SecretKey, URL: server.URL, Bucket: bucket}
}

// fresh opens a store on a new S3 bucket, with the smallest parts there are.
func fresh(t testing.TB, server *testenv.S3Server) *Store {
	t.Helper()
	return opened(t, optionsFor(server, server.Bucket(t)))
}

func opened(t testing.TB, o Options) *Store {
	t.Helper()
	s, err := Open(t.Context(), o, Tuning{PartBytes: minPartBytes})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func uriOf(t testing.TB, s *Store, archiveID string) string {
	t.Helper()
	uri, err := s.URI(drivers.Key{UserID: "admin", Bucket: "manifest_data", ArchiveID: archiveID})
	if err != nil {
		t.Fatal(err)
	}
	return uri
}

func md5Hex(b []byte) string {
	sum := md5.Sum(b)
	return hex.EncodeToString(sum[:])
}

// noise is n bytes that are the same for one seed.
func noise(seed uint64, n int) []byte {
	b := make([]byte, n)
	var key [32]byte
	key[0] = byte(seed)
	_, _ = rand.NewChaCha8(key).Read(b) // never fails
	return b
}

// streamOf is a payload that must be read; open starts its body.
func streamOf(length int64, open func() io.Reader) drivers.Payload {
	return drivers.Payload{
		Length: length,
		Open:   func(context.Context) (io.ReadCloser, error) { return io.NopCloser(open()), nil },
	}
}

func mustPut(t testing.TB, s *Store, uri string, body []byte) drivers.Receipt {
	t.Helper()
	receipt, err := s.Put(t.Context(), uri, drivers.InMemory(body, md5Hex(body)))
	if err != nil {
		t.Fatal(err)
	}
	return receipt
}

// mustHold demands these bytes under uri.
func mustHold(t testing.TB, s *Store, uri string, want []byte) {
	t.Helper()
	r, info, err := s.Get(t.Context(), uri)
	if err != nil {
		t.Error(err)
		return
	}
	defer r.Close()
	got, err := io.ReadAll(r)
	if err != nil || md5Hex(got) != md5Hex(want) || info.Bytes != int64(len(want)) {
		t.Errorf("get %s: %d bytes of %d (announced %d), the right ones: %v, %v",
			uri, len(got), len(want), info.Bytes, md5Hex(got) == md5Hex(want), err)
	}
}

func mustMiss(t testing.TB, s *Store, uri string) {
	t.Helper()
	_, err := s.Stat(t.Context(), uri)
	wantKind(t, err, drivers.NotFound)
}

func wantKind(t testing.TB, err error, kind drivers.Kind, mentions ...string) {
	t.Helper()
	var failed *drivers.Error
	if !errors.As(err, &failed) || drivers.KindOf(err) != kind {
		t.Errorf("got %v (kind %d), want kind %d", err, drivers.KindOf(err), kind)
		return
	}
	text := err.Error()
	for _, noise := range []string{"operation error", "RequestID", "StatusCode", "https response error"} {
		if strings.Contains(text, noise) {
			t.Errorf("an error with noise: %s", text)
		}
	}
	for _, word := range mentions {
		if !strings.Contains(text, word) {
			t.Errorf("an error that does not mention %q: %s", word, text)
		}
	}
}

// uploads lists the keys of the unfinished multipart uploads in an S3 bucket.
func uploads(t testing.TB, server *testenv.S3Server, bucket string) (keys []string) {
	t.Helper()
	out, err := server.Client().ListMultipartUploads(context.WithoutCancel(t.Context()),
		&awss3.ListMultipartUploadsInput{Bucket: &bucket})
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range out.Uploads {
		keys = append(keys, *u.Key)
	}
	return keys
}
