package swift

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/drivers/drivertest"
	"github.com/kedge/kedge/internal/testenv"
)

// TestConformance has one prefix that Anchore's client resolves, so that objects
// are not under the names that their URIs say.
func TestConformance(t *testing.T) {
	for _, c := range []struct {
		name, dots string
		start      func(testing.TB) *testenv.SwiftServer
	}{{"v1", "", testenv.Swift}, {"v3, resolved", "./", testenv.SwiftKeystone}} {
		t.Run(c.name, func(t *testing.T) {
			server := c.start(t)
			drivertest.Run(t, drivertest.Backend{
				Open: func(tb testing.TB) drivers.Driver {
					return conformant(tb, server, server.Container(tb), c.dots+"anchore/")
				},
				OpenBeside: func(tb testing.TB, d drivers.Driver) drivers.Driver {
					return conformant(tb, server, d.(*Store).container, c.dots+"anchore2/")
				},
				Corrupt: func(tb testing.TB, d drivers.Driver, uri string) { corrupt(tb, server, uri) },
				Refuses: refused,
				Leftovers: func(tb testing.TB, d drivers.Driver) []string {
					return server.Objects(tb, d.(*Store).segments)
				},
				Secrets: []string{server.Key},
			})
		})
	}
}

func conformant(tb testing.TB, server *testenv.SwiftServer, container, prefix string) drivers.Driver {
	tb.Helper()
	o := optionsFor(server, container)
	o.KeyPrefix = prefix
	s, err := Open(tb.Context(), o, Tuning{SegmentBytes: segment})
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// corrupt replaces an object by other bytes of the same length.
func corrupt(tb testing.TB, server *testenv.SwiftServer, uri string) {
	tb.Helper()
	loc, err := split(uri)
	if err != nil {
		tb.Fatal(err)
	}
	loc.name = strings.TrimPrefix(loc.name, "./")
	info, _, err := server.Client().Object(tb.Context(), loc.container, loc.name)
	if err != nil {
		tb.Fatal(err)
	}
	rot := bytes.Repeat([]byte{0x5a}, int(info.Bytes))
	if err := server.Client().ObjectPutBytes(tb.Context(), loc.container, loc.name, rot, ""); err != nil {
		tb.Fatal(err)
	}
}

// refused tells the keys that Swift cannot hold.
func refused(k drivers.Key) bool {
	name := "anchore/" + k.UserID + "/" + k.Bucket + "/" + k.ArchiveID
	return k.UserID == "" || k.Bucket == "" || k.ArchiveID == "" ||
		strings.Contains(k.UserID, "/") || strings.Contains(k.Bucket, "/") ||
		len(name) > 1024 || strings.Contains(name, "\x00") || !utf8.ValidString(name)
}
