package limit_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/drivers/limit"
)

var content = bytes.Repeat([]byte("0123456789"), 4) // 40 bytes

// What each operation costs: the seconds that it takes at one operation a second,
// and at ten bytes a second, when nothing is left over.
func TestWhatOperationsCost(t *testing.T) {
	get := []drivers.GetRequest{{URI: "a", MaxBytes: 100}, {URI: "b", MaxBytes: 100}, {URI: "c", MaxBytes: 100}}
	put := []drivers.PutRequest{{URI: "a", Payload: content}, {URI: "b", Payload: content}}
	none := func(string, drivers.Info) error { return nil }
	for _, test := range []struct {
		name                   string
		operations, tenOfBytes time.Duration
		do                     func(context.Context, drivers.Driver) error
	}{
		{"stat", 1, 0, func(ctx context.Context, d drivers.Driver) error { _, err := d.Stat(ctx, "u"); return err }},
		{"delete", 1, 0, func(ctx context.Context, d drivers.Driver) error { return d.Delete(ctx, "u") }},
		{"abort", 1, 0, func(ctx context.Context, d drivers.Driver) error { return d.(drivers.Aborter).AbortUploads(ctx, "u") }},
		{"get", 1, 4, func(ctx context.Context, d drivers.Driver) error {
			body, info, err := d.Get(ctx, "u")
			if err != nil {
				return err
			}
			got, err := io.ReadAll(body)
			if !bytes.Equal(got, content) || info.Bytes != 40 {
				t.Errorf("got %q, %+v", got, info)
			}
			return errors.Join(err, body.Close())
		}},
		{"put", 1, 4, func(ctx context.Context, d drivers.Driver) error {
			_, err := d.Put(ctx, "u", drivers.InMemory(content, ""))
			return err
		}},
		{"put a stream, opened twice", 1, 8, func(ctx context.Context, d drivers.Driver) error {
			r, err := d.Put(ctx, "u", stream(content))
			if r.Bytes != 40 {
				t.Errorf("put %+v", r)
			}
			return err
		}},
		{"get batch", 3, 12, func(ctx context.Context, d drivers.Driver) error {
			results := d.(drivers.Batcher).GetBatch(ctx, get)
			if len(results) != 3 || !bytes.Equal(results[2].Payload, content) {
				t.Errorf("got %+v", results)
			}
			return results[0].Err
		}},
		{"put batch", 2, 8, func(ctx context.Context, d drivers.Driver) error {
			return d.(drivers.Batcher).PutBatch(ctx, put)[1].Err
		}},
		{"delete batch", 4, 0, func(ctx context.Context, d drivers.Driver) error {
			return d.(drivers.Batcher).DeleteBatch(ctx, []string{"a", "b", "c", "d"})[3]
		}},
		{"empty batch", 0, 0, func(ctx context.Context, d drivers.Driver) error {
			return errors.Join(d.(drivers.Batcher).DeleteBatch(ctx, nil)...)
		}},
		{"list 2001", 3, 0, func(ctx context.Context, d drivers.Driver) error { return d.(drivers.Lister).List(ctx, none) }},
		{"list a tree", 3, 0, func(ctx context.Context, d drivers.Driver) error {
			return d.(drivers.Tree).ListAfter(ctx, "", "", none)
		}},
		{"sync", 0, 0, func(ctx context.Context, d drivers.Driver) error { return d.(drivers.Syncer).Sync(ctx) }},
		{"inspect", 0, 0, func(ctx context.Context, d drivers.Driver) error {
			_, err := d.(drivers.Inspector).Inspect(ctx)
			return err
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				for limits, want := range map[limit.Limits]time.Duration{
					{Operations: 1}:            test.operations * time.Second,
					{Bytes: 10}:                test.tenOfBytes * time.Second,
					{Operations: 10, Bytes: 1}: max(test.operations*time.Second/10, 10*test.tenOfBytes*time.Second),
				} {
					d := limit.New(&whole{plain: plain{body: content, attempts: 2}, listed: 2001}, limits)
					// Take what is left over.
					_, _ = d.Put(t.Context(), "u", drivers.InMemory([]byte("1"), ""))
					begun := time.Now()
					if err := test.do(t.Context(), d); err != nil {
						t.Fatal(err)
					}
					if took := time.Since(begun); (took - want).Abs() > time.Millisecond {
						t.Errorf("%+v: took %v, want %v", limits, took, want)
					}
				}
			})
		})
	}
}

