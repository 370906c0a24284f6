package pipeline_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/pipeline"
	"github.com/kedge/kedge/pipeline/catalog"
	"github.com/kedge/kedge/pipeline/copies"
	"github.com/kedge/kedge/pipeline/failure"
	"github.com/kedge/kedge/pipeline/store"
)

// follow copies in two rounds, with something that happens between them, and gives the
// second's result.
func (in *installation) follow(o pipeline.Options, between func()) pipeline.Result {
	in.t.Helper()
	o.FollowEvery = 1
	stop := make(chan struct{})
	rounds := 0
	o.Round = func(pipeline.Round) {
		if rounds++; rounds == 1 {
			between()
			return
		}
		close(stop)
	}
	r, err := pipeline.Follow(in.t.Context(), stop, o)
	if err != nil || rounds != 2 {
		in.t.Fatalf("%d rounds, %v", rounds, err)
	}
	return r
}

// A row that comes to name another document's copy between two rounds keeps what it names.
func TestALaterRoundOverwritesNothingThatARowNamesByNow(t *testing.T) {
	in := install(t, 20)
	r := in.follow(in.copyOptions(in.dst), func() {
		in.exec(`UPDATE archive_metadata SET content_url = ?, digest = (SELECT digest FROM archive_metadata WHERE "archiveId" = 'id-00005'), size = (SELECT size FROM archive_metadata WHERE "archiveId" = 'id-00005') WHERE "archiveId" = 'id-00004'`, in.destinationOf(key(5)))
		in.plain[key(4)] = in.plain[key(5)]
		in.write(in.src, key(5), []byte("written anew"))
		in.write(in.src, key(6), []byte("written anew, too"))
	})
	if r.Failed != 1 || failures(r)[failure.ClassPlaceTaken] != 1 || r.Round.Copied != 1 {
		t.Errorf("copied %d, failed %v", r.Round.Copied, failures(r))
	}
	in.checkAllButOrphans()
}

// Of two documents whose places the destination takes for one, the second, which came
// between two rounds, is not copied over the first.
func TestALaterRoundKeepsNamesApart(t *testing.T) {
	in := install(t, 3)
	big, small := drivers.Key{UserID: "admin", Bucket: "ZZ", ArchiveID: "x"}, drivers.Key{UserID: "admin", Bucket: "zz", ArchiveID: "x"}
	dst := folded{in.dst}
	in.write(in.src, small, []byte("the small one"))
	r := in.follow(in.copyOptions(dst), func() { in.write(in.src, big, []byte("THE BIG ONE, which came later")) })
	t.Logf("copied %d, failed %v", r.Round.Copied, failures(r))
	o := in.cutover(dst)
	o.Trust = copies.TrustRecord
	r = run(t, o)
	t.Logf("moved %d, failed %v", r.Counts.Moved, failures(r))
	for key, plain := range in.plain {
		rows, err := in.cat.Rows(t.Context(), []drivers.Key{key})
		if err != nil || len(rows) != 1 {
			t.Fatal(rows, err)
		}
		var at drivers.Driver = in.src
		if strings.HasPrefix(rows[0].URI, in.dst.Prefix()) {
			at = dst
		}
		if got, err := store.ReadPlain(t.Context(), at, rows[0]); err != nil || string(got) != string(plain) {
			t.Errorf("LOST: %s at %s is %q: %v", key, rows[0].URI, got, err)
		}
	}
}

// counted is a catalog that counts the looks at all of its rows.
type counted struct {
	catalog.Catalog
	mu    sync.Mutex
	looks []string
}

func (c *counted) look(what string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.looks = append(c.looks, what)
}

func (c *counted) Count(ctx context.Context, s catalog.Selection) (catalog.Totals, error) {
	c.look("count")
	return c.Catalog.Count(ctx, s)
}

func (c *counted) Page(ctx context.Context, s catalog.Selection, after catalog.Position, limit int) ([]catalog.Document, error) {
	c.look("page")
	return c.Catalog.Page(ctx, s, after, limit)
}

func (c *counted) Places(ctx context.Context, forms []catalog.Form, fn func(int, bool, string) error) error {
	c.look("places")
	return c.Catalog.Places(ctx, forms, fn)
}

func (c *counted) Awkward(ctx context.Context, scheme string, fn func(catalog.Document) error) error {
	c.look("awkward")
	return c.Catalog.Awkward(ctx, scheme, fn)
}

func (c *counted) Changed(ctx context.Context, s catalog.Selection, since int64, strays catalog.Strays, fn func(catalog.Document) error) (int64, error) {
	c.look("changed")
	return c.Catalog.Changed(ctx, s, since, strays, fn)
}

func (c *counted) Naming(ctx context.Context, uris []string) ([]string, error) {
	c.look("naming")
	return c.Catalog.Naming(ctx, uris)
}

func (c *counted) Users(ctx context.Context) ([]string, error) {
	c.look("users")
	return c.Catalog.Users(ctx)
}

func (c *counted) Renamed(ctx context.Context, limit int) ([]drivers.Key, error) {
	c.look("renamed")
	return c.Catalog.Renamed(ctx, limit)
}

func (c *counted) Snapshot(ctx context.Context) (catalog.Snapshot, error) {
	s, err := c.Catalog.Snapshot(ctx)
	return countedSnapshot{c, s}, err
}

// countedSnapshot counts likewise.
type countedSnapshot struct {
	*counted
	of catalog.Snapshot
}

func (s countedSnapshot) Lasting() bool { return s.of.Lasting() }
func (s countedSnapshot) Close()        { s.of.Close() }

// A later round looks at the catalog once, also where copies are put over others and where
// documents that were being copied have vanished.
func TestALaterRoundLooksOnceAtTheCatalog(t *testing.T) {
	in := install(t, 20)
	o := in.copyOptions(in.dst)
	looks := &counted{Catalog: o.Catalog}
	o.Catalog = looks
	r := in.follow(o, func() {
		in.write(in.src, key(5), []byte("written anew"))
		in.exec(`DELETE FROM archive_metadata WHERE "archiveId" = 'id-00006'`)
		delete(in.plain, key(6))
		looks.looks = nil
	})
	if r.Round.Copied != 1 || !slices.Equal(looks.looks, []string{"changed"}) {
		t.Errorf("copied %d, looks %q", r.Round.Copied, looks.looks)
	}
}
