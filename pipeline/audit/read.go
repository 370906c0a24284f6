package audit

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/pipeline/failure"
	"github.com/kedge/kedge/pipeline/forms"
	"github.com/kedge/kedge/pipeline/progress"
	"github.com/kedge/kedge/pipeline/store"
)

func (a *audit) checkIn(ctx context.Context, s *store.Store, items []*document) error {
	var held []*document
	var bytes int64
	streamed := items
	if batcher := s.Batcher(); batcher != nil && s.Capabilities().BatchGet {
		streamed = nil
		for _, it := range items {
			if it.doc.Bytes < 0 || it.doc.Bytes > a.limits.StreamBytes || bytes+it.doc.Bytes > a.limits.BatchBytes {
				streamed = append(streamed, it)
				continue
			}
			held = append(held, it)
			bytes += it.doc.Bytes
		}
		left, err := a.checkHeld(ctx, s, batcher, held, bytes)
		if err != nil {
			return err
		}
		streamed = append(streamed, left...)
	}
	return a.ops.Each(ctx, streamed, func(ctx context.Context, it *document) {
		a.conclude(ctx, s, it, a.stream(ctx, s, it, false))
		a.progress.Passed(progress.StageFetch, it)
	})
}

// checkHeld checks items whose payloads are read in one trip, and returns those
// that turned out longer than their rows say.
func (a *audit) checkHeld(ctx context.Context, s *store.Store, batcher drivers.Batcher, items []*document, bytes int64) (left []*document, err error) {
	if len(items) == 0 {
		return nil, nil
	}
	if err := a.budget.Acquire(ctx, min(bytes, a.MemoryBytes)); err != nil {
		return nil, context.Cause(ctx)
	}
	defer a.budget.Release(min(bytes, a.MemoryBytes))
	requests := make([]drivers.GetRequest, len(items))
	for i, it := range items {
		requests[i] = drivers.GetRequest{URI: it.doc.URI, MaxBytes: it.doc.Bytes}
	}
	var results []drivers.GetResult
	if err := a.ops.One(ctx, items, func() { results = batcher.GetBatch(ctx, requests) }); err != nil {
		return nil, err
	}
	for i, it := range items {
		err := results[i].Err
		if drivers.KindOf(err) == drivers.TooLarge {
			left = append(left, it)
			continue
		}
		if err == nil {
			err = checkHeldPayload(it, results[i].Payload, results[i].Info.MD5)
		}
		a.conclude(ctx, s, it, err)
		a.progress.Passed(progress.StageFetch, it)
	}
	return left, context.Cause(ctx)
}

func checkHeldPayload(it *document, payload []byte, told string) error {
	it.fetchedBytes = int64(len(payload))
	sum := md5.Sum(payload)
	if err := store.Check(it.doc, hex.EncodeToString(sum[:]), told, int64(len(payload))); err != nil || !it.doc.Compressed {
		return err
	}
	_, _, _, err := forms.Inflate(payload, 0)
	return err
}

// stream reads a payload to its end without holding it, where it is, or where
// Anchore would look for it.
func (a *audit) stream(ctx context.Context, s *store.Store, it *document, asAnchore bool) error {
	if s.Capabilities().Placer != nil {
		ctx = drivers.WithMeant(ctx, drivers.Meant{MD5: it.doc.Digest, AsAnchore: asAnchore})
	}
	return store.Again(ctx, *s, func() error {
		r, info, err := store.Open(ctx, s, it.doc.URI)
		if err != nil {
			return err
		}
		it.fetchedBytes = info.Bytes
		body := store.Checked(r, func(digest string, bytes int64) error {
			return store.Check(it.doc, digest, info.MD5, bytes)
		})
		if it.doc.Compressed {
			body = forms.NewInflateReader(body)
		}
		_, err = forms.Copy(io.Discard, body)
		return errors.Join(err, body.Close())
	})
}

// conclude fails an item for what was found, unless its row has changed
// meanwhile (a migration may be running): then it is looked at once more.
func (a *audit) conclude(ctx context.Context, s *store.Store, it *document, err error) {
	if err == nil {
		err = a.unfound(ctx, s, it)
	}
	if err == nil || ctx.Err() != nil {
		return
	}
	if rows, rerr := a.Catalog.Rows(ctx, []drivers.Key{it.doc.Key}); rerr == nil {
		for _, row := range rows {
			if row.Name == it.doc.Name && row != it.doc {
				it.doc = row
				if s := a.storeOf(row.URI); s != nil {
					if err = a.stream(ctx, s, it, false); err == nil {
						err = a.unfound(ctx, s, it)
					}
				}
			}
		}
	}
	switch {
	case err == nil || ctx.Err() != nil:
	case drivers.KindOf(err) == drivers.NotFound && failure.ClassOf(err, "") != failure.ClassUnfound:
		it.fail(failure.StageFetch, failure.ClassMissingPayload, err)
	default:
		it.fail(failure.StageFetch, failure.ClassOf(err, failure.ClassFetch), err)
	}
}

// unfound says why Anchore would not find a sound document by its row's URI; nil
// where it does.
func (a *audit) unfound(ctx context.Context, s *store.Store, it *document) error {
	c := s.Capabilities()
	if !c.ParsesURI {
		return nil
	}
	reason := drivers.ReadableByAnchore(it.doc.URI)
	if reason == nil {
		return nil
	}
	if c.Placer != nil {
		// It is where Anchore looks, if Anchore has put it.
		err := a.stream(ctx, s, it, true)
		switch {
		case err == nil:
			return nil
		case drivers.KindOf(err) != drivers.NotFound && failure.ClassOf(err, "") == "":
			return err
		}
		reason = fmt.Errorf("%w: %w", reason, err)
	}
	return failure.Classed(failure.ClassUnfound, fmt.Errorf("the document is sound, but Anchore would not find it: %w", reason))
}
