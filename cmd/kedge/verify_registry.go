package main

import (
	"context"
	"errors"

	"github.com/kedge/kedge/cmd/kedge/internal/summary"
	"github.com/kedge/kedge/config"
	"github.com/kedge/kedge/drivers/all"
	"github.com/kedge/kedge/pipeline/tree"
)

// runRegistry audits a registry's storage.
func (c *verifyCommand) runRegistry(ctx context.Context, a *app, interrupted *interrupts, f *config.File) error {
	if len(c.Bucket) > 0 || c.Sample > 0 {
		return errors.New("--bucket and --sample are about an Anchore installation; this is a registry's configuration")
	}
	r, err := loadRegistry(f)
	if err != nil {
		return err
	}
	store, err := a.openRegistry(ctx, r, all.RegistryEnvironment{Workers: c.Workers, ThroughCloudFront: true}, storeWait{"registry", c.GiveUpAfter, c.limits()})
	if err != nil {
		return err
	}
	defer store.Close()
	w := a.progress.Tree(interrupted.stop, "Audit of a registry")
	defer w.Close()
	w.Begin()
	o := tree.AuditOptions{
		Store: store, Checkpoint: c.Checkpoint, MemoryBytes: c.Memory << 20, Workers: c.Workers, Log: a.log, Report: w.Report,
	}
	out := a.results()
	o.Failed, o.Orphan = out.FailedFile, out.OrphanFile
	if o.Checkpoint, err = checkpointPath(o.Checkpoint, tree.AuditIdentity(store).Fingerprint); err != nil {
		return err
	}
	result, err := tree.Audit(ctx, interrupted.stop, o)
	w.Close()
	return summary.TreeAudit{AuditResult: result, Err: err, Orphans: c.Orphans}.Conclude(out)
}
