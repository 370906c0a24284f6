package swift

import (
	"slices"
	"strings"
	"testing"

	ncw "github.com/ncw/swift/v2"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/internal/testenv"
)

// TestContainerSyncIsRead: the server tells to which container one is synced, in both of
// the forms that there are.
func TestContainerSyncIsRead(t *testing.T) {
	server := testenv.Swift(t)
	if got := fresh(t, server).CarriesDeletions(t.Context()); got != nil {
		t.Errorf("a container that is not synced carries deletions to %q", got)
	}
	o := optionsFor(server, server.Container(t))
	to := "http://127.0.0.1:1/v1/AUTH_other/other%20one"
	if err := server.Client().ContainerUpdate(t.Context(), o.Container, ncw.Headers{containerSync: to, "X-Container-Sync-Key": "k"}); err != nil {
		t.Fatal(err)
	}
	s := opened(t, o)
	want := []string{scheme + "other one/" + s.prefix}
	if got := s.CarriesDeletions(t.Context()); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	found, err := s.SurveyPlace(t.Context())
	if err != nil || !slices.ContainsFunc(found, func(f drivers.Finding) bool { return strings.HasPrefix(f.Value, want[0]) }) {
		t.Errorf("%v, %v", found, err)
	}
	uri := uriOf(t, s, "a document")
	mustPut(t, s, uri, []byte("the document"))
	if _, err := s.Stat(drivers.WithFresh(t.Context()), uri); err != nil {
		t.Error(err)
	}
	s.versions.Store(s.container, versions{synced: "//realm/cluster/AUTH_x/third"})
	if got := s.CarriesDeletions(t.Context()); !slices.Equal(got, []string{scheme + "third/" + s.prefix}) {
		t.Errorf("%q", got)
	}
}
