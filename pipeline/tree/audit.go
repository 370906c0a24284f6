package tree

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/kedge/kedge/checkpoint"
	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/pipeline/failure"
)

// The phases of an audit.
const (
	phaseAuditBlobs phase = "audit of blobs"
	phaseAuditLinks phase = "audit of links"
)

// AuditOptions say what an audit does. The store is the caller's to close.
type AuditOptions struct {
	Store Store
	// Checkpoint is the path of the state file; it is removed at the end.
	Checkpoint string
	// MemoryBytes bounds the payload bytes held at once; 0 is the default.
	MemoryBytes int64
	// Workers is how many files are read at once; 0 leaves it to the driver.
	Workers int
	Log     *slog.Logger
	// Failed and Orphan, if set, are called at the end with everything that was
	// found, in the order of the paths.
	Failed func(Failure)
	Orphan func(path string, bytes int64)
	// Report, if set, is called every two seconds with the progress.
	Report func(Snapshot)
}

// AuditResult is what an audit found.
type AuditResult struct {
	Resumed     bool
	Interrupted bool
	// Counts: Blobs and Links are those that are well, Uploads and Others what
	// there is besides; BytesRead is of blobs.
	Counts   Counts
	Failures []FailureGroup
	Failed   int64
	// Orphans are blobs that no link names, of OrphanBytes together: what the
	// registry's own garbage collection removes.
	Orphans, OrphanBytes int64
	Began, Ended         time.Time
}

// AuditIdentity is the identity of the audit of a store, for naming its
// checkpoint.
func AuditIdentity(s Store) checkpoint.Identity {
	return checkpoint.Identify("audit of registry " + s.Place())
}

// Audit reads a registry's storage: every blob must have the digest under which
// it lies, and every link must name a blob that is there and, if it is a tag, a
// manifest of its repository. It changes nothing.
func Audit(ctx context.Context, stop <-chan struct{}, o AuditOptions) (r AuditResult, err error) {
	r.Began = time.Now()
	m := newMigration(stop, Options{
		Source: o.Store, Destination: o.Store, Checkpoint: o.Checkpoint, MemoryBytes: o.MemoryBytes, Workers: o.Workers,
		Log: o.Log, Report: o.Report,
		// A file that cannot be read is a finding, not a reason to stop.
		MaxBackendFailures: 1 << 30,
	})
	m.alone = true
	if m.state, err = openState(o.Checkpoint, AuditIdentity(o.Store)); err != nil {
		return r, err
	}
	done := false
	defer func() {
		if cerr := m.state.close(); err == nil {
			err = cerr
		}
		if done && err == nil {
			err = checkpoint.Remove(o.Checkpoint)
		}
		r.Ended = time.Now()
	}()
	if err := m.beginAudit(ctx); err != nil {
		return r, err
	}
	r.Resumed = m.result.Resumed
	if err := m.steps(ctx); err != nil {
		return r, err
	}
	h, err := m.state.header()
	if err != nil {
		return r, err
	}
	r.Counts, r.Interrupted, done = h.Counts, m.cut.Load(), !m.cut.Load()
	if r.Interrupted {
		return r, nil
	}
	if r.Failures, r.Failed, err = groupFailures(m.state, o.Failed); err != nil {
		return r, err
	}
	err = m.orphans(&r, o.Orphan)
	return r, err
}

// beginAudit takes up an interrupted audit, or starts a new one.
func (m *migration) beginAudit(ctx context.Context) (err error) {
	if err := Holds(ctx, m.Source); err != nil {
		return err
	}
	if !m.state.resumed {
		if err := m.state.begin(phaseAuditBlobs); err != nil {
			return err
		}
	}
	if m.header, err = m.state.header(); err != nil {
		return err
	}
	m.result.Pass, m.result.Resumed = m.header.Pass, m.state.resumed
	m.progress = Snapshot{Counts: m.header.Counts, Files: m.header.Files}
	return nil
}

// orphans counts the blobs that no link names, and calls tell, if it is not nil, with
// each of them.
func (m *migration) orphans(r *AuditResult, tell func(path string, bytes int64)) error {
	return m.state.eachUnnamed(func(path string, p proof) error {
		if classify(path).class != classBlob {
			return nil
		}
		r.Orphans++
		r.OrphanBytes += p.bytes
		if tell != nil {
			tell(path, p.bytes)
		}
		return nil
	})
}

// auditPlan is what an audit does.
func (m *migration) auditPlan() []step {
	return []step{
		{phaseAuditBlobs, m.auditBlobs, phaseAuditLinks},
		{phaseAuditLinks, m.auditLinks, ""},
	}
}

