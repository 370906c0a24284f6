package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/kedge/kedge/cmd/kedge/internal/summary"
	"github.com/kedge/kedge/cmd/kedge/internal/watch"
	"github.com/kedge/kedge/config"
	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/drivers/all"
	"github.com/kedge/kedge/drivers/metrics"
	"github.com/kedge/kedge/drivers/retry"
	"github.com/kedge/kedge/pipeline"
	"github.com/kedge/kedge/pipeline/tree"
)

// registryFlags are the flags of migrate that are about a registry's storage.
type registryFlags struct {
	Repository     []string `sep:"none" placeholder:"NAME" help:"Of a registry's storage only this repository and the blobs that it needs; may be given several times."`
	ExcludeUploads bool     `default:"true" negatable:"" help:"Leave out a registry's unfinished uploads (the default)."`
}

// openTree is a registry's storage with retries around it.
type openTree struct {
	drivers.Driver
	drivers.Tree
	drivers.Aborter
	drivers.Syncer
	drivers.Watched
	drivers.Carrier
	meter *metrics.Meter
}

// Abilities that are looked for by their type are lost where the struct lacks them.
var _ drivers.Carrier = (*openTree)(nil)

// openRegistry opens a registry's storage. One that is to be written may be
// created.
func (a *app) openRegistry(ctx context.Context, r *config.Registry, e all.RegistryEnvironment, w storeWait) (*openTree, error) {
	opened, err := all.OpenRegistry(ctx, r, e)
	if err != nil {
		return nil, err
	}
	// The decorator can do all that the driver can, which its type does not say.
	repeated, meter := a.decorated(opened, retry.Policy{}, w)
	return &openTree{repeated, repeated.(drivers.Tree), repeated.(drivers.Aborter), repeated.(drivers.Syncer), repeated.(drivers.Watched), repeated.(drivers.Carrier), meter}, nil
}

// loadRegistry reads and checks a registry's configuration.
func loadRegistry(f *config.File) (*config.Registry, error) {
	r, err := f.Registry(nil)
	if err != nil {
		return nil, err
	}
	return r, all.CheckRegistry(r)
}

// registries says whether the configurations are registries'. One of each kind
// is refused.
func (a *app) registries(source, destination string) (from, to *config.File, are bool, err error) {
	if from, err = a.loadConfig(source); err != nil {
		return nil, nil, false, err
	}
	if to, err = a.loadConfig(destination); err != nil {
		return nil, nil, false, err
	}
	if from.IsRegistry() != to.IsRegistry() {
		kind := map[bool]string{true: "a registry's configuration", false: "an Anchore installation's"}
		return nil, nil, false, &pipeline.RefusedError{Reason: fmt.Sprintf("%s is %s and %s is %s: documents and a registry's storage cannot be moved into each other",
			source, kind[from.IsRegistry()], destination, kind[to.IsRegistry()])}
	}
	return from, to, from.IsRegistry(), nil
}

// anchoreOnly refuses flags that mean nothing for a registry.
func (c *migrateCommand) anchoreOnly() error {
	for flag, given := range map[string]bool{
		"--bucket": len(c.Bucket) > 0, "--from-analysis-archive": c.FromAnalysisArchive, "--to-analysis-archive": c.ToAnalysisArchive,
		"--elsewhere": c.Elsewhere != "report", "--unreadable-keys": c.UnreadableKeys != "keep", "--wait": c.Wait,
	} {
		if given {
			return fmt.Errorf("%s is about an Anchore installation; these are registries' configurations", flag)
		}
	}
	return nil
}

// registryOnly refuses flags that mean nothing for Anchore.
func (c *migrateCommand) registryOnly() error {
	if len(c.Repository) > 0 || !c.ExcludeUploads {
		return errors.New("--repository and --no-exclude-uploads are about a registry's storage; these are an Anchore installation's configurations")
	}
	return nil
}

const registryQuestion = "The source will be emptied when all is proved: no registry may write to it any more, and none should serve from it afterwards - proceed? (y/N)"

// runRegistry migrates a registry's storage.
func (c *migrateCommand) runRegistry(ctx context.Context, a *app, interrupted *interrupts, sourceFile, destinationFile *config.File) (err error) {
	if err := c.anchoreOnly(); err != nil {
		return err
	}
	if c.DryRun {
		return errors.New("a dry run is about an Anchore installation; for a registry's storage kedge check tries both sides, and migrate --nodelete leaves the source as it is")
	}
	source, err := loadRegistry(sourceFile)
	if err != nil {
		return err
	}
	destination, err := loadRegistry(destinationFile)
	if err != nil {
		return err
	}
	d := watch.OfTree(c.watched("migrate", source.Driver, destination.Driver))
	w, err := c.Begin(ctx, interrupted.stop, a.log, d.Now)
	if err != nil {
		return err
	}
	defer func() { w.Close(err) }()
	a.announce("Migration", redactedRegistry(source), redactedRegistry(destination))
	if err := c.confirmRegistry(a); err != nil {
		return err
	}
	from, err := a.openRegistry(ctx, source, all.RegistryEnvironment{Workers: c.Workers, ThroughCloudFront: true}, storeWait{"source", c.GiveUpAfter, c.source()})
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := a.openRegistry(ctx, destination, all.RegistryEnvironment{Workers: c.Workers, Create: true}, storeWait{"destination", c.GiveUpAfter, c.destination()})
	if err != nil {
		return err
	}
	defer to.Close()
	d.Meters(from.meter, to.meter)
	p := a.progress.Tree(interrupted.stop, "Registry")
	defer p.Close()
	o, err := c.treeOptions(a, from, to)
	if err != nil {
		return err
	}
	o.Started = func(s tree.Start) { d.Started(s); p.Started(s) }
	o.Report = func(s tree.Snapshot) { d.Told(s); p.Report(s) }
	result, err := tree.Run(ctx, interrupted.stop, o)
	p.Close()
	err = summary.Tree{Result: result, Err: err, NoDelete: c.NoDelete}.Conclude(a.results())
	if result.Pass != 0 {
		report := d.Report(from, to, result)
		report.Next = c.nextTreeSteps(result, err)
		w.Over(d.Now(), err, report)
	}
	return err
}

func (c *migrateCommand) treeOptions(a *app, from, to tree.Store) (tree.Options, error) {
	o := tree.Options{
		Source: from, Destination: to, Repositories: c.Repository, Uploads: !c.ExcludeUploads,
		KeepSource: c.NoDelete, ReadBack: c.Verify == "readback", MemoryBytes: c.Memory << 20, Workers: c.Workers,
		MaxBackendFailures: c.MaxFailures, AllowVolatile: c.AllowVolatile, WatchDeletions: c.WatchDeletes, Log: a.log,
	}
	var err error
	o.Checkpoint, err = checkpointPath(c.Checkpoint, tree.Identity(o).Fingerprint)
	return o, err
}

func (c *migrateCommand) confirmRegistry(a *app) error {
	if c.DontAsk || c.NoDelete {
		return nil
	}
	return ask(a, registryQuestion, "the source will be emptied, and there is no terminal to ask on; give --dontask if no registry writes to it any more, or --nodelete to keep it")
}

// redactedRegistry is the storage's configuration with secrets masked.
func redactedRegistry(r *config.Registry) string {
	options, err := all.NewRegistryOptions(r)
	if err != nil {
		return ""
	}
	return r.Redacted(options)
}
