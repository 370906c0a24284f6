package swift

import (
	"os"
	"testing"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/drivers/drivertest"
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

// What the tests of every driver say.
var (
	md5Hex   = drivertest.MD5Hex
	noise    = drivertest.Noise
	streamOf = drivertest.StreamOf
	uriOf    = drivertest.URIOf
	mustPut  = drivertest.MustPut
	mustHold = drivertest.MustHold
)

func mustMiss(t testing.TB, s *Store, uri string) {
	t.Helper()
	_, err := s.Stat(t.Context(), uri)
	wantKind(t, err, drivers.NotFound)
}

// wantKind demands an error of this kind in kedge's own words.
func wantKind(t testing.TB, err error, kind drivers.Kind, mentions ...string) {
	t.Helper()
	drivertest.WantKind(t, err, kind, []string{"HTTP Error", "<html>", "\n", "Authorization Failed"}, mentions...)
}
