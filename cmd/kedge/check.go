package main

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/kedge/kedge/cmd/kedge/internal/summary"
	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/pipeline"
	"github.com/kedge/kedge/pipeline/catalog"
	"github.com/kedge/kedge/pipeline/catalog/anchore"
	"github.com/kedge/kedge/pipeline/folding"
)

// checkCommand tries a store.
type checkCommand struct {
	Config          string `arg:"" name:"config.yaml" help:"Configuration to check."`
	AnalysisArchive bool   `help:"Check analysis_archive instead of object_store."`
}

// The test documents that anchore-manager uses, the second where the first is
// there already.
const (
	checkUser   = "test"
	checkBucket = "anchorecliconfigtest"
)

// checkBytes is the length of what check puts, that of a long document: a server, or
// what stands before it, may not take as much, or do otherwise with it than with a
// short one.
const checkBytes = 4 << 20

// testBody is a text with white space behind it.
func testBody(text string) []byte {
	return append([]byte(text), bytes.Repeat([]byte{' '}, checkBytes-len(text))...)
}

var checkArchiveIDs = [...]string{"cliconfigtest", "cliconfigtest2"}

// Run puts, gets and deletes a test document, with its row in the catalog, and
// prints what was found.
func (c *checkCommand) Run(ctx context.Context, a *app) error {
	if f, err := a.loadConfig(c.Config); err != nil {
		return err
	} else if f.IsRegistry() {
		return c.runRegistry(ctx, a, f)
	}
	file, s, err := a.load(c.Config, c.AnalysisArchive)
	if err != nil {
		return err
	}
	cat, err := a.openCatalog(ctx, file)
	if err != nil {
		return err
	}
	defer cat.Close()
	if err := mayWrite(ctx, cat, anchore.Work{Source: s.Driver, Destination: s.Driver, TestRow: true}); err != nil {
		return fmt.Errorf("archive config check failed: %w", err)
	}
	store, err := a.openStore(ctx, s, cat, 0, true)
	if err != nil {
		return err
	}
	defer store.Close()
	k := &checker{store: store, cat: cat, say: func(format string, args ...any) {
		if a.globals.Output == "text" {
			fmt.Fprintf(a.stdout, format+"\n", args...)
		}
	}}
	k.say("Using config file %s (%s)", c.Config, s.Section)
	k.find("store", store.Place(), false)
	k.find("database", cat.Place(), false)
	k.findings = append(k.findings, warnings(file)...)
	if err := k.findVolatile(ctx); err != nil {
		return err
	}
	err = k.run(ctx)
	if a.globals.Output == "json" {
		return k.json(a.stdout, s.Driver, err)
	}
	k.table(a.stdout)
	if err != nil {
		return err
	}
	k.say("Archive config check completed successfully")
	return nil
}

type checker struct {
	store    pipeline.Store
	cat      *anchore.Catalog
	say      func(format string, args ...any)
	findings []drivers.Finding
}

func (k *checker) find(name, value string, amiss bool) {
	k.findings = append(k.findings, drivers.Finding{Name: name, Value: value, Amiss: amiss})
}

// findVolatile tells of what may not keep what it is given. That is not amiss: the
// store may be a source.
func (k *checker) findVolatile(ctx context.Context) error {
	const value = "%s may not keep what it is given: %s. A migration to here that deletes its sources is refused, but with --allow-volatile"
	if reason := k.store.Capabilities().Volatile; reason != "" {
		k.find("volatile", fmt.Sprintf(value, "the store", reason), false)
	}
	if k.cat == nil {
		return nil // a registry has no catalog
	}
	reasons, err := k.cat.Volatile(ctx)
	for _, reason := range reasons {
		k.find("volatile", fmt.Sprintf(value, "the database", reason), false)
	}
	return err
}

// run tries everything; what it finds is in findings, also when it fails.
func (k *checker) run(ctx context.Context) error {
	if err := k.testDocument(ctx); err != nil {
		k.find("test document", err.Error(), true)
		return fmt.Errorf("archive config check failed: %w", err)
	}
	k.find("test document", "put, got and deleted, with its row in the catalog", false)
	key := drivers.Key{UserID: checkUser, Bucket: checkBucket + folding.Accented, ArchiveID: checkArchiveIDs[0]}
	if uri, err := k.store.URI(key); err == nil { // else no such name can be held
		if err := k.findNames(ctx, uri); err != nil {
			return fmt.Errorf("archive config check failed: %w", err)
		}
	}
	if inspector, ok := k.store.Driver.(drivers.Inspector); ok {
		found, err := inspector.Inspect(ctx)
		if err != nil {
			return fmt.Errorf("archive config check failed: %w", err)
		}
		k.findings = append(k.findings, found...)
	}
	for _, f := range k.findings {
		if f.Amiss {
			return fmt.Errorf("archive config check failed: %s: %s", f.Name, f.Value)
		}
	}
	return nil
}

