package decorator_test

import (
	"context"
	"io"
	"testing"
	"time"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/drivers/breaker"
	"github.com/kedge/kedge/drivers/limit"
	"github.com/kedge/kedge/drivers/metrics"
	"github.com/kedge/kedge/drivers/retry"
)

// idle is a driver that does nothing, at once.
type idle struct{ drivers.Driver }

func (idle) Name() string  { return "idle" }
func (idle) Place() string { return "idle://" }

func (idle) Get(context.Context, string) (io.ReadCloser, drivers.Info, error) {
	return empty{}, drivers.Info{}, nil
}

func (idle) Put(ctx context.Context, _ string, p drivers.Payload) (drivers.Receipt, error) {
	if !p.Streamed() {
		return drivers.Receipt{}, nil
	}
	r, err := p.Open(ctx)
	if err != nil {
		return drivers.Receipt{}, err
	}
	for range 16 {
		if _, err := r.Read(nil); err != nil && err != io.EOF {
			return drivers.Receipt{}, err
		}
	}
	return drivers.Receipt{}, r.Close()
}

func (idle) Stat(context.Context, string) (drivers.Info, error) { return drivers.Info{}, nil }
func (idle) Delete(context.Context, string) error               { return nil }
func (idle) Sync(context.Context) error                         { return nil }

func (idle) GetBatch(_ context.Context, r []drivers.GetRequest) []drivers.GetResult {
	return make([]drivers.GetResult, len(r))
}

func (idle) PutBatch(_ context.Context, r []drivers.PutRequest) []drivers.PutResult {
	return make([]drivers.PutResult, len(r))
}

func (idle) DeleteBatch(_ context.Context, uris []string) []error { return make([]error, len(uris)) }

func (idle) List(_ context.Context, fn func(string, drivers.Info) error) error {
	for range 1000 {
		if err := fn("", drivers.Info{}); err != nil {
			return err
		}
	}
	return nil
}

type empty struct{}

func (empty) Read([]byte) (int, error) { return 0, io.EOF }
func (empty) Close() error             { return nil }

// BenchmarkDecorators measures what each decorator, and all of them around each
// other, add to a driver that does nothing.
func BenchmarkDecorators(b *testing.B) {
	meter := new(metrics.Meter)
	metered := func(d drivers.Driver) drivers.Driver { return metrics.New(d, meter) }
	broken := func(d drivers.Driver) drivers.Driver { return breaker.New(d, breaker.Policy{}) }
	limited := func(d drivers.Driver) drivers.Driver {
		return limit.New(d, limit.Limits{Bytes: 1 << 60, Operations: 1e12})
	}
	again := func(d drivers.Driver) drivers.Driver { return retry.New(d, retry.Policy{Elapsed: time.Minute}) }
	for _, around := range []struct {
		name string
		d    drivers.Driver
	}{
		{"none", idle{}},
		{"metrics", metered(idle{})},
		{"breaker", broken(idle{})},
		{"limit", limited(idle{})},
		{"retry", again(idle{})},
		{"all", again(limited(broken(metered(idle{}))))},
	} {
		b.Run(around.name, func(b *testing.B) { operations(b, around.d) })
	}
}

func operations(b *testing.B, d drivers.Driver) {
	gets, puts, uris := make([]drivers.GetRequest, 256), make([]drivers.PutRequest, 256), make([]string, 256)
	inMemory := drivers.InMemory([]byte("payload"), "")
	streamed := drivers.Payload{Length: -1, Open: func(context.Context) (io.ReadCloser, error) { return empty{}, nil }}
	for _, op := range []struct {
		name string
		do   func(context.Context) error
	}{
		{"get", func(ctx context.Context) error {
			r, _, err := d.Get(ctx, "u")
			if err != nil {
				return err
			}
			_, _ = r.Read(nil)
			return r.Close()
		}},
		{"put", func(ctx context.Context) error { _, err := d.Put(ctx, "u", inMemory); return err }},
		{"put-stream", func(ctx context.Context) error { _, err := d.Put(ctx, "u", streamed); return err }},
		{"stat", func(ctx context.Context) error { _, err := d.Stat(ctx, "u"); return err }},
		{"delete", func(ctx context.Context) error { return d.Delete(ctx, "u") }},
		{"sync", func(ctx context.Context) error { return d.(drivers.Syncer).Sync(ctx) }},
		{"get-batch", func(ctx context.Context) error { return d.(drivers.Batcher).GetBatch(ctx, gets)[255].Err }},
		{"put-batch", func(ctx context.Context) error { return d.(drivers.Batcher).PutBatch(ctx, puts)[255].Err }},
		{"delete-batch", func(ctx context.Context) error { return d.(drivers.Batcher).DeleteBatch(ctx, uris)[255] }},
		{"list-1000", func(ctx context.Context) error {
			return d.(drivers.Lister).List(ctx, func(string, drivers.Info) error { return nil })
		}},
	} {
		b.Run(op.name, func(b *testing.B) {
			ctx := b.Context()
			b.ReportAllocs()
			for b.Loop() {
				if err := op.do(ctx); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
