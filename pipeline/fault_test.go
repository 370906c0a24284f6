package pipeline_test

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/drivers/db"
	"github.com/kedge/kedge/drivers/localfs"
	"github.com/kedge/kedge/pipeline"
	"github.com/kedge/kedge/pipeline/catalog"
	"github.com/kedge/kedge/pipeline/catalog/anchore"
	"github.com/kedge/kedge/pipeline/failure"
	"github.com/kedge/kedge/pipeline/store"
)

// installation is a small one on SQLite, in driver db, to be moved to localfs.
type installation struct {
	t          *testing.T
	cat        *anchore.Catalog
	src, dst   drivers.Driver
	checkpoint string
	plain      map[drivers.Key][]byte
}

func install(t *testing.T, documents int) *installation {
	t.Helper()
	folder := t.TempDir()
	path := filepath.Join(folder, "anchore.db")
	if err := anchore.CreateSchema(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	cat, err := anchore.Open(t.Context(), anchore.Options{SQLite: path})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cat.Close() })
	in := &installation{t: t, cat: cat, checkpoint: filepath.Join(folder, "k.checkpoint"), plain: make(map[drivers.Key][]byte)}
	if in.src, err = db.OpenDB(t.Context(), db.Database{SQLite: cat.SQLite(), Place: cat.Place()}); err != nil {
		t.Fatal(err)
	}
	if in.dst, err = localfs.Open(t.Context(), localfs.Options{ArchiveDataDir: filepath.Join(folder, "archive")}, true); err != nil {
		t.Fatal(err)
	}
	in.seed(documents)
	return in
}

