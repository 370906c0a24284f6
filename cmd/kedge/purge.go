package main

import (
	"context"
	"errors"

	"github.com/kedge/kedge/cmd/kedge/internal/summary"
	"github.com/kedge/kedge/cmd/kedge/internal/watch"
	"github.com/kedge/kedge/pipeline"
	"github.com/kedge/kedge/pipeline/catalog/anchore"
)

// purgeCommand deletes what is left at a source.
type purgeCommand struct {
	Source      string `arg:"" name:"source.yaml" help:"Configuration of the store that was migrated from."`
	Destination string `arg:"" name:"dest.yaml" help:"Configuration of the store that was migrated to."`

	FromAnalysisArchive bool     `help:"The source is its configuration's analysis_archive."`
	ToAnalysisArchive   bool     `help:"The destination is its configuration's analysis_archive."`
	DryRun              bool     `help:"Delete nothing, only prove and count."`
	DontAsk             bool     `name:"dontask" help:"Do not ask for confirmation."`
	Bucket              []string `sep:"none" placeholder:"NAME" help:"Only documents of this logical bucket of Anchore; may be given several times."`
	Workers             int      `placeholder:"N" help:"Operations in flight at each side; by default what suits the driver."`
	deletionFlags
	waitFlags
	Checkpoint    string `placeholder:"PATH" help:"File that lets an interrupted purge go on. Default: as for migrate."`
	AllowVolatile bool   `help:"Delete also where the destination or the database may not keep what it is given, as for migrate."`
	Wait          bool   `help:"Wait while another migration holds the lock, instead of refusing."`

	sideLimits
	watch.Flags
}

// Validate is called by kong.
func (c *purgeCommand) Validate() error {
	return errors.Join(c.deletionFlags.Validate(), c.waitFlags.Validate())
}

// Run purges.
func (c *purgeCommand) Run(ctx context.Context, a *app, interrupted *interrupts) (err error) {
	sourceFile, source, err := a.load(c.Source, c.FromAnalysisArchive)
	if err != nil {
		return err
	}
	_, destination, err := a.load(c.Destination, c.ToAnalysisArchive)
	if err != nil {
		return err
	}
	d := watch.OfDocuments(c.watched("purge", source.Driver, destination.Driver))
	w, err := c.Begin(ctx, interrupted.stop, a.log, d.Now)
	if err != nil {
		return err
	}
	defer func() { w.Close(err) }()
	cat, err := a.openCatalog(ctx, sourceFile)
	if err != nil {
		return err
	}
	defer cat.Close()
	if !c.DryRun {
		if err := mayWrite(ctx, cat, anchore.Work{Source: source.Driver, Purge: true}); err != nil {
			return err
		}
		if err := confirm(a, c.DontAsk); err != nil {
			return err
		}
	}
	from, to, err := a.openPair(ctx, source, destination, cat, c.Workers, false, c.GiveUpAfter, c.sideLimits)
	if err != nil {
		return err
	}
	defer from.Close()
	defer to.Close()
	o := pipeline.Options{
		Job: pipeline.Purge, KeepSource: c.DryRun, Source: from, Destination: to, Catalog: cat,
		Checkpoint: c.Checkpoint, Buckets: c.Bucket, Workers: c.Workers, MemoryBytes: c.Memory << 20,
		AllowVolatile: c.AllowVolatile, WatchDeletions: c.WatchDeletes, WaitForLock: c.Wait, Log: a.log,
	}
	if err := placeFiles(&o); err != nil {
		return err
	}
	d.Follow(&o)
	result, err := a.progress.Run(ctx, interrupted.stop, o)
	err = summary.Purge{Result: result, Err: err, DryRun: c.DryRun}.Conclude(a.results())
	if result.State != "" {
		w.Over(d.Now(), err, d.Report(from, to, result, c.nextSteps(err)))
	}
	return err
}
