package db

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/kedge/kedge/drivers"
)

const (
	// batchRows and batchBytes bound what one statement stores. The client
	// library holds what it sends two or three times over.
	batchRows  = 1000
	batchBytes = 2 << 20
)

// compareKeys orders keys, so that batches that meet lock rows in one order.
func compareKeys(a, b drivers.Key) int {
	return cmp.Or(cmp.Compare(a.Bucket, b.Bucket), cmp.Compare(a.ArchiveID, b.ArchiveID), cmp.Compare(a.UserID, b.UserID))
}

func (s *store) GetBatch(ctx context.Context, requests []drivers.GetRequest) []drivers.GetResult {
	results := make([]drivers.GetResult, len(requests))
	var keys []drivers.Key
	var limits []int64
	var at []int // where in results
	for i, r := range requests {
		key, err := s.key("get", r.URI)
		if err != nil {
			results[i].Err = err
			continue
		}
		keys, limits, at = append(keys, key), append(limits, max(r.MaxBytes, 0)), append(at, i)
	}
	if len(keys) == 0 {
		return results
	}
	all, errs := s.readSome(ctx, keys, limits)
	for n, i := range at {
		uri := requests[i].URI
		f, ok := all[n]
		var cause error
		switch {
		case errs[n] != nil:
			cause = errs[n]
		case !ok:
			cause = errMissing
		case f.err != nil:
			cause = f.err
		case f.null:
			cause = errNull
		case f.data == nil:
			cause = failure{drivers.TooLarge, errors.New("the payload is longer than was asked for")}
		}
		results[i].Info = drivers.Info{Bytes: f.bytes, Version: f.version}
		if cause != nil {
			results[i].Err = fail(ctx, "get", uri, cause)
		} else {
			results[i].Payload = f.data
		}
	}
	return results
}

// readSome reads in one statement, or, when the database cannot read one of the
// rows (its storage may be damaged), one by one.
func (s *store) readSome(ctx context.Context, keys []drivers.Key, limits []int64) (map[int]found, []error) {
	errs := make([]error, len(keys))
	all, err := s.table.read(ctx, keys, limits)
	if err == nil {
		return all, errs
	}
	if len(keys) == 1 || ctx.Err() != nil || !refusesOne(err) {
		for i := range errs {
			errs[i] = err
		}
		return nil, errs
	}
	all = make(map[int]found, len(keys))
	for i := range keys {
		one, err := s.table.read(ctx, keys[i:i+1], limits[i:i+1])
		if f, ok := one[0]; ok {
			all[i] = f
		}
		errs[i] = err
	}
	return all, errs
}

// request is a PutRequest on its way.
type request struct {
	item
	at      int // where in the results
	receipt drivers.Receipt
}

func (s *store) PutBatch(ctx context.Context, requests []drivers.PutRequest) []drivers.PutResult {
	results := make([]drivers.PutResult, len(requests))
	var todo []request
	for i, r := range requests {
		key, err := s.key("put", r.URI)
		if err != nil {
			results[i].Err = err
			continue
		}
		receipt, err := s.receipt(r.Payload, r.MD5)
		if err != nil {
			results[i].Err = fail(ctx, "put", r.URI, err)
			continue
		}
		todo = append(todo, request{item{key, r.Payload}, i, receipt})
	}
	for len(todo) > 0 {
		var now []request
		now, todo = split(todo)
		slices.SortFunc(now, func(a, b request) int { return compareKeys(a.key, b.key) })
		s.putSome(ctx, requests, now, results)
	}
	return results
}

// split takes from the front what one statement may store: not too much, and no
// key twice. The order of what has the same key stays.
func split(todo []request) (now, later []request) {
	seen := make(map[drivers.Key]bool, len(todo))
	bytes := 0
	for i, r := range todo {
		if seen[r.key] {
			later = append(later, r)
			continue
		}
		if len(now) == batchRows || len(now) > 0 && bytes+len(r.data) > batchBytes {
			return now, append(later, todo[i:]...)
		}
		seen[r.key] = true
		bytes += len(r.data)
		now = append(now, r)
	}
	return now, later
}

// putSome stores in one statement, or, when the database refuses it for the
// sake of some of them, one by one.
func (s *store) putSome(ctx context.Context, requests []drivers.PutRequest, now []request, results []drivers.PutResult) {
	items := make([]item, len(now))
	for i, r := range now {
		items[i] = r.item
	}
	proofs, err := s.table.write(ctx, items)
	if err != nil && len(now) > 1 && ctx.Err() == nil && refusesOne(err) {
		for _, r := range now {
			s.putSome(ctx, requests, []request{r}, results)
		}
		return
	}
	for i, r := range now {
		if err == nil {
			r.receipt.ProvenMD5, r.receipt.Version = proofs[i].md5, proofs[i].version
			if bad := proven(r.receipt); bad != nil {
				results[r.at].Err = fail(ctx, "put", requests[r.at].URI, bad)
			} else {
				results[r.at].Receipt = r.receipt
			}
			continue
		}
		results[r.at].Err = fail(ctx, "put", requests[r.at].URI, err)
	}
}

// refusesOne says whether an error may be one payload's fault, or one row's, so
// that the others of its batch can be stored without it.
func refusesOne(err error) bool {
	var known failure
	kind := drivers.Other
	if errors.As(err, &known) {
		kind = known.kind
	} else {
		kind, _ = classify(err)
	}
	switch kind {
	case drivers.Temporary, drivers.Denied, drivers.Config, drivers.Full:
		return false
	}
	return true
}

func (s *store) DeleteBatch(ctx context.Context, uris []string) []error {
	results := make([]error, len(uris))
	var keys []drivers.Key
	for i, uri := range uris {
		key, err := s.key("delete", uri)
		if err != nil {
			results[i] = err
			continue
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 {
		return results
	}
	slices.SortFunc(keys, compareKeys)
	if err := s.table.remove(ctx, slices.Compact(keys)); err != nil {
		for i, uri := range uris {
			if results[i] == nil {
				results[i] = fail(ctx, "delete", uri, err)
			}
		}
	}
	return results
}
