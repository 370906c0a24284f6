package swift

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	ncw "github.com/ncw/swift/v2"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/internal/testenv"
)

// keeping opens a store on a container that keeps older versions in this way.
func keeping(t *testing.T, server *testenv.SwiftServer, header string) *Store {
	t.Helper()
	o := optionsFor(server, server.Container(t))
	value := "true"
	if header != versionsEnabled {
		value = server.Container(t)
	}
	if err := server.Client().ContainerUpdate(t.Context(), o.Container, ncw.Headers{header: value}); err != nil {
		t.Fatal(err)
	}
	return opened(t, o)
}

// TestOlderVersionsComeBack: where a DELETE would bring an older version back, the
// object is not deleted, one by one or many at once, and not called gone; again and
// again. One that has no older version is deleted.
func TestOlderVersionsComeBack(t *testing.T) {
	server := testenv.Swift(t)
	s := keeping(t, server, versionsLocation)
	var replaced, single []string
	for i := range 6 {
		replaced, single = append(replaced, uriOf(t, s, fmt.Sprintf("replaced é %d", i))), append(single, uriOf(t, s, fmt.Sprintf("single %d", i)))
		mustPut(t, s, replaced[i], []byte("older"))
		mustPut(t, s, replaced[i], []byte("the document"))
		mustPut(t, s, single[i], []byte("the document"))
	}
	for range 3 {
		for _, err := range s.DeleteBatch(t.Context(), replaced) {
			wantKind(t, err, drivers.InvalidKey, "an older version", s.container)
		}
		wantKind(t, s.Delete(t.Context(), replaced[0]), drivers.InvalidKey, "an older version", s.container)
		for _, uri := range replaced {
			mustHold(t, s, uri, []byte("the document"))
		}
	}
	for _, err := range append(s.DeleteBatch(t.Context(), single[1:]), s.Delete(t.Context(), single[0])) {
		if err != nil {
			t.Error(err)
		}
	}
	for _, uri := range single {
		mustMiss(t, s, uri)
	}
	// Also where the container is not the configured one.
	other := fresh(t, server)
	wantKind(t, other.Delete(t.Context(), replaced[0]), drivers.InvalidKey, "an older version")
	if err := other.Delete(t.Context(), single[0]); err != nil {
		t.Error(err)
	}
}

// TestOlderVersionThatIsNotListed: the container of versions is another one than the
// listing tells, or may not be read. What came back is seen, and not called gone.
func TestOlderVersionThatIsNotListed(t *testing.T) {
	hidden := 0
	server := testenv.Swift(t)
	versions := server.Container(t)
	s := behind(t, server, func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, "/"+versions) {
			hidden++
			w.WriteHeader(http.StatusForbidden)
			return true
		}
		return false
	}, nil)
	if err := server.Client().ContainerUpdate(t.Context(), s.container, ncw.Headers{versionsLocation: versions}); err != nil {
		t.Fatal(err)
	}
	uri := uriOf(t, s, "k")
	mustPut(t, s, uri, []byte("older"))
	mustPut(t, s, uri, []byte("the document"))
	wantKind(t, s.Delete(t.Context(), uri), drivers.InvalidKey, "an older version")
	mustHold(t, s, uri, []byte("older"))
	if hidden == 0 {
		t.Error("the test proves nothing")
	}
}

// TestOlderVersionsStay: other ways of keeping them let a deleted object be gone. What
// stays is told.
func TestOlderVersionsStay(t *testing.T) {
	for header, says := range map[string]string{
		historyLocation: "deleted", versionsLocation: "comes back", "": "none are kept",
	} {
		s := fresh(t, testenv.Swift(t))
		if header != "" {
			s = keeping(t, testenv.Swift(t), header)
		}
		findings, err := s.SurveyPlace(t.Context())
		if err != nil || len(findings) != 1 || !strings.Contains(findings[0].Value, says) || findings[0].Amiss {
			t.Errorf("%s: %+v, %v", header, findings, err)
		}
		if header != historyLocation {
			continue
		}
		uri := uriOf(t, s, "k")
		mustPut(t, s, uri, []byte("older"))
		mustPut(t, s, uri, []byte("the document"))
		if err := s.Delete(t.Context(), uri); err != nil {
			t.Error(err)
		}
		mustMiss(t, s, uri)
	}
}
