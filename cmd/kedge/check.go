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

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/pipeline"
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

var checkArchiveIDs = [...]string{"cliconfigtest", "cliconfigtest2"}

// Run puts, gets and deletes a test document.
func (c *checkCommand) Run(ctx context.Context, a *app) error {
	file, s, err := load(c.Config, c.AnalysisArchive)
	if err != nil {
		return err
	}
	cat, err := a.openCatalog(ctx, file)
	if err != nil {
		return err
	}
	defer cat.Close()
	store, err := a.openStore(ctx, s, cat, 0, true)
	if err != nil {
		return err
	}
	defer store.Close()
	k := checker{store: store, say: func(format string, args ...any) {
		if a.globals.Output == "text" {
			fmt.Fprintf(a.stdout, format+"\n", args...)
		}
	}}
	k.say("Using config file %s: %s (%s)", c.Config, store.Place(), s.Section)
	if err := k.run(ctx); err != nil {
		return fmt.Errorf("archive config check failed: %w", err)
	}
	if a.globals.Output == "json" {
		return json.NewEncoder(a.stdout).Encode(map[string]any{"ok": true, "driver": s.Driver, "place": store.Place(), "database": cat.Place()})
	}
	k.say("Archive config check completed successfully")
	return nil
}

type checker struct {
	store pipeline.Store
	say   func(format string, args ...any)
}

func (k checker) run(ctx context.Context) error {
	uri, err := k.freePlace(ctx)
	if err != nil {
		return err
	}
	document := []byte(`{"document": "This is a test document from kedge"}`)
	sum := md5.Sum(document)
	if _, err := k.store.Put(ctx, uri, drivers.InMemory(document, hex.EncodeToString(sum[:]))); err != nil {
		return err
	}
	k.say("Checking document fetch")
	ferr := k.fetch(ctx, uri, document)
	k.say("Removing test object")
	// Also after an interrupt: nothing is to be left behind.
	if err := k.store.Delete(context.WithoutCancel(ctx), uri); err != nil {
		return errors.Join(ferr, err)
	}
	if ferr != nil {
		return ferr
	}
	if _, err := k.store.Stat(ctx, uri); drivers.KindOf(err) != drivers.NotFound {
		return fmt.Errorf("delete %s: the test document is still there", uri)
	}
	return nil
}

// freePlace gives the URI of the first test document that is not there.
func (k checker) freePlace(ctx context.Context) (string, error) {
	for _, id := range checkArchiveIDs {
		key := drivers.Key{UserID: checkUser, Bucket: checkBucket, ArchiveID: id}
		uri, err := k.store.URI(key)
		if err != nil {
			return "", err
		}
		k.say("Checking existence of test document with user_id = %s, bucket = %s and archive_id = %s", key.UserID, key.Bucket, key.ArchiveID)
		switch _, err := k.store.Stat(ctx, uri); {
		case drivers.KindOf(err) == drivers.NotFound:
			k.say("Creating test document with user_id = %s, bucket = %s and archive_id = %s", key.UserID, key.Bucket, key.ArchiveID)
			return uri, nil
		case err != nil:
			return "", err
		}
	}
	return "", fmt.Errorf("both test documents are there already, perhaps left by an interrupted check: delete user %s, bucket %s, archive ids %v", checkUser, checkBucket, checkArchiveIDs)
}

func (k checker) fetch(ctx context.Context, uri string, want []byte) error {
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
