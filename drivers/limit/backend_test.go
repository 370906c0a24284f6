package limit_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/kedge/kedge/drivers"
)

// stall is for how long this back end bears with a read that is under way.
const stall = time.Second

// plain is a back end that does at once what it is asked for, and keeps count. It
// has nothing but the interface.
type plain struct {
	mu    sync.Mutex
	calls []string
	// body is what Get delivers.
	body []byte
	// fails are the failures that are yet to come, of any operation.
	fails []error
	// attempts is how often Put opens a stream.
	attempts int
	got      []byte // the last payload put
	longest  int    // the most that was read of a stream at once
}

func (b *plain) do(ctx context.Context, op, uri string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.calls = append(b.calls, op+" "+uri)
	if ctx.Err() != nil {
		return &drivers.Error{Op: op, URI: uri, Err: ctx.Err()}
	}
	if len(b.fails) == 0 {
		return nil
	}
	err := b.fails[0]
	b.fails = b.fails[1:]
	return err
}

func (b *plain) Name() string                               { return "test" }
func (b *plain) Capabilities() drivers.Capabilities         { return drivers.Capabilities{Workers: 7} }
func (b *plain) Prefix() string                             { return "test://" }
func (b *plain) Scheme() string                             { return "test://" }
func (b *plain) Place() string                              { return "test:// on a test" }
func (b *plain) Close() error                               { return nil }
func (b *plain) URI(k drivers.Key) (string, error)          { return "test://" + k.ArchiveID, nil }
func (b *plain) Delete(ctx context.Context, u string) error { return b.do(ctx, "delete", u) }

func (b *plain) Stat(ctx context.Context, uri string) (drivers.Info, error) {
	return drivers.Info{Bytes: 4}, b.do(ctx, "stat", uri)
}

func (b *plain) Get(ctx context.Context, uri string) (io.ReadCloser, drivers.Info, error) {
	if err := b.do(ctx, "get", uri); err != nil {
		return nil, drivers.Info{}, err
	}
	return &impatient{inner: bytes.NewReader(b.body), backend: b}, drivers.Info{Bytes: int64(len(b.body))}, nil
}

// Put reads the payload before it fails.
func (b *plain) Put(ctx context.Context, uri string, p drivers.Payload) (drivers.Receipt, error) {
	b.got = p.Bytes
	for range b.attempts {
		if !p.Streamed() {
			break
		}
		r, err := p.Open(ctx)
		if err != nil {
			return drivers.Receipt{}, err
		}
		b.got, err = io.ReadAll(r)
		if err = errors.Join(err, r.Close()); err != nil {
			return drivers.Receipt{}, err
		}
	}
	return drivers.Receipt{Bytes: int64(len(b.got))}, b.do(ctx, "put", uri)
}

// impatient is a body as servers' bodies are: it fails when it is silent for too
// long while it is read, and notes how much is wanted at once.
type impatient struct {
	inner   io.Reader
	backend *plain
	closed  bool
	stalled bool
}

func (r *impatient) Read(p []byte) (int, error) {
	timer := time.AfterFunc(stall, func() { r.stalled = true })
	n, err := r.inner.Read(p)
	timer.Stop()
	r.backend.longest = max(r.backend.longest, len(p))
	if r.stalled {
		return n, errors.New("stalled")
	}
	if r.closed {
		return 0, errors.New("closed")
	}
	return n, err
}

func (r *impatient) Close() error {
	r.closed = true
	return nil
}

// whole is a back end with all optional abilities.
type whole struct {
	plain
	listed int
}

func (b *whole) Sync(ctx context.Context) error                   { return b.do(ctx, "sync", "") }
func (b *whole) AbortUploads(ctx context.Context, u string) error { return b.do(ctx, "abort", u) }
func (b *whole) PathURI(path string) (string, error)              { return "test://" + path, nil }
func (b *whole) Outage() (drivers.Outage, bool)                   { return drivers.Outage{Place: "here"}, true }

func (b *whole) Inspect(ctx context.Context) ([]drivers.Finding, error) {
	return []drivers.Finding{{Name: "a"}}, b.do(ctx, "inspect", "")
}

func (b *whole) List(ctx context.Context, fn func(string, drivers.Info) error) error {
	return b.ListAfter(ctx, "", "", fn)
}

func (b *whole) ListAfter(ctx context.Context, _, _ string, fn func(string, drivers.Info) error) error {
	for i := range b.listed {
		if err := fn(fmt.Sprint(i), drivers.Info{}); err != nil {
			return err
		}
	}
	return b.do(ctx, "list", "")
}

func (b *whole) GetBatch(ctx context.Context, requests []drivers.GetRequest) []drivers.GetResult {
	results := make([]drivers.GetResult, len(requests))
	for i, r := range requests {
		if results[i].Err = b.do(ctx, "get", r.URI); results[i].Err == nil {
			results[i].Payload = b.body
		}
	}
	return results
}

func (b *whole) PutBatch(ctx context.Context, requests []drivers.PutRequest) []drivers.PutResult {
	results := make([]drivers.PutResult, len(requests))
	for i, r := range requests {
		results[i].Err = b.do(ctx, "put", r.URI)
	}
	return results
}

func (b *whole) DeleteBatch(ctx context.Context, uris []string) []error {
	errs := make([]error, len(uris))
	for i, uri := range uris {
		errs[i] = b.do(ctx, "delete", uri)
	}
	return errs
}

// stream is a payload that can be opened again.
func stream(content []byte) drivers.Payload {
	return drivers.Payload{Length: int64(len(content)), Open: func(context.Context) (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(content)), nil
	}}
}

var temporary = &drivers.Error{Op: "x", URI: "u", Kind: drivers.Temporary, Err: errors.New("for a moment")}
