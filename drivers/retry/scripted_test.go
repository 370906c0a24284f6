package retry_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/drivers/retry"
)

// scripted is a driver whose operations fail as they are told to.
type scripted struct {
	drivers.Driver // nil: any other method is not to be called
	script         []error
	calls          int
	listed         []string
}

func (d *scripted) next() error {
	d.calls++
	if len(d.script) == 0 {
		return nil
	}
	err := d.script[0]
	d.script = d.script[1:]
	return err
}

func (d *scripted) Name() string  { return "scripted" }
func (d *scripted) Place() string { return "scripted://" }

func (d *scripted) Get(context.Context, string) (io.ReadCloser, drivers.Info, error) {
	if err := d.next(); err != nil {
		return nil, drivers.Info{}, err
	}
	return io.NopCloser(strings.NewReader("body")), drivers.Info{Bytes: 4}, nil
}

// Put reads the payload first and fails then.
func (d *scripted) Put(ctx context.Context, _ string, p drivers.Payload) (drivers.Receipt, error) {
	b := p.Bytes
	if p.Streamed() {
		r, err := p.Open(ctx)
		if err != nil {
			return drivers.Receipt{}, err
		}
		defer r.Close()
		if b, err = io.ReadAll(r); err != nil {
			return drivers.Receipt{}, err
		}
	}
	if err := d.next(); err != nil {
		return drivers.Receipt{}, err
	}
	return drivers.Receipt{Bytes: int64(len(b))}, nil
}

func (d *scripted) Stat(context.Context, string) (drivers.Info, error) {
	if err := d.next(); err != nil {
		return drivers.Info{}, err
	}
	return drivers.Info{Bytes: 4}, nil
}

func (d *scripted) Delete(context.Context, string) error { return d.next() }

// scriptedAll has the optional interfaces too.
type scriptedAll struct {
	scripted
	batches [][]string         // the URIs asked for in each trip
	fails   map[string][]error // by URI
}

func (d *scriptedAll) Sync(context.Context) error { return d.next() }

func (d *scriptedAll) List(_ context.Context, fn func(string, drivers.Info) error) error {
	err := d.next()
	for _, uri := range d.listed {
		if ferr := fn(uri, drivers.Info{}); ferr != nil {
			return ferr
		}
	}
	return err
}

func (d *scriptedAll) batch(uris []string) []error {
	d.batches = append(d.batches, uris)
	errs := make([]error, len(uris))
	for i, uri := range uris {
		if script := d.fails[uri]; len(script) > 0 {
			errs[i], d.fails[uri] = script[0], script[1:]
		}
	}
	return errs
}

func (d *scriptedAll) GetBatch(_ context.Context, requests []drivers.GetRequest) []drivers.GetResult {
	var uris []string
	for _, r := range requests {
		uris = append(uris, r.URI)
	}
	results := make([]drivers.GetResult, len(requests))
	for i, err := range d.batch(uris) {
		if results[i].Err = err; err == nil {
			results[i].Payload = []byte(uris[i])
		}
	}
	return results
}

func (d *scriptedAll) PutBatch(_ context.Context, requests []drivers.PutRequest) []drivers.PutResult {
	var uris []string
	for _, r := range requests {
		uris = append(uris, r.URI)
	}
	results := make([]drivers.PutResult, len(requests))
	for i, err := range d.batch(uris) {
		results[i] = drivers.PutResult{Receipt: drivers.Receipt{MD5: requests[i].MD5}, Err: err}
	}
	return results
}

func (d *scriptedAll) DeleteBatch(_ context.Context, uris []string) []error { return d.batch(uris) }

func temporary(text string) error {
	return &drivers.Error{Op: "x", URI: "u", Kind: drivers.Temporary, Err: errors.New(text)}
}

func permanent(kind drivers.Kind) error {
	return &drivers.Error{Op: "x", URI: "u", Kind: kind, Err: errors.New("for good")}
}

// clock is a clock that only sleeping moves, and notes what it was asked for.
type clock struct {
	now     time.Time
	waits   []time.Duration
	reports []string
}

func (c *clock) policy() retry.Policy {
	return retry.Policy{
		Attempts: 5, Base: time.Second, Max: 4 * time.Second, Elapsed: time.Hour,
		Sleep: func(ctx context.Context, wait time.Duration) error {
			c.now = c.now.Add(wait)
			c.waits = append(c.waits, wait)
			return ctx.Err()
		},
		Now:    func() time.Time { return c.now },
		Jitter: func(longest time.Duration) time.Duration { return longest },
		OnRetry: func(op, uri string, err error, wait time.Duration) {
			c.reports = append(c.reports, fmt.Sprintf("%s %s %v %v", op, uri, err, wait))
		},
	}
}