// findNames tries whether the store tells names apart that differ only in case, or
// in the form of their letters.
func (k *checker) findNames(ctx context.Context, uri string) error {
	folds, err := folding.Try(ctx, k.store.Driver, uri, nil)
	if err != nil {
		return err
	}
	if folds {
		k.find("names", "those that differ only in case, or in the form of their letters, are one here: of two documents that differ in no more, one would stay", false)
	} else {
		k.find("names", "told apart, also where they differ only in case", false)
	}
	return nil
}

// testDocument puts a document where none is, with its row, and takes both away.
func (k *checker) testDocument(ctx context.Context) (err error) {
	document := testBody(`{"document": "This is a test document from kedge"}`)
	sum := md5.Sum(document)
	row, err := k.freePlace(ctx, hex.EncodeToString(sum[:]), int64(len(document)))
	if err != nil {
		return err
	}
	// Also after an interrupt nothing is to be left behind.
	defer func() {
		k.say("Removing test object")
		clean := context.WithoutCancel(ctx)
		err = errors.Join(err, k.cat.RemoveRow(clean, row), k.store.Delete(clean, row.URI))
		if _, serr := k.store.Stat(clean, row.URI); err == nil && !gone(serr) {
			err = fmt.Errorf("delete %s: the test document is still there", row.URI)
		}
	}()
	if _, err := k.store.Put(ctx, row.URI, drivers.InMemory(document, row.Digest)); err != nil {
		return err
	}
	k.say("Checking document fetch")
	return k.fetch(ctx, row.URI, document)
}

// freePlace finds a test document that is neither in the catalog nor in the
// store, and writes its row.
func (k *checker) freePlace(ctx context.Context, digest string, bytes int64) (row catalog.Document, err error) {
	for _, id := range checkArchiveIDs {
		row = catalog.Document{Key: drivers.Key{UserID: checkUser, Bucket: checkBucket, ArchiveID: id}, Name: id + ".json", Digest: digest, Bytes: bytes}
		if row.URI, err = k.store.URI(row.Key); err != nil {
			return row, err
		}
		k.say("Checking existence of test document with user_id = %s, bucket = %s and archive_id = %s", row.UserID, row.Bucket, row.ArchiveID)
		// Where it is not told whether there is such a document, it is put and read:
		// then it may be read, and was not there.
		if _, err := k.store.Stat(ctx, row.URI); err == nil {
			continue
		} else if !gone(err) {
			return row, err
		}
		k.say("Creating test document with user_id = %s, bucket = %s and archive_id = %s", row.UserID, row.Bucket, row.ArchiveID)
		err := k.cat.AddRow(ctx, row)
		if errors.Is(err, anchore.ErrRowExists) {
			continue
		}
		return row, err
	}
	return row, fmt.Errorf("both test documents are there already, perhaps left by an interrupted check: delete user %s, bucket %s, archive ids %v, from store and catalog", checkUser, checkBucket, checkArchiveIDs)
}

// gone says whether the answer to a question for a document is that of one that is
// not there. Where the store does not tell that from one that may not be read, the
// same document is read before it is deleted, or after it was put.
func gone(err error) bool {
	kind := drivers.KindOf(err)
	return kind == drivers.NotFound || kind == drivers.Untold
}

func (k *checker) fetch(ctx context.Context, uri string, want []byte) error {
	r, _, err := k.store.Get(ctx, uri)
	if err != nil {
		return err
	}
	defer r.Close()
	got, err := io.ReadAll(io.LimitReader(r, int64(len(want))+1))
	if err != nil {
		return err
	}
	if !bytes.Equal(got, want) {
		return fmt.Errorf("get %s: other bytes came back than were put", uri)
	}
	return nil
}

func (k *checker) table(w io.Writer) {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	for _, f := range k.findings {
		mark := " "
		if f.Amiss {
			mark = "!"
		}
		fmt.Fprintf(t, "%s %s\t%s\n", mark, f.Name, f.Value)
	}
	_ = t.Flush()
}

func (k *checker) json(w io.Writer, driver string, err error) error {
	out := struct {
		OK       bool              `json:"ok"`
		Driver   string            `json:"driver"`
		Findings []summary.Finding `json:"findings"`
		Error    string            `json:"error,omitempty"`
	}{OK: err == nil, Driver: driver, Findings: summary.Findings(k.findings)}
	if err != nil {
		out.Error = err.Error()
	}
	return errors.Join(err, json.NewEncoder(w).Encode(out))
}
