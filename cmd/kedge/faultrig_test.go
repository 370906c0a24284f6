package main

import (
	"bytes"
	"compress/zlib"
	"context"
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"
	"golang.org/x/sync/errgroup"

	"github.com/kedge/kedge/bench"
	"github.com/kedge/kedge/cmd/kedge/internal/summary"
	"github.com/kedge/kedge/config"
	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/drivers/all"
	"github.com/kedge/kedge/drivers/retry"
	s3driver "github.com/kedge/kedge/drivers/s3"
	swiftdriver "github.com/kedge/kedge/drivers/swift"
	"github.com/kedge/kedge/pipeline"
	"github.com/kedge/kedge/pipeline/catalog/anchore"
)

const (
	// wireTimeout is how long a run waits for a server that says nothing.
	wireTimeout = 1500 * time.Millisecond
	// wireDeadline bounds a run: one that takes as long hangs.
	wireDeadline = 60 * time.Second
	wireSeed     = 4
)

// wireDocument is a document as it was put.
type wireDocument struct {
	drivers.Key
	plain, payload []byte
	compressed     bool
	noDigest       bool // its row has none
}

// wired is a small installation, to be moved over a line with faults.
type wired struct {
	*testing.T
	database   string // URL, not over that line
	documents  []wireDocument
	checkpoint string
	from, to   place // neither
}

// seedWired puts documents into a store, in the backend's own way: many small
// ones, and two that are streamed. The database is an installation's; what it
// had is gone.
func seedWired(t *testing.T, database string, from, to place) *wired {
	t.Helper()
	const documents = 120
	w := &wired{T: t, database: database, checkpoint: filepath.Join(t.TempDir(), "wire.checkpoint"), from: from, to: to}
	w.documents = slices.Clone(wireDocuments(documents, w.from.driver != "db"))
	execute(t, database, `TRUNCATE archive_metadata, archive_document, object_storage, archive_migration_tasks, tasks`)
	w.put()
	conn := connect(t, w.database)
	defer conn.Close(t.Context())
	rows := pgx.CopyFromSlice(documents, func(n int) ([]any, error) {
		d := w.documents[n]
		sum := md5.Sum(d.payload)
		return []any{d.Bucket, d.ArchiveID, d.UserID, d.ArchiveID + ".json", w.uri(d), d.compressed, hex.EncodeToString(sum[:]), int64(len(d.payload))}, nil
	})
	if _, err := conn.CopyFrom(t.Context(), pgx.Identifier{"archive_metadata"},
		[]string{"bucket", "archiveId", "userId", "documentName", "content_url", "is_compressed", "digest", "size"}, rows); err != nil {
		t.Fatal(err)
	}
	return w
}

// madeDocuments are those that wireDocuments has made.
var madeDocuments = make(map[string][]wireDocument)

// wireDocuments makes the documents, always the same ones. Where some are
// compressed, it is every other one.
func wireDocuments(documents int, compressed bool) []wireDocument {
	which := fmt.Sprint(documents, compressed)
	if made, ok := madeDocuments[which]; ok {
		return made
	}
	work := bench.Workload{Documents: documents, Seed: wireSeed}
	list := make([]wireDocument, documents)
	for n := range list {
		d := wireDocument{Key: work.Key(n), plain: work.Plain(n), compressed: compressed && n%2 == 1}
		switch {
		case n == 0: // longer than a part of an upload
			d.plain = report(n, 6<<20)
		case n == 1 && compressed: // longer than what is held, compressed too
			d.plain = report(n, 9<<20)
		case n == 1:
			d.plain = report(n, 9<<19)
		}
		d.payload = d.plain
		if d.compressed {
			var b bytes.Buffer
			z := zlib.NewWriter(&b)
			_, _ = z.Write(d.plain) // to memory
			_ = z.Close()
			d.payload = b.Bytes()
		}
		list[n] = d
	}
	madeDocuments[which] = list
	return list
}

// report is a document of about so many bytes, of which half is noise.
func report(number, length int) []byte {
	noise := make([]byte, length/2)
	_, _ = rand.NewChaCha8([32]byte{byte(number)}).Read(noise) // never fails
	return fmt.Appendf(nil, `{"document": "%x"}`, noise)
}

func (w *wired) uri(d wireDocument) string {
	return w.from.prefix + d.UserID + "/" + d.Bucket + "/" + d.ArchiveID
}

// put stores the payloads at the source.
func (w *wired) put() {
	w.Helper()
	var g errgroup.Group
	g.SetLimit(8)
	if w.from.driver == "db" {
		w.copyDocuments()
		return
	}
	for _, d := range w.documents {
		g.Go(func() error { return w.putOne(d) })
	}
	if err := g.Wait(); err != nil {
		w.Fatal(err)
	}
}

func (w *wired) copyDocuments() {
	w.Helper()
	conn := connect(w, w.database)
	defer conn.Close(w.Context())
	rows := pgx.CopyFromSlice(len(w.documents), func(n int) ([]any, error) {
		d := w.documents[n]
		return []any{d.Bucket, d.ArchiveID, d.UserID, d.ArchiveID + ".json", string(d.payload), false}, nil
	})
	if _, err := conn.CopyFrom(w.Context(), pgx.Identifier{"archive_document"},
		[]string{"bucket", "archiveId", "userId", "documentName", "jsondata", "b64_encoded"}, rows); err != nil {
		w.Fatal(err)
	}
}