// A body waits only while no read is under way, and is never read far ahead.
func TestASlowMeterIsNoStalledServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &plain{body: bytes.Repeat([]byte("x"), 1<<20)}
		d := limit.New(b, limit.Limits{Bytes: 4 << 10})
		begun := time.Now()
		body, _, err := d.Get(t.Context(), "u")
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(body); err != nil || !bytes.Equal(got, b.body) {
			t.Errorf("%d bytes, %v", len(got), err)
		}
		if took := time.Since(begun); took < 100*stall {
			t.Errorf("took only %v", took)
		}
		if b.longest > 4<<10/10 {
			t.Errorf("%d bytes were read at once", b.longest)
		}
		quick := limit.New(b, limit.Limits{Bytes: 1 << 40})
		b.longest = 0
		if body, _, err = quick.Get(t.Context(), "u"); err != nil {
			t.Fatal(err)
		}
		if _, err := body.Read(make([]byte, 1<<20)); err != nil || b.longest > 64<<10 {
			t.Errorf("%d bytes were read at once (%v)", b.longest, err)
		}
	})
}

// A wait that is cut short hands on what was read; the stream itself tells then
// what has become of it.
func TestAWaitOfAStreamIsCutShort(t *testing.T) {
	for _, by := range []string{"close", "cancel"} {
		t.Run(by, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := limit.New(&plain{body: content}, limit.Limits{Bytes: 20})
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				body, _, err := d.Get(ctx, "u")
				if err != nil {
					t.Fatal(err)
				}
				p := make([]byte, 40)
				if n, err := body.Read(p); n != 2 || err != nil {
					t.Fatal(n, err)
				}
				read := make(chan struct{})
				begun := time.Now()
				go func() {
					defer close(read)
					if n, err := body.Read(p); n != 2 || err != nil {
						t.Errorf("a read that waited: %d bytes, %v", n, err)
					}
				}()
				synctest.Wait() // until it waits
				if by == "cancel" {
					cancel()
				} else if err := body.Close(); err != nil {
					t.Error(err)
				}
				<-read
				if took := time.Since(begun); took != 0 {
					t.Errorf("the wait ended after %v", took)
				}
				if _, err := body.Read(p); by == "close" && err == nil {
					t.Error("a closed body can be read")
				}
			})
		})
	}
}

// An operation whose context ends while it waits is not begun.
func TestCancelledBeforeItBegins(t *testing.T) {
	for name, do := range map[string]func(context.Context, drivers.Driver) error{
		"stat":   func(ctx context.Context, d drivers.Driver) error { _, err := d.Stat(ctx, "u"); return err },
		"get":    func(ctx context.Context, d drivers.Driver) error { _, _, err := d.Get(ctx, "u"); return err },
		"delete": func(ctx context.Context, d drivers.Driver) error { return d.Delete(ctx, "u") },
		"put": func(ctx context.Context, d drivers.Driver) error {
			_, err := d.Put(ctx, "u", stream(content))
			return err
		},
		"get a batch": func(ctx context.Context, d drivers.Driver) error {
			return d.(drivers.Batcher).GetBatch(ctx, []drivers.GetRequest{{URI: "t"}, {URI: "u"}})[1].Err
		},
		"put a batch": func(ctx context.Context, d drivers.Driver) error {
			return d.(drivers.Batcher).PutBatch(ctx, []drivers.PutRequest{{URI: "t"}, {URI: "u"}})[1].Err
		},
		"delete a batch": func(ctx context.Context, d drivers.Driver) error {
			return d.(drivers.Batcher).DeleteBatch(ctx, []string{"t", "u"})[1]
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := &whole{}
				d := limit.New(b, limit.Limits{Operations: 0.01})
				if _, err := d.Stat(t.Context(), "first"); err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithCancel(t.Context())
				go func() {
					time.Sleep(time.Second)
					cancel()
				}()
				err := do(ctx, d)
				var typed *drivers.Error
				if !errors.Is(err, context.Canceled) || !errors.As(err, &typed) || typed.URI != "u" {
					t.Errorf("the error is %v", err)
				}
				if !slices.Equal(b.calls, []string{"stat first"}) {
					t.Errorf("the driver was asked for %q", b.calls)
				}
			})
		})
	}
}

