package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/kedge/kedge/cmd/kedge/internal/summary"
	"github.com/kedge/kedge/config"
	"github.com/kedge/kedge/drivers/all"
	"github.com/kedge/kedge/pipeline"
	"github.com/kedge/kedge/pipeline/audit"
	"github.com/kedge/kedge/pipeline/catalog/anchore"
)

// verifyCommand audits an installation.
type verifyCommand struct {
	Config  string   `arg:"" name:"config.yaml" help:"Configuration of the installation: its object_store, and its analysis_archive if there is one."`
	Bucket  []string `sep:"none" placeholder:"NAME" help:"Only documents of this logical bucket of Anchore; may be given several times."`
	Sample  percent  `placeholder:"N%" help:"Check only so many documents of a hundred, always the same ones."`
	Orphans bool     `help:"Also list the payloads in the stores that no row of the catalog names."`
	Workers int      `placeholder:"N" help:"Operations in flight; by default what suits the drivers."`
	waitFlags
	Checkpoint string `placeholder:"PATH" help:"File that lets an interrupted audit go on. Default: as for migrate."`

	storeLimits
}

// percent is a share of a hundred, written with or without the sign.
type percent float64

// UnmarshalText reads "5%" or "0.5".
func (p *percent) UnmarshalText(text []byte) error {
	n, err := strconv.ParseFloat(strings.TrimSuffix(string(text), "%"), 64)
	if err != nil || !(n > 0 && n <= 100) {
		return fmt.Errorf("%q is no share: from 0.01%% to 100%%", text)
	}
	*p = percent(n)
	return nil
}

// Run audits.
func (c *verifyCommand) Run(ctx context.Context, a *app, interrupted *interrupts) error {
	file, err := a.loadConfig(c.Config)
	if err != nil {
		return err
	}
	if file.IsRegistry() {
		return c.runRegistry(ctx, a, interrupted, file)
	}
	sections, err := c.sections(file)
	if err != nil {
		return err
	}
	cat, err := a.openCatalog(ctx, file)
	if err != nil {
		return err
	}
	defer cat.Close()
	stores, err := a.openAll(ctx, sections, cat, c.Workers, storeWait{"store", c.GiveUpAfter, c.limits()})
	defer closeAll(stores)
	if err != nil {
		return err
	}
	o := audit.Options{
		Stores: stores, Catalog: cat, Checkpoint: c.Checkpoint, Buckets: c.Bucket, SamplePercent: float64(c.Sample),
		Orphans: c.Orphans, MemoryBytes: c.Memory << 20, Workers: c.Workers, Log: a.log,
	}
	out := a.results()
	o.Failed, o.Orphan = out.Failed, out.Orphan
	if o.Checkpoint, err = checkpointPath(o.Checkpoint, audit.Identity(o).Fingerprint); err != nil {
		return err
	}
	result, err := a.progress.Audit(ctx, interrupted.stop, o)
	return summary.Audit{
		Result: result, Err: err, Orphans: c.Orphans, SamplePercent: float64(c.Sample), Bucket: len(c.Bucket) > 0,
	}.Conclude(out)
}

// sections are the stores that the configuration has: the analysis archive only
// where it is there and not switched off.
func (c *verifyCommand) sections(f *config.File) ([]*config.Store, error) {
	main, err := section(f, false)
	if err != nil {
		return nil, err
	}
	list := []*config.Store{main}
	if !f.HasAnalysisArchive() {
		return list, nil
	}
	archive, err := f.AnalysisArchive()
	if err != nil {
		return nil, err
	}
	return append(list, archive), all.Check(archive)
}

func (a *app) openAll(ctx context.Context, sections []*config.Store, cat *anchore.Catalog, workers int, w storeWait) (stores []pipeline.Store, err error) {
	for _, s := range sections {
		store, err := a.openPatient(ctx, s, cat, workers, false, w)
		if err != nil {
			return stores, err
		}
		stores = append(stores, store)
	}
	return stores, nil
}

func closeAll(stores []pipeline.Store) {
	for _, s := range stores {
		_ = s.Close() // nothing was written
	}
}
