package main

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/kedge/kedge/bench"
	"github.com/kedge/kedge/cmd/kedge/internal/ending"
	"github.com/kedge/kedge/cmd/kedge/internal/observe"
	"github.com/kedge/kedge/cmd/kedge/internal/progress"
	"github.com/kedge/kedge/cmd/kedge/internal/summary"
	"github.com/kedge/kedge/config"
	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/pipeline"
	"github.com/kedge/kedge/pipeline/catalog"
	"github.com/kedge/kedge/pipeline/catalog/anchore"
	"github.com/kedge/kedge/pipeline/store"
)

// demoCommand shows a migration on an installation of its own.
type demoCommand struct {
	Documents int    `default:"5000" help:"How many documents the installation has (default ${default})."`
	Directory string `placeholder:"PATH" help:"Where to make it, and leave it; by default a temporary directory that is removed."`
}

const (
	// demoMemory is a small budget, so that little is in flight when the first
	// migration is interrupted, and much is left for the second.
	demoMemory = minMemoryMiB << 20
	// minDemoDocuments is more than a third and what can be in flight.
	minDemoDocuments = 4500
)

// demo is the installation and the configurations of a demonstration.
type demo struct {
	app         *app
	directory   string
	workload    bench.Workload
	source      *config.Store
	destination *config.Store
	database    *config.Database
}

// Run makes, migrates, interrupts, resumes and verifies.
func (c *demoCommand) Run(ctx context.Context, a *app, interrupted *interrupts) error {
	if c.Documents < minDemoDocuments {
		return fmt.Errorf("--documents: at least %d, so that there is time to interrupt", minDemoDocuments)
	}
	directory, remove, err := c.directory()
	if err != nil {
		return err
	}
	defer remove()
	d := &demo{app: a, directory: directory, workload: bench.Workload{Documents: c.Documents, MedianBytes: 4 << 10, MaxBytes: 400 << 10}}
	began := time.Now()
	if err := d.configure(); err != nil {
		return err
	}
	cat, err := d.seed(ctx)
	if err != nil {
		return err
	}
	defer cat.Close()

	d.say("\n1. Migrate to %s, and interrupt that after a third", filepath.Join(directory, "archive"))
	first, err := d.migrate(ctx, cat, interrupted.stop, c.Documents/3)
	if err != nil {
		return err
	}
	if !first.Interrupted {
		return errors.New("the demonstration's first migration was not interrupted")
	}
	if interrupted.asked() {
		return ending.Interrupted("interrupted")
	}
	d.say("   interrupted: %d of %d documents moved, every one of them readable where the catalog says", first.Counts.Moved, first.Documents)

	d.say("\n2. Run it again: it resumes from its checkpoint")
	second, err := d.migrate(ctx, cat, interrupted.stop, 0)
	if err := (summary.Migration{Result: second, Err: err, Configuration: indent(redacted(d.destination))}).Conclude(a.results()); err != nil {
		return err
	}

	d.say("\n3. Verify every document at the place that the catalog names")
	if err := d.verify(ctx, cat); err != nil {
		return err
	}
	d.say("   %d documents read back, every byte as it was; nothing left at the source", c.Documents)
	d.say("\nAll in %s.", time.Since(began).Round(100*time.Millisecond))
	return nil
}

func (d *demo) say(format string, args ...any) { fmt.Fprintf(d.app.stdout, format+"\n", args...) }

func (c *demoCommand) directory() (path string, remove func(), err error) {
	if c.Directory != "" {
		path, err = filepath.Abs(c.Directory)
		if err == nil {
			err = os.Mkdir(path, 0o755) // must be new: nothing of anybody's is touched
		}
		return path, func() {}, err
	}
	path, err = os.MkdirTemp("", "kedge-demo-")
	return path, func() { _ = os.RemoveAll(path) }, err
}

const (
	demoSource = `credentials:
  database:
    db_connect: sqlite:///%s
services:
  catalog:
    object_store:
      compression:
        enabled: False
      storage_driver:
        name: db
        config: {}
`
	demoDestination = `services:
  catalog:
    object_store:
      compression:
        enabled: True
        min_size_kbytes: 2
      storage_driver:
        name: localfs
        config:
          archive_data_dir: %s
`
)

// configure writes the two configurations and reads them as migrate does.
func (d *demo) configure() error {
	source, destination := filepath.Join(d.directory, "config.yaml"), filepath.Join(d.directory, "dest-config.yaml")
	if err := os.WriteFile(source, fmt.Appendf(nil, demoSource, filepath.Join(d.directory, "anchore.db")), 0o600); err != nil {
		return err
	}
	if err := os.WriteFile(destination, fmt.Appendf(nil, demoDestination, filepath.Join(d.directory, "archive")), 0o600); err != nil {
		return err
	}
	file, from, err := d.app.load(source, false)
	if err != nil {
		return err
	}
	if _, d.destination, err = d.app.load(destination, false); err != nil {
		return err
	}
	d.source = from
	d.database, err = file.Database()
	return err
}

// seed makes the installation.
func (d *demo) seed(ctx context.Context) (*anchore.Catalog, error) {
	if err := anchore.CreateSchema(ctx, d.database.Path); err != nil {
		return nil, err
	}
	cat, err := anchore.Open(ctx, anchore.Options{SQLite: d.database.Path})
	if err != nil {
		return nil, err
	}
	store, err := d.app.openStore(ctx, d.source, cat, 0, false)
	if err != nil {
		return nil, errors.Join(err, cat.Close())
	}
	defer store.Close()
	bytes, err := d.seedDocuments(ctx, cat, store)
	if err != nil {
		return nil, errors.Join(err, cat.Close())
	}
	d.say("An installation with %d documents (%s) in driver db: %s", d.workload.Documents, observe.ByteCount(bytes), d.database.Path)
	return cat, nil
}