// seed puts documents into driver db, with their rows.
func (in *installation) seed(documents int) {
	in.t.Helper()
	tx, err := in.cat.SQLite().BeginTx(in.t.Context(), nil)
	if err != nil {
		in.t.Fatal(err)
	}
	var puts []drivers.PutRequest
	for n := range documents {
		key := drivers.Key{UserID: "admin", Bucket: "b", ArchiveID: fmt.Sprintf("id-%05d", n)}
		plain := bytes.Repeat([]byte(key.ArchiveID), 100)
		uri, err := in.src.URI(key)
		if err != nil {
			in.t.Fatal(err)
		}
		sum := md5.Sum(plain)
		digest := hex.EncodeToString(sum[:])
		puts = append(puts, drivers.PutRequest{URI: uri, Payload: plain, MD5: digest})
		if _, err := tx.Exec(`INSERT INTO archive_metadata (bucket, "archiveId", "userId", "documentName", content_url, is_compressed, digest, size) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
			key.Bucket, key.ArchiveID, key.UserID, key.ArchiveID+".json", uri, false, digest, len(plain)); err != nil {
			in.t.Fatal(err)
		}
		in.plain[key] = plain
	}
	if err := tx.Commit(); err != nil {
		in.t.Fatal(err)
	}
	for _, r := range in.src.(drivers.Batcher).PutBatch(in.t.Context(), puts) {
		if r.Err != nil {
			in.t.Fatal(r.Err)
		}
	}
}

func (in *installation) exec(statement string, args ...any) {
	in.t.Helper()
	if _, err := in.cat.SQLite().ExecContext(context.WithoutCancel(in.t.Context()), statement, args...); err != nil {
		in.t.Fatal(err)
	}
}

// options migrate to dst, which stands before the real destination.
func (in *installation) options(dst drivers.Driver) pipeline.Options {
	return pipeline.Options{
		Source: pipeline.Store{Driver: in.src}, Destination: pipeline.Store{Driver: dst},
		Catalog: in.cat, Checkpoint: in.checkpoint, MemoryBytes: 16 << 20,
		AllowVolatile: true, // wherever the tests' folders are
	}
}

// check fails the test unless every document is readable where the catalog
// says, with its bytes, and says how many are at the destination. Whatever is
// in a store must be named by a row.
func (in *installation) check() (moved int) {
	in.t.Helper()
	named := make(map[string]bool)
	for key, plain := range in.plain {
		rows, err := in.cat.Rows(in.t.Context(), []drivers.Key{key})
		if err != nil || len(rows) != 1 {
			in.t.Fatalf("%s: %d rows, %v", key, len(rows), err)
		}
		d := in.src
		if strings.HasPrefix(rows[0].URI, in.dst.Prefix()) {
			d = in.dst
			moved++
		}
		named[rows[0].URI] = true
		got, err := store.ReadPlain(in.t.Context(), d, rows[0])
		if err != nil || !bytes.Equal(got, plain) {
			in.t.Errorf("%s is lost: %v", key, err)
		}
	}
	for _, d := range []drivers.Driver{in.src, in.dst} {
		err := d.(drivers.Lister).List(in.t.Context(), func(uri string, _ drivers.Info) error {
			if !named[uri] {
				in.t.Errorf("%s is named by no row", uri)
			}
			return nil
		})
		if err != nil {
			in.t.Error(err)
		}
	}
	return moved
}

// before calls a function before each put of a document.
type before struct {
	drivers.Driver
	put func(n int64, uri string, p *drivers.Payload) error
	n   atomic.Int64
}

func (b *before) Put(ctx context.Context, uri string, p drivers.Payload) (drivers.Receipt, error) {
	if !strings.Contains(string(p.Bytes), "kedge probe") {
		if err := b.put(b.n.Add(1), uri, &p); err != nil {
			return drivers.Receipt{}, err
		}
	}
	return b.Driver.Put(ctx, uri, p)
}

func (b *before) Sync(ctx context.Context) error { return b.Driver.(drivers.Syncer).Sync(ctx) }

// failures counts the failures of a result by class.
func failures(r pipeline.Result) map[string]int64 {
	counts := make(map[string]int64)
	for _, g := range r.Failures {
		counts[g.Class] = g.Count
	}
	return counts
}

func TestACorruptedPutIsNoticed(t *testing.T) {
	in := install(t, 300)
	corrupt := &before{Driver: in.dst, put: func(n int64, _ string, p *drivers.Payload) error {
		if n%100 == 50 {
			p.Bytes = append([]byte("x"), p.Bytes[1:]...) // the destination knows no better
			p.MD5 = ""
		}
		return nil
	}}
	r, err := pipeline.Run(t.Context(), nil, in.options(corrupt))
	if err != nil {
		t.Fatal(err)
	}
	if got := failures(r); got[failure.ClassVerify] != 3 || r.Failed != 3 || r.State != catalog.TaskFailed {
		t.Errorf("failures %v, state %s; want 3 of %s", got, r.State, failure.ClassVerify)
	}
	if moved := in.check(); moved != 297 {
		t.Errorf("%d documents moved, want 297", moved)
	}
	if r, err = pipeline.Run(t.Context(), nil, in.options(in.dst)); err != nil || r.Failed != 0 || r.Counts.Moved != 3 {
		t.Errorf("the next run: %+v, %v", r, err)
	}
	if moved := in.check(); moved != 300 {
		t.Errorf("%d documents moved in the end", moved)
	}
}

// lying vouches for whatever it is given.
type lying struct{ *before }

func (l lying) Put(ctx context.Context, uri string, p drivers.Payload) (drivers.Receipt, error) {
	promised := p.MD5
	receipt, err := l.before.Put(ctx, uri, p)
	receipt.ProvenMD5 = promised
	return receipt, err
}

func TestReadBackDoesNotBelieveTheDestination(t *testing.T) {
	in := install(t, 20)
	corrupt := lying{&before{Driver: in.dst, put: func(n int64, _ string, p *drivers.Payload) error {
		if n == 7 {
			p.Bytes, p.MD5 = append([]byte("x"), p.Bytes[1:]...), ""
		}
		return nil
	}}}
	o := in.options(corrupt)
	o.ReadBack = true
	r, err := pipeline.Run(t.Context(), nil, o)
	if err != nil || failures(r)[failure.ClassVerify] != 1 {
		t.Errorf("%+v, %v", r.Failures, err)
	}
	if moved := in.check(); moved != 19 {
		t.Errorf("%d documents moved, want 19", moved)
	}
}

func TestADestinationThatIsDownStopsTheRun(t *testing.T) {
	in := install(t, 3000)
	down := &before{Driver: in.dst, put: func(n int64, uri string, _ *drivers.Payload) error {
		if n > 500 {
			return &drivers.Error{Op: "put", URI: uri, Kind: drivers.Temporary, Err: errors.New("connection refused")}
		}
		return nil
	}}
	r, err := pipeline.Run(t.Context(), nil, in.options(down))
	var gaveUp *pipeline.GaveUpError
	if !errors.As(err, &gaveUp) || !strings.Contains(err.Error(), "connection refused") {
		t.Fatalf("got %v, want a GaveUpError", err)
	}
	if r.Failed > 2000 || r.State != catalog.TaskFailed {
		t.Errorf("%d documents were failed before the run gave up, state %s", r.Failed, r.State)
	}
	if moved := in.checkAllButOrphans(); moved > 500 {
		t.Errorf("%d documents moved, want at most 500", moved)
	}
	r, err = pipeline.Run(t.Context(), nil, in.options(in.dst))
	if err != nil || !r.Resumed || r.Failed != 0 || r.Counts.Moved != 3000 || r.State != catalog.TaskComplete {
		t.Errorf("resumed: %+v, %v", r, err)
	}
	if moved := in.check(); moved != 3000 {
		t.Errorf("%d documents moved in the end", moved)
	}
}

// checkAllButOrphans checks what must be so at every instant: what is in flight
// may be in both stores.
func (in *installation) checkAllButOrphans() (moved int) {
	in.t.Helper()
	for key, plain := range in.plain {
		rows, err := in.cat.Rows(in.t.Context(), []drivers.Key{key})
		if err != nil || len(rows) != 1 {
			in.t.Fatalf("%s: %d rows, %v", key, len(rows), err)
		}
		d := in.src
		if strings.HasPrefix(rows[0].URI, in.dst.Prefix()) {
			d = in.dst
			moved++
		}
		got, err := store.ReadPlain(in.t.Context(), d, rows[0])
		if err != nil || !bytes.Equal(got, plain) {
			in.t.Errorf("%s is lost: %v", key, err)
		}
	}
	return moved
}

func TestARowThatSomebodyElseChangedIsLeftAlone(t *testing.T) {
	in := install(t, 300)
	elsewhere := "s3://bucket/admin/b/id-00042"
	meddle := &before{Driver: in.dst, put: func(n int64, _ string, _ *drivers.Payload) error {
		if n == 100 {
			in.exec(`UPDATE archive_metadata SET content_url = ? WHERE "archiveId" = 'id-00042'`, elsewhere)
			in.exec(`DELETE FROM archive_metadata WHERE "archiveId" = 'id-00043'`)
		}
		return nil
	}}
	r, err := pipeline.Run(t.Context(), nil, in.options(meddle))
	if err != nil || failures(r)[failure.ClassRowChanged] != 2 || r.Counts.Moved != 298 {
		t.Fatalf("%+v, %v", r, err)
	}
	for id, want := range map[string]string{"id-00042": elsewhere, "id-00043": ""} {
		key := drivers.Key{UserID: "admin", Bucket: "b", ArchiveID: id}
		rows, err := in.cat.Rows(t.Context(), []drivers.Key{key})
		if err != nil || (want == "") != (len(rows) == 0) || want != "" && rows[0].URI != want {
			t.Errorf("the row of %s: %+v, %v", id, rows, err)
		}
		uri, _ := in.src.URI(key)
		if _, err := in.src.Stat(t.Context(), uri); err != nil {
			t.Errorf("the source of %s was deleted: %v", id, err)
		}
		uri, _ = in.dst.URI(key)
		if _, err := in.dst.Stat(t.Context(), uri); drivers.KindOf(err) != drivers.NotFound {
			t.Errorf("what was put for %s is still at the destination (%v)", id, err)
		}
		delete(in.plain, key)
		in.exec(`DELETE FROM archive_document WHERE "archiveId" = ?`, id)
	}
	in.check()
}

// A run that is stopped at once, at any put, is finished by the next one.
func TestStoppedAtOnceAnywhere(t *testing.T) {
	for _, at := range []int64{1, 256, 300, 700} {
		in := install(t, 700)
		ctx, cancel := context.WithCancel(t.Context())
		stop := &before{Driver: in.dst, put: func(n int64, _ string, _ *drivers.Payload) error {
			if n == at {
				cancel()
			}
			return nil
		}}
		if _, err := pipeline.Run(ctx, nil, in.options(stop)); !errors.Is(err, context.Canceled) {
			t.Errorf("stopped at put %d: %v", at, err)
		}
		cancel()
		in.checkAllButOrphans()
		r, err := pipeline.Run(t.Context(), nil, in.options(in.dst))
		if err != nil || r.Failed != 0 || r.State != catalog.TaskComplete {
			t.Errorf("resumed after put %d: %+v, %v", at, r, err)
		}
		if moved := in.check(); moved != 700 {
			t.Errorf("after put %d and a resume %d documents moved", at, moved)
		}
	}
}
