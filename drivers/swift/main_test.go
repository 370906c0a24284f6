package swift

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

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/internal/testenv"
)

func TestMain(m *testing.M) { os.Exit(testenv.Main(m)) }

// segment is the segments' length in these tests.
const segment = 5 << 20

// defaults are the options without the environment of whoever runs the tests.
func defaults() Options {
	return DefaultOptions(func(string) (string, bool) { return "", false })
}

func optionsFor(server *testenv.SwiftServer, container string) Options {
	o := defaults()
	o.Container = container
	if server.AuthVersion == 1 {
		o.Auth, o.User, o.Key = server.AuthURL, server.User, server.Key
		return o
	}
	o.AuthVersion = "3"
	o.AuthURL, o.Username, o.Password, o.ProjectName = server.AuthURL, server.User, server.Key, server.Project
	o.RegionName = "RegionOne"
	return o
}

// fresh opens a store on a new container.
func fresh(t testing.TB, server *testenv.SwiftServer) *Store {
	t.Helper()
	return opened(t, optionsFor(server, server.Container(t)))
}

func opened(t testing.TB, o Options) *Store {
	t.Helper()
	s, err := Open(t.Context(), o, Tuning{SegmentBytes: segment})
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
func noise(seed byte, n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{seed}).Read(b) // never fails
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
	for _, noise := range []string{"HTTP Error", "<html>", "\n", "Authorization Failed"} {
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