func (d *demo) seedDocuments(ctx context.Context, cat *anchore.Catalog, store pipeline.Store) (bytes int64, err error) {
	batcher, ok := store.Driver.(drivers.Batcher)
	if !ok {
		return 0, errors.New("driver db puts no batches")
	}
	const batch = 250
	for begin := 0; begin < d.workload.Documents; begin += batch {
		var requests []drivers.PutRequest
		var rows []catalog.Document
		for n := begin; n < min(begin+batch, d.workload.Documents); n++ {
			key, plain := d.workload.Key(n), d.workload.Plain(n)
			uri, err := store.URI(key)
			if err != nil {
				return 0, err
			}
			sum := md5.Sum(plain)
			digest := hex.EncodeToString(sum[:])
			requests = append(requests, drivers.PutRequest{URI: uri, Payload: plain, MD5: digest})
			rows = append(rows, catalog.Document{Key: key, Name: key.ArchiveID + ".json", URI: uri, Digest: digest, Bytes: int64(len(plain))})
			bytes += int64(len(plain))
		}
		for _, r := range batcher.PutBatch(ctx, requests) {
			if r.Err != nil {
				return 0, r.Err
			}
		}
		if err := insertRows(ctx, cat, rows); err != nil {
			return 0, err
		}
	}
	return bytes, nil
}

// insertRows writes catalog rows as Anchore does when it puts a document.
func insertRows(ctx context.Context, cat *anchore.Catalog, rows []catalog.Document) error {
	tx, err := cat.SQLite().BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // has no effect after Commit
	now := time.Now().Unix()
	for _, r := range rows {
		_, err := tx.ExecContext(ctx, `INSERT INTO archive_metadata
			(bucket, "archiveId", "userId", "documentName", content_url, is_compressed, digest, size, created_at, last_updated, record_state_key)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'active')`,
			r.Bucket, r.ArchiveID, r.UserID, r.Name, r.URI, r.Compressed, r.Digest, r.Bytes, now, now)
		if err != nil {
			return err
		}
	}
	return tx.Commit()
}

// migrate runs the migration; when interruptAfter is not 0, it is interrupted
// after about so many puts, as by SIGINT.
func (d *demo) migrate(ctx context.Context, cat *anchore.Catalog, stop <-chan struct{}, interruptAfter int) (pipeline.Result, error) {
	from, err := d.app.openStore(ctx, d.source, cat, 0, false)
	if err != nil {
		return pipeline.Result{}, err
	}
	defer from.Close()
	to, err := d.app.openStore(ctx, d.destination, cat, 0, true)
	if err != nil {
		return pipeline.Result{}, err
	}
	defer to.Close()
	if interruptAfter > 0 {
		tripped := make(chan struct{})
		to.Driver = &tripwire{Driver: to.Driver, left: int64(interruptAfter), stop: tripped}
		stop = tripped
	}
	out := io.Writer(d.app.stdout)
	if d.app.globals.Quiet {
		out = io.Discard
	}
	return pipeline.Run(ctx, stop, pipeline.Options{
		Source: from, Destination: to, Catalog: cat, Checkpoint: filepath.Join(d.directory, "demo.checkpoint"),
		MemoryBytes: demoMemory, Log: d.app.log,
		AllowVolatile: true, // the installation is nobody's
		Started:       func(s pipeline.Start) { progress.TellStart(out, progress.MigrationTask, s) }, Counted: func(t pipeline.Total) { progress.TellTotal(out, progress.MigrationTask, t) },
	})
}

// tripwire closes stop at the n-th put.
type tripwire struct {
	drivers.Driver
	left int64
	stop chan struct{}
}

// Put counts, and puts.
func (t *tripwire) Put(ctx context.Context, uri string, p drivers.Payload) (drivers.Receipt, error) {
	if atomic.AddInt64(&t.left, -1) == 0 {
		close(t.stop)
	}
	return t.Driver.Put(ctx, uri, p)
}

// Sync passes on to the driver.
func (t *tripwire) Sync(ctx context.Context) error {
	if s, ok := t.Driver.(drivers.Syncer); ok {
		return s.Sync(ctx)
	}
	return nil
}

// verify reads every document of the workload back and compares it with what
// was put, and looks that nothing is left at the source.
func (d *demo) verify(ctx context.Context, cat *anchore.Catalog) error {
	to, err := d.app.openStore(ctx, d.destination, cat, 0, true)
	if err != nil {
		return err
	}
	defer to.Close()
	for n := range d.workload.Documents {
		rows, err := cat.Rows(ctx, []drivers.Key{d.workload.Key(n)})
		if err != nil {
			return err
		}
		if len(rows) != 1 {
			return fmt.Errorf("document %d has %d rows in the catalog", n, len(rows))
		}
		plain, err := store.ReadPlain(ctx, to.Driver, rows[0])
		if err != nil {
			return err
		}
		if string(plain) != string(d.workload.Plain(n)) {
			return fmt.Errorf("%s holds other bytes than were put", rows[0].URI)
		}
	}
	return d.sourceEmpty(ctx, cat)
}

func (d *demo) sourceEmpty(ctx context.Context, cat *anchore.Catalog) error {
	from, err := d.app.openStore(ctx, d.source, cat, 0, false)
	if err != nil {
		return err
	}
	defer from.Close()
	lister, ok := from.Driver.(drivers.Lister)
	if !ok {
		return errors.New("driver db does not list")
	}
	return lister.List(ctx, func(uri string, _ drivers.Info) error {
		return fmt.Errorf("%s is still at the source", uri)
	})
}
