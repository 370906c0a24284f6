package swift

import (
	"io"
	"net/http"
	"net/url"
	"testing"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/internal/testenv"
)

// TestListingsOfOtherKinds: a listing that pays no attention to the marker, or is in
// another order, ends with an error: not never, and not with objects left out.
func TestListingsOfOtherKinds(t *testing.T) {
	for name, pages := range map[string]func(marker string) string{
		"one page for ever": func(string) string { return `[{"name":"a","bytes":1},{"name":"b","bytes":1}]` },
		"without case": func(marker string) string {
			if marker == "" {
				return `[{"name":"a","bytes":1},{"name":"B","bytes":1}]` // and then what is behind B: a again, or not
			}
			return `[]`
		},
	} {
		t.Run(name, func(t *testing.T) {
			asked := 0
			s := behind(t, testenv.Swift(t), func(w http.ResponseWriter, r *http.Request) bool {
				if !r.URL.Query().Has("format") {
					return false
				}
				if asked++; asked > 100 {
					t.Error("asked without end")
					w.WriteHeader(http.StatusForbidden)
					return true
				}
				marker, err := url.QueryUnescape(r.URL.Query().Get("marker"))
				if err != nil {
					t.Error(err)
				}
				w.Header().Set("Content-Type", "application/json")
				_, _ = io.WriteString(w, pages(marker))
				return true
			}, nil)
			err := s.List(t.Context(), func(string, drivers.Info) error { return nil })
			wantKind(t, err, drivers.Other, "in the order of names")
			if asked == 0 {
				t.Error("the test proves nothing")
			}
		})
	}
}
