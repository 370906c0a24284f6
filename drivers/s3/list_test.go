package s3

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/internal/testenv"
)

// TestList lists more than a page, under a prefix that is the beginning of
// another store's.
func TestList(t *testing.T) {
	onEach(t, func(t *testing.T, server *testenv.S3Server) {
		o := optionsFor(server, server.Bucket(t))
		o.Prefix = "pre+ é/fix"
		s := opened(t, o)
		o.Prefix = "pre+ é/other"
		beside := opened(t, o)
		mustPut(t, beside, uriOf(t, beside, "not ours"), nil)
		var want []string
		var requests []drivers.PutRequest
		for i := range 1200 {
			uri := uriOf(t, s, fmt.Sprintf("k%%41 +&<%d", i))
			want = append(want, uri)
			body := []byte(strings.Repeat("x", i%7))
			requests = append(requests, drivers.PutRequest{URI: uri, Payload: body, MD5: md5Hex(body)})
		}
		for _, r := range s.PutBatch(t.Context(), requests) {
			if r.Err != nil {
				t.Fatal(r.Err)
			}
		}
		var got []string
		err := s.List(t.Context(), func(uri string, info drivers.Info) error {
			if i := slices.Index(want, uri); i < 0 || info.Bytes != int64(i%7) {
				t.Errorf("listed %q with %d bytes", uri, info.Bytes)
			}
			got = append(got, uri)
			return nil
		})
		slices.Sort(got)
		slices.Sort(want)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%d listed, %d there, %v", len(got), len(want), err)
		}
		stop, n := errors.New("enough"), 0
		if err := s.List(t.Context(), func(string, drivers.Info) error { n++; return stop }); err != stop || n != 1 {
			t.Errorf("List went on %d times and returned %v", n, err)
		}
	})
}

// TestListControlCharacters: a listing gives keys as they are, or fails.
func TestListControlCharacters(t *testing.T) {
	onEach(t, func(t *testing.T, server *testenv.S3Server) {
		s := fresh(t, server)
		uri := uriOf(t, s, "esc\x1bkey")
		mustPut(t, s, uriOf(t, s, "replacement \ufffd"), nil)
		mustPut(t, s, uri, nil)
		var got []string
		err := s.List(t.Context(), func(uri string, _ drivers.Info) error { got = append(got, uri); return nil })
		if server.Name == "versitygw" {
			wantKind(t, err, drivers.Other, "exactly")
		} else if err != nil || len(got) != 2 || !slices.Contains(got, uri) {
			t.Errorf("listed %q, %v", got, err)
		}
	})
}
