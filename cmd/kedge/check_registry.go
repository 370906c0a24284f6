package main

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/kedge/kedge/config"
	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/drivers/all"
	"github.com/kedge/kedge/pipeline"
	"github.com/kedge/kedge/pipeline/tree"
)

// registryCheckPath is where check puts its file; the registry does not look
// there.
const registryCheckPath = "docker/registry/kedge-check"

// runRegistry puts, lists, gets and deletes a file in a registry's storage.
func (c *checkCommand) runRegistry(ctx context.Context, a *app, f *config.File) error {
	if c.AnalysisArchive {
		return errors.New("--analysis-archive is about an Anchore installation; this is a registry's configuration")
	}
	r, err := loadRegistry(f)
	if err != nil {
		return err
	}
	store, err := a.openRegistry(ctx, r, all.RegistryEnvironment{ThroughCloudFront: true}, storeWait{})
	if err != nil {
		return err
	}
	defer store.Close()
	k := &checker{store: pipeline.Store{Driver: store}, say: func(format string, args ...any) {
		if a.globals.Output == "text" {
			fmt.Fprintf(a.stdout, format+"\n", args...)
		}
	}}
	k.say("Using config file %s (storage)", c.Config)
	k.find("store", store.Place(), false)
	k.findings = append(k.findings, warnings(f)...)
	if err := k.findVolatile(ctx); err != nil {
		return err
	}
	if err = k.findRegistry(ctx, store); err != nil {
		k.find("registry", err.Error(), true)
		err = fmt.Errorf("storage config check failed: %w", err)
	} else if err = k.checkTree(ctx, store); err != nil {
		k.find("test file", err.Error(), true)
		err = fmt.Errorf("storage config check failed: %w", err)
	} else {
		k.find("test file", "put, listed, got and deleted", false)
		var uri string
		if uri, err = store.PathURI(registryCheckPath + "/link"); err == nil {
			err = k.findNames(ctx, uri)
		}
	}
	if a.globals.Output == "json" {
		return k.json(a.stdout, r.Driver, err)
	}
	k.table(a.stdout)
	if err == nil {
		k.say("Storage config check completed successfully")
	}
	return err
}

// findRegistry looks whether a registry's storage is there. A place that is empty may
// be a destination.
func (k *checker) findRegistry(ctx context.Context, s tree.Store) error {
	err := tree.Holds(ctx, s)
	var none *tree.NoRegistryError
	switch {
	case err == nil:
		k.find("registry", "there", false)
	case errors.As(err, &none) && none.Empty:
		k.find("registry", "none: the place is empty, which is right for a destination only", false)
	default:
		return err
	}
	return nil
}

// checkTree tries what a migration does. Also after an interrupt nothing is to be
// left behind.
func (k *checker) checkTree(ctx context.Context, s tree.Store) (err error) {
	content := testBody("This is a test file from kedge\n")
	sum := md5.Sum(content)
	uri, err := s.PathURI(registryCheckPath)
	if err != nil {
		return err
	}
	defer func() {
		clean := context.WithoutCancel(ctx)
		err = errors.Join(err, s.Delete(clean, uri))
		if _, serr := s.Stat(clean, uri); err == nil && !gone(serr) {
			err = fmt.Errorf("delete %s: the test file is still there", uri)
		}
	}()
	if _, err := s.Put(ctx, uri, drivers.InMemory(content, hex.EncodeToString(sum[:]))); err != nil {
		return err
	}
	listed := false
	if err := s.ListAfter(ctx, registryCheckPath, "", func(path string, _ drivers.Info) error {
		listed = listed || path == registryCheckPath
		return nil
	}); err != nil {
		return err
	}
	if !listed {
		return fmt.Errorf("list %s: the test file is not listed", s.Place())
	}
	return k.fetch(ctx, uri, content)
}
