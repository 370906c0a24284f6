package swift

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/drivers/httpstore"
	"github.com/kedge/kedge/internal/testenv"
)

// counted opens a store and counts its requests by method.
func counted(t *testing.T, server *testenv.SwiftServer) (*Store, func() map[string]int) {
	t.Helper()
	var mu sync.Mutex
	seen := map[string]int{}
	s := behind(t, server, func(_ http.ResponseWriter, r *http.Request) bool {
		mu.Lock()
		defer mu.Unlock()
		seen[r.Method]++
		return false
	}, nil)
	return s, func() map[string]int {
		mu.Lock()
		defer mu.Unlock()
		now := seen
		seen = map[string]int{}
		return now
	}
}

// TestBulkDelete removes 2,500 objects, with a large one among them, in few
// requests.
func TestBulkDelete(t *testing.T) {
	server := testenv.Swift(t)
	s, requests := counted(t, server)
	uris := make([]string, 2500)
	for i := range uris {
		uris[i] = uriOf(t, s, fmt.Sprintf("bulk %d", i))
	}
	httpstore.Each(len(uris), s.tuning.Workers, func(i int) {
		body := []byte(uris[i])
		if _, err := s.Put(t.Context(), uris[i], drivers.InMemory(body, md5Hex(body))); err != nil {
			t.Error(err)
		}
	})
	large := uriOf(t, s, "bulk 1234")
	mustStream(t, s, large, noise(1, 6<<20), -1)
	kept := uriOf(t, s, "bulk") // a neighbour
	mustPut(t, s, kept, []byte("kept"))
	requests()

	for i, err := range s.DeleteBatch(t.Context(), uris) {
		if err != nil {
			t.Errorf("%s: %v", uris[i], err)
		}
	}
	// A listing; the headers of the first, the last and the large one; three
	// bulk deletes; the large one's own deletion.
	if seen := requests(); seen[http.MethodPost] != 3 || seen[http.MethodHead] > 10 || seen[http.MethodDelete] != 1 || seen[http.MethodGet] > 3 {
		t.Errorf("requests: %v", seen)
	}
	wantObjects(t, server, s.container, 1)
	wantObjects(t, server, s.segments, 0)
	mustHold(t, s, kept, []byte("kept"))
	for _, err := range s.DeleteBatch(t.Context(), uris[:20]) { // gone already
		if err != nil {
			t.Error(err)
		}
	}
}

// TestBulkDeleteUnclear: an answer that does not account for every object leaves
// them to requests of their own, as does a server without bulk deletes.
func TestBulkDeleteUnclear(t *testing.T) {
	for name, answer := range map[string]string{
		"not JSON":       "I did it",
		"too few":        `{"Response Status": "200 OK", "Number Deleted": 1, "Number Not Found": 0, "Errors": []}`,
		"unknown":        `{"Response Status": "400 Bad Request", "Number Deleted": 5, "Number Not Found": 0, "Errors": [["/who/knows", "500"]]}`,
		"no such filter": "",
	} {
		t.Run(name, func(t *testing.T) {
			server, unclear := testenv.Swift(t), 0
			s := behind(t, server, func(w http.ResponseWriter, r *http.Request) bool {
				if r.Method != http.MethodPost {
					return false
				}
				unclear++
				if answer == "" {
					w.WriteHeader(http.StatusMethodNotAllowed)
				}
				_, _ = w.Write([]byte(answer))
				return true
			}, nil)
			uris := smallSet(t, s, 6)
			for _, err := range s.DeleteBatch(t.Context(), uris) {
				if err != nil {
					t.Error(err)
				}
			}
			if wantObjects(t, server, s.container, 0); unclear != 1 {
				t.Errorf("%d unclear answers: the test proves nothing", unclear)
			}
		})
	}
}

// TestWithoutInfo: not every provider says what its server can do.
func TestWithoutInfo(t *testing.T) {
	server := testenv.Swift(t)
	front := frontOf(t, server, func(w http.ResponseWriter, r *http.Request) bool {
		if strings.HasSuffix(r.URL.Path, "/info") {
			w.WriteHeader(http.StatusForbidden)
			return true
		}
		if r.Method == http.MethodPost {
			t.Errorf("%s %s", r.Method, r.URL)
		}
		return false
	}, nil)
	o := optionsFor(server, server.Container(t))
	o.Auth = front + "/auth/v1.0"
	s := opened(t, o)
	if s.Capabilities().BatchDelete {
		t.Error("promises bulk deletes")
	}
	mustStream(t, s, uriOf(t, s, "large"), noise(1, 6<<20), -1)
	for _, err := range s.DeleteBatch(t.Context(), append(smallSet(t, s, 6), uriOf(t, s, "large"))) {
		if err != nil {
			t.Error(err)
		}
	}
	wantObjects(t, server, s.container, 0)
	wantObjects(t, server, s.segments, 0)
}

// TestOldServer: before Swift 2.20 listings did not tell large objects.
func TestOldServer(t *testing.T) {
	server := testenv.Swift(t)
	s, requests := counted(t, server)
	s.server.listsLarge = false
	mustStream(t, s, uriOf(t, s, "large"), noise(1, 6<<20), -1)
	uris := append(smallSet(t, s, 6), uriOf(t, s, "large"))
	requests()
	for _, err := range s.DeleteBatch(t.Context(), uris) {
		if err != nil {
			t.Error(err)
		}
	}
	wantObjects(t, server, s.container, 0)
	wantObjects(t, server, s.segments, 0)
	if seen := requests(); seen[http.MethodPost] != 1 || seen[http.MethodHead] < 7 {
		t.Errorf("requests: %v", seen)
	}
}

func TestVersions(t *testing.T) {
	for version, want := range map[string]bool{
		"2.30.1": true, "2.20.0": true, "2.20": true, "3.0": true, "2.19.1": false, "1.99": false, "": false, "jewel": false, "2": false,
		"2.31.0.dev12": true,
	} {
		if atLeast(version, 2, 20) != want {
			t.Errorf("%q: %v", version, !want)
		}
	}
}

func smallSet(t *testing.T, s *Store, n int) (uris []string) {
	t.Helper()
	for i := range n {
		uris = append(uris, uriOf(t, s, fmt.Sprintf("small %d", i)))
		mustPut(t, s, uris[i], []byte("small"))
	}
	return uris
}