func (m *migration) auditBlobs(ctx context.Context) error {
	return m.overRanges(ctx, outside(), func(ctx context.Context, p *page) error {
		if err := m.each(ctx, p.items, m.auditFile); err != nil {
			return err
		}
		p.outcome.proofs = provenBy(p.items)
		return nil
	})
}

func provenBy(items []*item) map[string]proof {
	proofs := map[string]proof{}
	for _, it := range items {
		if it.held {
			proofs[it.path] = it.proof
		}
	}
	return proofs
}

// auditFile checks a blob against its digest.
func (m *migration) auditFile(ctx context.Context, it *item) error {
	if it.class != classBlob {
		it.count(0, 0)
		return nil
	}
	good, _, err := m.reads(ctx, m.Source, it)
	switch {
	case drivers.KindOf(err) == drivers.NotFound:
		return nil // deleted after it had been listed; links to it will tell
	case err != nil:
		return it.fail(ctx, failure.ClassFetch, err)
	case !good:
		return it.fail(ctx, failure.ClassDigest, fmt.Errorf("the bytes of the blob %s have another checksum", it.digest))
	}
	it.held, it.proof = true, m.proofOf(it, "")
	it.count(it.src.Bytes, 0)
	return nil
}

func (m *migration) auditLinks(ctx context.Context) error {
	return m.overRanges(ctx, inside(nil), func(ctx context.Context, p *page) error {
		named := make([]string, len(p.items))
		at := map[*item]int{}
		for i, it := range p.items {
			at[it] = i
		}
		err := m.each(ctx, p.items, func(ctx context.Context, it *item) (err error) {
			named[at[it]], err = m.auditLink(ctx, it)
			return err
		})
		for _, path := range named {
			if path != "" {
				p.outcome.named = append(p.outcome.named, path)
			}
		}
		return err
	})
}

// auditLink checks a link and gives the path of the blob that it names.
func (m *migration) auditLink(ctx context.Context, it *item) (named string, err error) {
	if it.class == classUpload {
		it.counts.Uploads = 1
		return "", nil
	}
	if !it.class.link() {
		it.count(0, 0)
		return "", nil
	}
	content, err := m.readSmall(ctx, m.Source, it.path, maxLinkBytes)
	switch {
	case drivers.KindOf(err) == drivers.NotFound:
		return "", nil // deleted after it had been listed
	case err != nil:
		return "", it.fail(ctx, failure.ClassFetch, err)
	}
	target, err := parseLink(content)
	if err != nil {
		return "", it.fail(ctx, ClassBadLink, err)
	}
	if err := m.auditTarget(ctx, target); err != nil {
		var failed *failedBlob
		switch {
		case errors.Is(err, errNoBlob):
			return "", it.fail(ctx, ClassDangling, fmt.Errorf("names %s, which is not there", target))
		case !errors.As(err, &failed):
			return "", err
		}
		// The blob itself stands among the failures.
	}
	if it.class == classCurrent {
		if err := m.auditTag(ctx, it, target); err != nil || it.failure != nil {
			return "", err
		}
	}
	it.count(0, 0)
	return target.blobPath(), nil
}

// auditTarget says whether a blob is there: it was listed, or came since.
func (m *migration) auditTarget(ctx context.Context, d digest) error {
	path := d.blobPath()
	_, err, _ := m.blobs.Do(path, func() (any, error) {
		if _, found, err := m.state.proof(path); err != nil || found {
			return nil, err
		}
		if f, failed, err := m.state.failure(path); err != nil {
			return nil, err
		} else if failed {
			return nil, &failedBlob{f}
		}
		it := &item{place: classify(path), path: path}
		var err error
		if it.src, _, err = stat(ctx, m.Source, path); drivers.KindOf(err) == drivers.NotFound {
			return nil, errNoBlob
		}
		if err != nil {
			err = it.fail(ctx, failure.ClassFetch, err)
		} else {
			err = m.auditFile(ctx, it)
		}
		return nil, m.recordSingle(ctx, it, err)
	})
	return err
}

// auditTag checks that a tag names a manifest of its repository.
func (m *migration) auditTag(ctx context.Context, it *item, target digest) error {
	_, _, err := stat(ctx, m.Source, revisionPath(it.repository, target))
	switch {
	case drivers.KindOf(err) == drivers.NotFound:
		return it.fail(ctx, ClassDangling, fmt.Errorf("the tag names %s, which is no manifest of the repository", target))
	case err != nil:
		return it.fail(ctx, failure.ClassFetch, err)
	}
	return nil
}
