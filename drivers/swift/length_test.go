package swift

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"testing"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/internal/testenv"
)

// TestGetWithoutLength: something before the server keeps the length back, of GET
// alone or of HEAD too.
func TestGetWithoutLength(t *testing.T) {
	for name, methods := range map[string][]string{
		"GET": {http.MethodGet}, "GET and HEAD": {http.MethodGet, http.MethodHead}, "HEAD": {http.MethodHead},
	} {
		t.Run(name, func(t *testing.T) {
			met := 0
			s := behind(t, testenv.Swift(t), nil, func(r *http.Response) error {
				if slices.Contains(methods, r.Request.Method) {
					met++
					r.ContentLength = -1
					r.Header.Del("Content-Length")
				}
				return nil
			})
			for i, body := range [][]byte{{}, []byte("x"), noise(4, 300_000)} {
				uri := uriOf(t, s, fmt.Sprint(i))
				mustPut(t, s, uri, body)
				mustHold(t, s, uri, body)
				info, err := s.Stat(t.Context(), uri)
				if err != nil || info.Bytes != int64(len(body)) || info.MD5 != md5Hex(body) || info.Modified.IsZero() {
					t.Errorf("stat: %+v, %v", info, err)
				}
			}
			large := noise(5, 6<<20)
			mustStream(t, s, uriOf(t, s, "large"), large, -1)
			mustHold(t, s, uriOf(t, s, "large"), large)
			lengths := map[int64]bool{}
			if err := s.List(t.Context(), func(_ string, info drivers.Info) error { lengths[info.Bytes] = true; return nil }); err != nil || len(lengths) != 4 {
				t.Errorf("listed %v, %v", lengths, err)
			}
			if met == 0 {
				t.Error("the test proves nothing")
			}
		})
	}
}

// TestChunkedBreaksOff: without a length, too, a body that ends early is none.
func TestChunkedBreaksOff(t *testing.T) {
	broken := 0
	s := behind(t, testenv.Swift(t), func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodGet {
			w.Header().Set("Transfer-Encoding", "chunked")
			w.WriteHeader(http.StatusOK)
			return true
		}
		broken++
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return true
		}
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
		_ = conn.Close()
		return true
	}, nil)
	_, _, err := s.Get(t.Context(), uriOf(t, s, "k"))
	wantKind(t, err, drivers.Temporary, "unexpected EOF")
	if broken == 0 {
		t.Error("the test proves nothing")
	}
}
