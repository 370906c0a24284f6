package breaker_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/kedge/kedge/drivers"
)

// question is what the breaker asks for.
const question = "test://kedge-probe/kedge-probe/kedge-probe"

// backend is a back end whose faults can be had at will, with all optional
// abilities but batches. It keeps count of what it was asked.
type backend struct {
	mu sync.Mutex
	// down fails everything, poisoned what is done to these URIs.
	down     error
	poisoned map[string]error
	// once fails the next operation on a URI.
	once map[string]error
	// hangs: nothing is answered before the context ends.
	hangs bool

	calls     map[string]int // by URI, the question included
	failed    int            // operations that failed, without questions
	questions int
	asking    int // questions at this moment
	together  int // and the most there were
	asked     []time.Time
}

func newBackend() *backend {
	return &backend{poisoned: make(map[string]error), once: make(map[string]error), calls: make(map[string]int)}
}

func (b *backend) set(down error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.down = down
}

// do is any operation: it takes a millisecond.
func (b *backend) do(ctx context.Context, uri string) error {
	b.mu.Lock()
	hangs := b.hangs
	b.calls[uri]++
	if uri == question {
		b.questions++
		b.asked = append(b.asked, time.Now())
		b.asking++
		b.together = max(b.together, b.asking)
	}
	b.mu.Unlock()
	if hangs {
		<-ctx.Done()
	} else {
		time.Sleep(time.Millisecond)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	err := b.verdict(ctx, uri)
	if uri == question {
		b.asking--
	} else if err != nil {
		b.failed++
	}
	return err
}

func (b *backend) verdict(ctx context.Context, uri string) error {
	switch {
	case ctx.Err() != nil:
		return &drivers.Error{Op: "x", URI: uri, Err: ctx.Err()}
	case b.down != nil:
		return b.down
	case b.once[uri] != nil:
		err := b.once[uri]
		delete(b.once, uri)
		return err
	case b.poisoned[uri] != nil:
		return b.poisoned[uri]
	case uri == question:
		return kind(drivers.NotFound)
	default:
		return nil
	}
}

func (b *backend) Name() string                       { return "test" }
func (b *backend) Capabilities() drivers.Capabilities { return drivers.Capabilities{} }
func (b *backend) Prefix() string                     { return "test://" }
func (b *backend) Scheme() string                     { return "test://" }
func (b *backend) Place() string                      { return "test:// on a test" }
func (b *backend) Close() error                       { return nil }

func (b *backend) URI(k drivers.Key) (string, error) {
	return b.Prefix() + k.UserID + "/" + k.Bucket + "/" + k.ArchiveID, nil
}

func (b *backend) Get(ctx context.Context, uri string) (io.ReadCloser, drivers.Info, error) {
	if err := b.do(ctx, uri); err != nil {
		return nil, drivers.Info{}, err
	}
	return io.NopCloser(strings.NewReader("body")), drivers.Info{Bytes: 4}, nil
}

// Put reads the payload first, and fails as its source fails.
func (b *backend) Put(ctx context.Context, uri string, p drivers.Payload) (drivers.Receipt, error) {
	content := p.Bytes
	if p.Streamed() {
		r, err := p.Open(ctx)
		if err != nil {
			return drivers.Receipt{}, &drivers.Error{Op: "put", URI: uri, Kind: drivers.KindOf(err), Err: err}
		}
		defer r.Close()
		if content, err = io.ReadAll(r); err != nil {
			return drivers.Receipt{}, &drivers.Error{Op: "put", URI: uri, Kind: drivers.KindOf(err), Err: err}
		}
	}
	if err := b.do(ctx, uri); err != nil {
		return drivers.Receipt{}, err
	}
	return drivers.Receipt{Bytes: int64(len(content))}, nil
}

func (b *backend) Stat(ctx context.Context, uri string) (drivers.Info, error) {
	return drivers.Info{Bytes: 4}, b.do(ctx, uri)
}

func (b *backend) Delete(ctx context.Context, uri string) error       { return b.do(ctx, uri) }
func (b *backend) Sync(ctx context.Context) error                     { return b.do(ctx, "sync") }
func (b *backend) AbortUploads(ctx context.Context, uri string) error { return b.do(ctx, uri) }

func (b *backend) List(ctx context.Context, fn func(string, drivers.Info) error) error {
	if err := b.do(ctx, "list"); err != nil {
		return err
	}
	return fn("test://listed", drivers.Info{})
}

// batches is a backend that does many operations in a trip, each with an end of
// its own.
type batches struct {
	*backend
	trips int
}

func (b *batches) ends(ctx context.Context, uris []string) []error {
	b.mu.Lock()
	b.trips++
	b.mu.Unlock()
	errs := make([]error, len(uris))
	for i, uri := range uris {
		errs[i] = b.do(ctx, uri)
	}
	return errs
}

func (b *batches) GetBatch(ctx context.Context, requests []drivers.GetRequest) []drivers.GetResult {
	results := make([]drivers.GetResult, len(requests))
	for i, r := range requests {
		results[i].Err = b.ends(ctx, []string{r.URI})[0]
	}
	return results
}

func (b *batches) PutBatch(ctx context.Context, requests []drivers.PutRequest) []drivers.PutResult {
	results := make([]drivers.PutResult, len(requests))
	for i, r := range requests {
		results[i].Err = b.ends(ctx, []string{r.URI})[0]
	}
	return results
}

func (b *batches) DeleteBatch(ctx context.Context, uris []string) []error { return b.ends(ctx, uris) }

func kind(k drivers.Kind) error {
	return &drivers.Error{Op: "x", URI: "u", Kind: k, Err: errors.New("for a reason")}
}

var refused = &drivers.Error{Op: "x", URI: "u", Kind: drivers.Temporary, Err: errors.New("connection refused")}