// A payload in memory is not begun to be put before its bytes are had.
func TestCancelledBeforeItsBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &whole{}
		d := limit.New(b, limit.Limits{Bytes: 10})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := d.Put(ctx, "u", drivers.InMemory(content, "")); !errors.Is(err, context.DeadlineExceeded) || len(b.calls) != 0 {
			t.Errorf("%v; the driver was asked for %q", err, b.calls)
		}
	})
}

func TestOptionalAbilities(t *testing.T) {
	some := limit.Limits{Operations: 1e6}
	simple, able := &plain{}, &whole{listed: 1}
	if limit.New(simple, limit.Limits{}) != drivers.Driver(simple) {
		t.Error("a driver without limits is not itself")
	}
	d := limit.New(simple, some)
	if _, ok := d.(drivers.Batcher); ok {
		t.Error("a Batcher around none")
	}
	if d.Capabilities().Workers != 7 || d.Place() != simple.Place() {
		t.Error("not the driver's own capabilities and place")
	}
	ctx := t.Context()
	for name, err := range map[string]error{
		"list":      d.(drivers.Lister).List(ctx, nil),
		"list tree": d.(drivers.Tree).ListAfter(ctx, "", "", nil),
		"path":      second(d.(drivers.Tree).PathURI("a")),
	} {
		if !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("%s: %v", name, err)
		}
	}
	found, err := d.(drivers.Inspector).Inspect(ctx)
	_, out := d.(drivers.Watched).Outage()
	if err := errors.Join(err, d.(drivers.Syncer).Sync(ctx), d.(drivers.Aborter).AbortUploads(ctx, "u")); err != nil || found != nil || out {
		t.Errorf("%v, %v, %v", found, out, err)
	}
	if len(simple.calls) != 0 {
		t.Errorf("the driver was asked for %q", simple.calls)
	}

	d = limit.New(able, some)
	if uri, err := d.(drivers.Tree).PathURI("a"); uri != "test://a" || err != nil {
		t.Error(uri, err)
	}
	if o, out := d.(drivers.Watched).Outage(); !out || o.Place != "here" {
		t.Error("the outage is not passed on")
	}
	if found, err := d.(drivers.Inspector).Inspect(ctx); len(found) != 1 || err != nil {
		t.Error(found, err)
	}
	if err := errors.Join(d.(drivers.Syncer).Sync(ctx), d.(drivers.Aborter).AbortUploads(ctx, "u")); err != nil {
		t.Error(err)
	}
	if got, want := fmt.Sprint(able.calls), "[inspect  sync  abort u]"; got != want {
		t.Errorf("the driver was asked for %s, want %s", got, want)
	}
}

func second[T any](_ T, err error) error { return err }

// What fn returns ends a listing and comes back as it is; so does, before fn is
// called again, the end of the context.
func TestListingsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &whole{listed: 1500}
		d := limit.New(b, limit.Limits{Operations: 1})
		stop := errors.New("stop")
		for range 2 { // the second one waits
			if err := d.(drivers.Lister).List(t.Context(), func(string, drivers.Info) error { return stop }); err != stop {
				t.Errorf("List returns %v", err)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
		defer cancel()
		listed := 0
		err := d.(drivers.Tree).ListAfter(ctx, "", "", func(string, drivers.Info) error { listed++; return nil })
		if !errors.Is(err, context.DeadlineExceeded) || listed != 1000 {
			t.Errorf("%d listed, %v", listed, err)
		}
	})
}
