package s3

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/internal/testenv"
)

// TestExpectationFailed: what stands before the server may know no "Expect". The
// request goes again without it, and so do all that come after.
func TestExpectationFailed(t *testing.T) {
	large, parts := noise(7, expectBytes), noise(8, 11<<20)
	for name, answer := range map[string]page{
		"its page":   {status: 417, kind: "text/html", text: "<html><title>417 - Expectation Failed</title></html>"},
		"no body":    {status: 417},
		"S3's words": {status: 417, kind: "application/xml", text: "<Error><Code>ExpectationFailed</Code></Error>"},
	} {
		for how, put := range map[string]func(s *Store, uri string) ([]byte, error){
			"in memory": func(s *Store, uri string) ([]byte, error) {
				_, err := s.Put(t.Context(), uri, drivers.InMemory(large, md5Hex(large)))
				return large, err
			},
			"a stream": func(s *Store, uri string) ([]byte, error) {
				s.tuning.WholeBytes = wholeBytes
				p := streamOf(int64(len(large)), func() io.Reader { return bytes.NewReader(large) })
				p.MD5 = md5Hex(large)
				_, err := s.Put(t.Context(), uri, p)
				return large, err
			},
			"in parts": func(s *Store, uri string) ([]byte, error) {
				_, err := s.Put(t.Context(), uri, streamOf(-1, func() io.Reader { return bytes.NewReader(parts) }))
				return parts, err
			},
		} {
			t.Run(name+", "+how, func(t *testing.T) {
				refused := make(chan struct{}, 100)
				s := behind(t, testenv.MinIO(t), func(w http.ResponseWriter, r *http.Request) bool {
					if r.Header.Get("Expect") == "" {
						return false
					}
					refused <- struct{}{}
					answer.write(w, r)
					return true
				}, nil)
				for i := range 2 {
					uri := uriOf(t, s, strings.Repeat("x", i+1))
					body, err := put(s, uri)
					if err != nil {
						t.Fatal(err)
					}
					mustHold(t, s, uri, body)
				}
				if n := len(refused); n < 1 || n > partsAtOnce {
					t.Errorf("%d requests were refused", n)
				}
			})
		}
	}
}
