package summary

import (
	"context"
	"errors"
	"fmt"

	"github.com/kedge/kedge/checkpoint"
	"github.com/kedge/kedge/cmd/kedge/internal/ending"
	"github.com/kedge/kedge/cmd/kedge/internal/observe"
	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/pipeline/audit"
	"github.com/kedge/kedge/pipeline/tree"
)

// Failed prints a document that an audit finds amiss.
func (o Output) Failed(x checkpoint.Failure) {
	if o.JSON {
		_ = o.Line(map[string]any{"kind": "failure", "class": x.Class, "user_id": x.UserID, "bucket": x.Bucket,
			"archive_id": x.ArchiveID, "document_name": x.Name, "content_url": x.URI, "reason": x.Reason})
		return
	}
	fmt.Fprintf(o, "%s %s: %s\n", x.Class, Document(x), x.Reason)
}

// Orphan prints a payload that no row names.
func (o Output) Orphan(uri string, info drivers.Info) {
	if o.JSON {
		_ = o.Line(map[string]any{"kind": "orphan", "uri": uri, "bytes": info.Bytes})
		return
	}
	fmt.Fprintf(o, "orphan %q (%d bytes): no row of the catalog names it\n", uri, info.Bytes)
}

// FailedFile prints a registry's file that an audit finds amiss.
func (o Output) FailedFile(x tree.Failure) {
	if o.JSON {
		_ = o.Line(map[string]any{"kind": "failure", "class": x.Class, "path": x.Path, "reason": x.Reason})
		return
	}
	fmt.Fprintf(o, "%s %q: %s\n", x.Class, x.Path, x.Reason)
}

// OrphanFile prints a registry's blob that no link names.
func (o Output) OrphanFile(path string, bytes int64) {
	if o.JSON {
		_ = o.Line(map[string]any{"kind": "orphan", "path": path, "bytes": bytes})
		return
	}
	fmt.Fprintf(o, "orphan %q (%d bytes): no link names it\n", path, bytes)
}

// Audit is what there is to tell of an audit that is over.
type Audit struct {
	audit.Result
	Err error
	// Orphans: they were looked for.
	Orphans bool
	// SamplePercent is the part that was checked; 0 for all.
	SamplePercent float64
	// Bucket: only some of Anchore's buckets were looked at.
	Bucket bool
}

// Conclude prints the result and turns it into the command's error.
func (a Audit) Conclude(out Output) error {
	r := a.Result
	if a.Err != nil {
		return fmt.Errorf("%w; %s", a.Err, again(a.Err))
	}
	if out.JSON {
		if err := out.Line(map[string]any{"kind": "summary", "documents": r.Documents, "bytes": r.Bytes, "without_digest": r.NoDigest,
			"failed": r.Failed, "orphans": r.Orphans, "orphans_looked_for": a.Orphans, "interrupted": r.Interrupted, "run_seconds": r.Ended.Sub(r.Began).Seconds()}); err != nil {
			return err
		}
	} else {
		a.write(out)
	}
	switch {
	case r.Interrupted:
		return ending.Interrupted("interrupted; run the same command again to go on")
	case r.Failed > 0, r.Orphans > 0:
		return ending.Incomplete("not all is well: %d documents and %d orphans", r.Failed, r.Orphans)
	case r.Documents == 0 && a.Bucket:
		return errors.New("--bucket: the catalog has no document in such a bucket")
	}
	return nil
}

func (a Audit) write(out Output) {
	r := a.Result
	fmt.Fprintf(out, "%d documents (%s) checked: %d are not well\n", r.Documents, observe.ByteCount(r.Bytes), r.Failed)
	if a.SamplePercent > 0 && a.SamplePercent < 100 {
		fmt.Fprintf(out, "  a sample of %g%%\n", a.SamplePercent)
	}
	for _, g := range r.Failures {
		fmt.Fprintf(out, "  %-20s %d\n", g.Class, g.Count)
	}
	if r.NoDigest > 0 {
		fmt.Fprintf(out, "  no digest            %d documents have none in the catalog: only their lengths and zlib streams could be checked\n", r.NoDigest)
	}
	if a.Orphans {
		fmt.Fprintf(out, "  orphans              %d\n", r.Orphans)
	}
}

// TreeAudit is what there is to tell of the audit of a registry's storage, now
// that it is over.
type TreeAudit struct {
	tree.AuditResult
	Err error
	// Orphans: blobs that no link names count as failures.
	Orphans bool
}

// Conclude prints the result and turns it into the command's error.
func (a TreeAudit) Conclude(out Output) error {
	r := a.AuditResult
	switch {
	case errors.Is(a.Err, context.Canceled):
		return ending.Interrupted("stopped at once; run the same command again to go on")
	case a.Err != nil:
		return fmt.Errorf("%w; %s", a.Err, again(a.Err))
	}
	if out.JSON {
		if err := out.Line(map[string]any{"kind": "summary", "blobs": r.Counts.Blobs, "links": r.Counts.Links, "others": r.Counts.Others,
			"uploads": r.Counts.Uploads, "bytes": r.Counts.BytesRead, "failed": r.Failed, "orphans": r.Orphans, "orphan_bytes": r.OrphanBytes,
			"interrupted": r.Interrupted, "run_seconds": r.Ended.Sub(r.Began).Seconds()}); err != nil {
			return err
		}
	} else {
		a.write(out)
	}
	switch {
	case r.Interrupted:
		return ending.Interrupted("interrupted; run the same command again to go on")
	case r.Failed > 0:
		return ending.Incomplete("not all is well: %d files", r.Failed)
	case a.Orphans && r.Orphans > 0:
		return ending.Incomplete("not all is well: %d orphans", r.Orphans)
	}
	return nil
}

func (a TreeAudit) write(out Output) {
	r := a.AuditResult
	fmt.Fprintf(out, "%d blobs (%s) and %d links are well: %d files are not\n", r.Counts.Blobs, observe.ByteCount(r.Counts.BytesRead), r.Counts.Links, r.Failed)
	for _, g := range r.Failures {
		fmt.Fprintf(out, "  %-20s %d\n", g.Class, g.Count)
	}
	fmt.Fprintf(out, "  orphans              %d blobs (%s) that no link names\n", r.Orphans, observe.ByteCount(r.OrphanBytes))
	if r.Counts.Uploads > 0 {
		fmt.Fprintf(out, "  uploads              %d files of unfinished uploads\n", r.Counts.Uploads)
	}
	if r.Counts.Others > 0 {
		fmt.Fprintf(out, "  others               %d files of no known kind\n", r.Counts.Others)
	}
}
