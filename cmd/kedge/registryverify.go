package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

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
	w := a.showTree(interrupted, "Audit of a registry")
	defer w.close()
	w.begin()
	o := tree.AuditOptions{
		Store: store, Checkpoint: c.Checkpoint, MemoryBytes: c.Memory << 20, Workers: c.Workers, Log: a.log, Report: w.report,
	}
	out := treeFindings{w: a.stdout, json: a.globals.Output == "json"}
	o.Failed, o.Orphan = out.failed, out.orphan
	if o.Checkpoint == "" {
		if o.Checkpoint, err = defaultCheckpoint(tree.AuditIdentity(store).Fingerprint); err != nil {
			return err
		}
	}
	result, err := tree.Audit(ctx, interrupted.stop, o)
	w.close()
	return c.registryConcluded(out, result, err)
}

// treeFindings prints what an audit finds: a line each.
type treeFindings struct {
	w    io.Writer
	json bool
}

func (f treeFindings) failed(x tree.Failure) {
	if f.json {
		_ = json.NewEncoder(f.w).Encode(map[string]any{"kind": "failure", "class": x.Class, "path": x.Path, "reason": x.Reason})
		return
	}
	fmt.Fprintf(f.w, "%s %q: %s\n", x.Class, x.Path, x.Reason)
}

func (f treeFindings) orphan(path string, bytes int64) {
	if f.json {
		_ = json.NewEncoder(f.w).Encode(map[string]any{"kind": "orphan", "path": path, "bytes": bytes})
		return
	}
	fmt.Fprintf(f.w, "orphan %q (%d bytes): no link names it\n", path, bytes)
}

func (c *verifyCommand) registryConcluded(out treeFindings, r tree.AuditResult, err error) error {
	if err != nil {
		if errors.Is(err, context.Canceled) {
			return &interruptedError{"stopped at once; run the same command again to go on"}
		}
		return fmt.Errorf("%w; %s", err, again(err))
	}
	if out.json {
		if err := json.NewEncoder(out.w).Encode(map[string]any{"kind": "summary", "blobs": r.Counts.Blobs, "links": r.Counts.Links, "others": r.Counts.Others,
			"uploads": r.Counts.Uploads, "bytes": r.Counts.BytesRead, "failed": r.Failed, "orphans": r.Orphans, "orphan_bytes": r.OrphanBytes,
			"interrupted": r.Interrupted, "run_seconds": r.Ended.Sub(r.Began).Seconds()}); err != nil {
			return err
		}
	} else {
		fmt.Fprintf(out.w, "%d blobs (%s) and %d links are well: %d files are not\n", r.Counts.Blobs, byteCount(r.Counts.BytesRead), r.Counts.Links, r.Failed)
		for _, g := range r.Failures {
			fmt.Fprintf(out.w, "  %-20s %d\n", g.Class, g.Count)
		}
		fmt.Fprintf(out.w, "  orphans              %d blobs (%s) that no link names\n", r.Orphans, byteCount(r.OrphanBytes))
		if r.Counts.Uploads > 0 {
			fmt.Fprintf(out.w, "  uploads              %d files of unfinished uploads\n", r.Counts.Uploads)
		}
		if r.Counts.Others > 0 {
			fmt.Fprintf(out.w, "  others               %d files of no known kind\n", r.Counts.Others)
		}
	}
	switch {
	case r.Interrupted:
		return &interruptedError{"interrupted; run the same command again to go on"}
	case r.Failed > 0:
		return &documentsError{fmt.Sprintf("not all is well: %d files", r.Failed)}
	case c.Orphans && r.Orphans > 0:
		return &documentsError{fmt.Sprintf("not all is well: %d orphans", r.Orphans)}
	}
	return nil
}
