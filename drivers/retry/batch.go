package retry

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/kedge/kedge/drivers"
)

// GetBatch repeats the requests of a batch that have failed with kind
// Temporary, as a smaller batch. A driver that is no Batcher is asked for one
// payload after the other.
func (d *driver) GetBatch(ctx context.Context, requests []drivers.GetRequest) []drivers.GetResult {
	call := d.getEach
	if batcher, ok := d.Driver.(drivers.Batcher); ok {
		call = batcher.GetBatch
	}
	return rounds(ctx, d, "get", requests, call,
		func(r drivers.GetRequest) string { return r.URI },
		func(r *drivers.GetResult) *error { return &r.Err })
}

// PutBatch is like GetBatch.
func (d *driver) PutBatch(ctx context.Context, requests []drivers.PutRequest) []drivers.PutResult {
	call := d.putEach
	if batcher, ok := d.Driver.(drivers.Batcher); ok {
		call = batcher.PutBatch
	}
	return rounds(ctx, d, "put", requests, call,
		func(r drivers.PutRequest) string { return r.URI },
		func(r *drivers.PutResult) *error { return &r.Err })
}

// DeleteBatch is like GetBatch.
func (d *driver) DeleteBatch(ctx context.Context, uris []string) []error {
	call := d.deleteEach
	if batcher, ok := d.Driver.(drivers.Batcher); ok {
		call = batcher.DeleteBatch
	}
	return rounds(ctx, d, "delete", uris, call,
		func(uri string) string { return uri },
		func(err *error) *error { return err })
}

// rounds calls call with all requests, and then with those that failed with
// kind Temporary, until none is left or the policy ends it.
func rounds[Request, Result any](
	ctx context.Context, d *driver, op string, requests []Request,
	call func(context.Context, []Request) []Result,
	uriOf func(Request) string, errOf func(*Result) *error,
) []Result {
	results := make([]Result, len(requests))
	pending := make([]int, len(requests)) // indices of requests without a final result
	for i := range pending {
		pending[i] = i
	}
	attempts := d.policy.begin()
	for len(pending) > 0 {
		asked := make([]Request, len(pending))
		for i, index := range pending {
			asked[i] = requests[index]
		}
		answers := call(ctx, asked)
		if len(answers) != len(asked) {
			for _, index := range pending {
				*errOf(&results[index]) = &drivers.Error{Op: op, URI: uriOf(requests[index]),
					Err: fmt.Errorf("driver %s gave %d results for a batch of %d", d.Name(), len(answers), len(asked))}
			}
			return results
		}
		var failed []int
		var after, waited time.Duration
		for i, index := range pending {
			results[index] = answers[i]
			err := errOf(&results[index])
			if drivers.KindOf(*err) == drivers.Temporary {
				failed = append(failed, index)
				after = max(after, retryAfter(*err))
				waited = max(waited, held(*err))
			} else {
				*err = counted(*err, attempts.made+1)
			}
		}
		if pending = failed; len(pending) == 0 {
			break
		}
		each := func(change func(uri string, err error) error) []Result {
			for _, index := range pending {
				err := errOf(&results[index])
				*err = change(uriOf(requests[index]), *err)
			}
			return results
		}
		if cerr := ctx.Err(); cerr != nil {
			return each(func(uri string, err error) error { return interrupted(cerr, op, uri, err) })
		}
		wait, again := attempts.wait(after, waited)
		if !again {
			return each(func(_ string, err error) error { return counted(err, attempts.made) })
		}
		each(func(uri string, err error) error { d.policy.OnRetry(op, uri, err, wait); return err })
		if serr := d.policy.Sleep(ctx, wait); serr != nil {
			return each(func(uri string, err error) error { return interrupted(serr, op, uri, err) })
		}
	}
	return results
}

func (d *driver) getEach(ctx context.Context, requests []drivers.GetRequest) []drivers.GetResult {
	results := make([]drivers.GetResult, len(requests))
	for i, r := range requests {
		results[i] = d.getOne(ctx, r)
	}
	return results
}

func (d *driver) getOne(ctx context.Context, r drivers.GetRequest) (result drivers.GetResult) {
	body, info, err := d.Driver.Get(ctx, r.URI)
	if err != nil {
		return drivers.GetResult{Err: err}
	}
	result.Info = info
	switch {
	case info.Bytes > r.MaxBytes:
		result.Err = &drivers.Error{Op: "get", URI: r.URI, Kind: drivers.TooLarge,
			Err: fmt.Errorf("%d bytes, more than the %d allowed", info.Bytes, r.MaxBytes)}
	default:
		result.Payload = make([]byte, info.Bytes)
		if _, err := io.ReadFull(body, result.Payload); err != nil {
			result.Err = err
		} else if _, err := body.Read(make([]byte, 1)); err != io.EOF && err != nil {
			result.Err = err // found out at the end, as a wrong checksum is
		}
	}
	if err := body.Close(); err != nil && result.Err == nil {
		result.Err = err
	}
	if result.Err != nil {
		result.Payload = nil
	}
	return result
}

func (d *driver) putEach(ctx context.Context, requests []drivers.PutRequest) []drivers.PutResult {
	results := make([]drivers.PutResult, len(requests))
	for i, r := range requests {
		results[i].Receipt, results[i].Err = d.Driver.Put(ctx, r.URI, drivers.InMemory(r.Payload, r.MD5))
	}
	return results
}

func (d *driver) deleteEach(ctx context.Context, uris []string) []error {
	errs := make([]error, len(uris))
	for i, uri := range uris {
		errs[i] = d.Driver.Delete(ctx, uri)
	}
	return errs
}
