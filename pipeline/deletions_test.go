package pipeline

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/pipeline/canary"
	"github.com/kedge/kedge/pipeline/catalog"
)

// oneRow is a catalog of one row.
type oneRow struct {
	catalog.Catalog
	row catalog.Document
}

func (c oneRow) Rows(context.Context, []drivers.Key) ([]catalog.Document, error) {
	return []catalog.Document{c.row}, nil
}

// Which rows want back what a deletion took from the destination: also one that names the
// source again, where nothing is, because the catalog fell back.
func TestWhoWantsADocumentBack(t *testing.T) {
	d := canary.Document{Key: drivers.Key{UserID: "u", Bucket: "b", ArchiveID: "a"}, Row: "n", Source: "a://u/b/a", Destination: "z://u/b/a", MD5: "d"}
	for name, c := range map[string]struct {
		row, uri, digest string
		empty, want      bool
	}{
		"as committed":               {row: "n", uri: d.Destination, digest: "d", want: true},
		"without a digest":           {row: "n", uri: d.Destination, want: true},
		"written anew":               {row: "n", uri: d.Destination, digest: "e"},
		"another row":                {row: "m", uri: d.Destination, digest: "d"},
		"elsewhere":                  {row: "n", uri: "y://u/b/a", digest: "d", empty: true},
		"moved back":                 {row: "n", uri: d.Source, digest: "d"},
		"fell back":                  {row: "n", uri: d.Source, digest: "d", empty: true, want: true},
		"fell back, in another form": {row: "n", uri: d.Source, digest: "e", empty: true, want: true},
	} {
		m := newMigration(Options{
			Source: Store{Driver: &deleting{prefix: "a://", empty: c.empty}}, Destination: Store{Driver: &deleting{prefix: "z://", empty: true}}, Workers: 1,
			Catalog: oneRow{row: catalog.Document{Key: d.Key, Name: c.row, URI: c.uri, Digest: c.digest}}, Checkpoint: filepath.Join(t.TempDir(), "checkpoint"),
		}, nil)
		if got, err := m.wanted(t.Context(), d); err != nil || got != c.want {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}
