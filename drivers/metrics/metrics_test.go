package metrics_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/drivers/drivertest"
	"github.com/kedge/kedge/drivers/localfs"
	"github.com/kedge/kedge/drivers/metrics"
)

func TestConformance(t *testing.T) {
	drivertest.Run(t, drivertest.Backend{Open: func(tb testing.TB) drivers.Driver {
		store, err := localfs.Open(tb.Context(), localfs.Options{ArchiveDataDir: filepath.Join(tb.TempDir(), "archive")}, true)
		if err != nil {
			tb.Fatal(err)
		}
		return metrics.New(store, new(metrics.Meter))
	}})
}

// slow is a back end that takes a second for each operation and each read.
type slow struct {
	drivers.Driver
	err error
}

func (s slow) Get(context.Context, string) (io.ReadCloser, drivers.Info, error) {
	time.Sleep(time.Second)
	return io.NopCloser(&slowly{left: 3}), drivers.Info{Bytes: 3}, s.err
}

func (s slow) Put(ctx context.Context, _ string, p drivers.Payload) (drivers.Receipt, error) {
	time.Sleep(time.Second)
	r, err := p.Open(ctx)
	if err != nil {
		return drivers.Receipt{}, err
	}
	n, err := io.Copy(io.Discard, r)
	return drivers.Receipt{Bytes: n}, err
}

func (s slow) Stat(context.Context, string) (drivers.Info, error) {
	time.Sleep(time.Second)
	return drivers.Info{}, s.err
}

// slowly gives a byte a second.
type slowly struct{ left int }

func (s *slowly) Read(p []byte) (int, error) {
	if s.left == 0 {
		return 0, io.EOF
	}
	time.Sleep(time.Second)
	s.left--
	p[0] = 'x'
	return 1, nil
}

// A get takes as long as the back end takes for it, however slowly its payload
// is read; a put does not take what its source takes.
func TestOnlyTheBackEndsTimeIsCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m metrics.Meter
		d := metrics.New(slow{}, &m)
		r, _, err := d.Get(t.Context(), "u")
		if err != nil {
			t.Fatal(err)
		}
		for p := make([]byte, 10); err == nil; _, err = r.Read(p) {
			time.Sleep(time.Minute)
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		if got := m.Measurements(); got.Operations != 1 || got.Bytes != 3 || got.Latency.Sum != 4*time.Second {
			t.Errorf("after a get: %+v", got)
		}
		if _, err := d.Put(t.Context(), "u", drivers.Payload{Length: -1, Open: func(context.Context) (io.ReadCloser, error) {
			return io.NopCloser(&slowly{left: 5}), nil
		}}); err != nil {
			t.Fatal(err)
		}
		if got := m.Measurements(); got.Operations != 2 || got.Bytes != 8 || got.Latency.Sum != 5*time.Second || got.Latency.Mean() != 2500*time.Millisecond {
			t.Errorf("after a put: %+v", got)
		}
	})
}

func TestWhatCountsAsAnError(t *testing.T) {
	kind := func(k drivers.Kind) error {
		return &drivers.Error{Op: "x", URI: "u", Kind: k, Err: errors.New("for a reason")}
	}
	for _, c := range []struct {
		name             string
		err              error
		errors, answered int64
	}{
		{"none", nil, 0, 1},
		{"not there", kind(drivers.NotFound), 0, 1},
		{"temporary", kind(drivers.Temporary), 1, 0},
		{"denied", kind(drivers.Denied), 1, 0},
		{"cancelled", &drivers.Error{Op: "x", URI: "u", Err: context.Canceled}, 0, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			var m metrics.Meter
			_, _ = metrics.New(slow{err: c.err}, &m).Stat(t.Context(), "u")
			if got := m.Measurements(); got.Operations != 1 || got.Errors != c.errors || got.Latency.Count != c.answered {
				t.Errorf("%s: %+v", c.name, got)
			}
		})
	}
}

// A batch is one operation, and one that failed if any part of it did.
func TestBatches(t *testing.T) {
	store, err := localfs.Open(t.Context(), localfs.Options{ArchiveDataDir: filepath.Join(t.TempDir(), "archive")}, true)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := metrics.New(store, new(metrics.Meter)).(drivers.Batcher); ok {
		t.Error("a driver without batches got them")
	}
	var m metrics.Meter
	d := metrics.New(batches{store}, &m).(drivers.Batcher)
	for i, request := range [][]string{{"there", "not there"}, {"there", "broken"}} {
		var requests []drivers.GetRequest
		for _, uri := range request {
			requests = append(requests, drivers.GetRequest{URI: uri})
		}
		d.GetBatch(t.Context(), requests)
		if got := m.Measurements(); got.Operations != int64(i+1) || got.Errors != int64(i) || got.Bytes != int64(i+1)*7 {
			t.Errorf("after %d batches: %+v", i+1, got)
		}
	}
}

// batches reads what is "there".
type batches struct{ drivers.Driver }

func (batches) GetBatch(_ context.Context, requests []drivers.GetRequest) []drivers.GetResult {
	results := make([]drivers.GetResult, len(requests))
	for i, r := range requests {
		switch r.URI {
		case "there":
			results[i].Payload = bytes.Repeat([]byte("x"), 7)
		case "not there":
			results[i].Err = &drivers.Error{Op: "get", URI: r.URI, Kind: drivers.NotFound, Err: errors.New("no such payload")}
		default:
			results[i].Err = &drivers.Error{Op: "get", URI: r.URI, Kind: drivers.Temporary, Err: errors.New("it broke")}
		}
	}
	return results
}

func (batches) PutBatch(_ context.Context, requests []drivers.PutRequest) []drivers.PutResult {
	return make([]drivers.PutResult, len(requests))
}

func (batches) DeleteBatch(_ context.Context, uris []string) []error { return make([]error, len(uris)) }

func TestBuckets(t *testing.T) {
	var h metrics.Histogram
	for _, d := range []time.Duration{0, time.Millisecond, time.Millisecond + 1, time.Minute, time.Hour} {
		h.Observe(d)
	}
	got := h.Latency()
	last := len(metrics.LatencyBounds)
	if len(got.Buckets) != last+1 || got.Count != 5 || got.Buckets[0] != 2 || got.Buckets[1] != 1 || got.Buckets[last-1] != 1 || got.Buckets[last] != 1 {
		t.Errorf("%+v", got)
	}
}

// A store without a meter is counted by nobody, and can be asked all the same.
func TestNoMeter(t *testing.T) {
	var none *metrics.Meter
	none.Retried()
	if got := none.Measurements(); got.Retries != 0 || len(got.Latency.Buckets) != len(metrics.LatencyBounds)+1 {
		t.Errorf("%+v", got)
	}
}