func (w *wired) putOne(d wireDocument) error {
	ctx := w.Context()
	switch store := w.from.raw.(type) {
	case objectStore:
		key := strings.TrimPrefix(w.uri(d), "s3://"+store.bucket+"/")
		_, err := store.server.Client().PutObject(ctx, &s3.PutObjectInput{Bucket: &store.bucket, Key: &key, Body: bytes.NewReader(d.payload)})
		return err
	case containerStore:
		name := strings.TrimPrefix(w.uri(d), "swift://"+store.container+"/")
		return store.server.Client().ObjectPutBytes(ctx, store.container, name, d.payload, "application/octet-stream")
	default:
		return fmt.Errorf("no way to put to %s", w.from.name)
	}
}

// wireRun is a migration over a line with faults.
type wireRun struct {
	from, to    place
	database    string
	readBack    bool
	maxFailures int
}

// ended is how a run in this process ended.
type wireEnd struct {
	outcome
	result resultJSON
	took   time.Duration
}

// sharedBuffer is a buffer that several writers may use at once, as they do the
// standard error output.
type sharedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *sharedBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *sharedBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// migrate runs a migration as the program does, but in this process and with
// less patience. It fails the test when the run takes too long or leaves a
// goroutine behind.
func (w *wired) migrate(run wireRun, rest func()) wireEnd {
	w.Helper()
	before := goleak.IgnoreCurrent()
	var stdout bytes.Buffer
	var stderr sharedBuffer // the log and the progress both write to it
	a := &app{globals: &globals{databaseFlags: databaseFlags{DBTimeout: -1}, outputFlags: outputFlags{Output: "json", LogLevel: "info"}}, stdout: &output{w: &stdout}, stderr: &stderr}
	a.log = newLog(a.stderr, a.globals)
	ctx, cancel := context.WithTimeout(w.Context(), wireDeadline)
	defer cancel()
	began := time.Now()
	exit := a.status(w.run(ctx, a, run))
	end := wireEnd{outcome: outcome{stdout.String(), stderr.String(), exit}, took: time.Since(began)}
	if ctx.Err() != nil {
		w.Errorf("the run hangs: it took %v\n%s", end.took, end.stderr)
	}
	rest()
	if err := goleak.Find(before, goleak.IgnoreAnyFunction("github.com/kedge/kedge/internal/testenv/faults.(*TCP).accept")); err != nil {
		w.Errorf("a goroutine is left behind: %v", err)
	}
	if stdout.Len() > 0 {
		if err := json.Unmarshal(stdout.Bytes(), &end.result); err != nil {
			w.Errorf("%v in %s", err, end.stdout)
		}
	}
	return end
}

// run is migrateCommand.Run with stores that have less patience.
func (w *wired) run(ctx context.Context, a *app, run wireRun) error {
	cat, err := anchore.Open(ctx, anchore.Options{Postgres: run.database, ConnectTimeout: 2 * time.Second, LockPatience: wireTimeout, Silence: 2 * wireTimeout, Application: "kedge"})
	if err != nil {
		return err
	}
	defer cat.Close()
	from, err := w.open(ctx, a, run.from, cat)
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := w.open(ctx, a, run.to, cat)
	if err != nil {
		return err
	}
	defer to.Close()
	c := moveFlags{Memory: 64, Checkpoint: w.checkpoint, MaxFailures: run.maxFailures, Elsewhere: "report", UnreadableKeys: "keep", Verify: "auto"}
	if run.readBack {
		c.Verify = "readback"
	}
	result, err := pipeline.Run(ctx, nil, c.options(a, from, to, cat))
	return summary.Migration{Result: result, Err: err}.Conclude(a.results())
}

func (w *wired) open(ctx context.Context, a *app, p place, cat *anchore.Catalog) (pipeline.Store, error) {
	file, err := config.Load(p.config(w, "", compression{}))
	if err != nil {
		return pipeline.Store{}, err
	}
	s, err := section(file, false)
	if err != nil {
		return pipeline.Store{}, err
	}
	d, err := openImpatient(ctx, s, cat)
	if err != nil {
		return pipeline.Store{}, err
	}
	policy := retry.Policy{
		// As many attempts as the program makes: with fewer, a fault that hits one
		// request in three would now and then hit one document every time.
		Attempts: 12, Base: 10 * time.Millisecond, Max: 100 * time.Millisecond,
		Jitter: func(longest time.Duration) time.Duration { return longest },
	}
	return pipeline.Store{Driver: retry.New(d, a.tellRetries(d, policy))}, nil
}

func openImpatient(ctx context.Context, s *config.Store, cat *anchore.Catalog) (drivers.Driver, error) {
	switch s.Driver {
	case "s3":
		var o s3driver.Options
		if err := s.Options.Decode(&o); err != nil {
			return nil, err
		}
		return s3driver.Open(ctx, o, s3driver.Tuning{PartBytes: 5 << 20, ConnectTimeout: time.Second, ResponseTimeout: wireTimeout})
	case "swift":
		o := swiftdriver.DefaultOptions(nil)
		if err := s.Options.Decode(&o); err != nil {
			return nil, err
		}
		return swiftdriver.Open(ctx, o, swiftdriver.Tuning{SegmentBytes: 5 << 20, ConnectTimeout: time.Second, ResponseTimeout: wireTimeout})
	default:
		return all.Open(ctx, s, all.Environment{Postgres: cat.Postgres(), DatabasePlace: cat.Place(), Create: true})
	}
}

// behind is a place reached at another address.
func behind(p place, address, proxy string) place {
	p.options = replaced(p.options, address, proxy)
	return p
}

// databaseBehind is the database's URL at another address, host:port.
func (w *wired) databaseBehind(address string) string {
	u, err := url.Parse(w.database)
	if err != nil {
		w.Fatal(err)
	}
	u.Host = address
	return u.String()
}
