package retry_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/drivers/retry"
)

// operations are all of them as functions of a driver.
func operations() map[string]func(context.Context, drivers.Driver) error {
	return map[string]func(context.Context, drivers.Driver) error{
		"get": func(ctx context.Context, d drivers.Driver) error {
			body, info, err := d.Get(ctx, "u")
			if err == nil && (info.Bytes != 4 || body.Close() != nil) {
				return errors.New("get: wrong answer")
			}
			return err
		},
		"put": func(ctx context.Context, d drivers.Driver) error {
			r, err := d.Put(ctx, "u", drivers.InMemory([]byte("body"), ""))
			if err == nil && r.Bytes != 4 {
				return errors.New("put: wrong answer")
			}
			return err
		},
		"stat": func(ctx context.Context, d drivers.Driver) error {
			info, err := d.Stat(ctx, "u")
			if err == nil && info.Bytes != 4 {
				return errors.New("stat: wrong answer")
			}
			return err
		},
		"delete": func(ctx context.Context, d drivers.Driver) error { return d.Delete(ctx, "u") },
		"sync":   func(ctx context.Context, d drivers.Driver) error { return d.(drivers.Syncer).Sync(ctx) },
		"list": func(ctx context.Context, d drivers.Driver) error {
			return d.(drivers.Lister).List(ctx, func(string, drivers.Info) error { return nil })
		},
	}
}

func TestRetriesTemporary(t *testing.T) {
	for op, call := range operations() {
		t.Run(op, func(t *testing.T) {
			c := &clock{}
			inner := &scriptedAll{scripted: scripted{script: []error{temporary("one"), fmt.Errorf("wrapped: %w", temporary("two"))}}}
			if err := call(t.Context(), retry.New(inner, c.policy())); err != nil {
				t.Fatal(err)
			}
			if inner.calls != 3 || fmt.Sprint(c.waits) != "[1s 2s]" {
				t.Errorf("%d calls, waits %v", inner.calls, c.waits)
			}
			if len(c.reports) != 2 || !strings.HasPrefix(c.reports[0], op+" ") || !strings.HasSuffix(c.reports[1], "two 2s") {
				t.Errorf("reported %q", c.reports)
			}
		})
	}
}

func TestGivesUp(t *testing.T) {
	for op, call := range operations() {
		t.Run(op, func(t *testing.T) {
			c := &clock{}
			var script []error
			for i := range 20 {
				script = append(script, temporary(fmt.Sprint("failure ", i)))
			}
			inner := &scriptedAll{scripted: scripted{script: script}}
			err := call(t.Context(), retry.New(inner, c.policy()))
			if drivers.KindOf(err) != drivers.Temporary || !strings.Contains(err.Error(), "failure 4") || !strings.Contains(err.Error(), "attempt 5") {
				t.Errorf("%v", err)
			}
			if inner.calls != 5 || fmt.Sprint(c.waits) != "[1s 2s 4s 4s]" || len(c.reports) != 4 {
				t.Errorf("%d calls, waits %v, reported %q", inner.calls, c.waits, c.reports)
			}
		})
	}
}

func TestOtherKindsAreFinal(t *testing.T) {
	for _, kind := range []drivers.Kind{
		drivers.Other, drivers.NotFound, drivers.InvalidKey, drivers.Corrupt, drivers.TooLarge, drivers.Denied, drivers.Config, drivers.Full,
	} {
		for op, call := range operations() {
			c := &clock{}
			want := permanent(kind)
			inner := &scriptedAll{scripted: scripted{script: []error{want}}}
			if err := call(t.Context(), retry.New(inner, c.policy())); !errors.Is(err, want) || inner.calls != 1 || len(c.waits) != 0 {
				t.Errorf("%s: kind %d: %v after %d calls", op, kind, err, inner.calls)
			}
			inner = &scriptedAll{scripted: scripted{script: []error{temporary("first"), want}}}
			if err := call(t.Context(), retry.New(inner, c.policy())); !errors.Is(err, want) || drivers.KindOf(err) != kind || inner.calls != 2 {
				t.Errorf("%s: kind %d after a retry: %v after %d calls", op, kind, err, inner.calls)
			}
		}
	}
	c := &clock{}
	inner := &scripted{script: []error{errors.New("untyped")}}
	if err := retry.New(inner, c.policy()).Delete(t.Context(), "u"); err == nil || inner.calls != 1 {
		t.Errorf("an untyped error: %v after %d calls", err, inner.calls)
	}
}

func TestElapsed(t *testing.T) {
	c := &clock{}
	p := c.policy()
	p.Attempts, p.Elapsed = 1000, 20*time.Second
	var script []error
	for range 1000 {
		script = append(script, temporary("again"))
	}
	inner := &scripted{script: script}
	err := retry.New(inner, p).Delete(t.Context(), "u")
	if drivers.KindOf(err) != drivers.Temporary || c.now.Sub(time.Time{}) > 20*time.Second || fmt.Sprint(c.waits) != "[1s 2s 4s 4s 4s 4s]" {
		t.Errorf("%v, waits %v", err, c.waits)
	}
}

func TestRetryAfter(t *testing.T) {
	after := func(d time.Duration) error {
		return fmt.Errorf("wrapped: %w", &drivers.Error{Op: "x", Kind: drivers.Temporary, RetryAfter: d, Err: errors.New("SlowDown")})
	}
	c := &clock{}
	inner := &scripted{script: []error{after(30 * time.Second), after(0)}}
	if err := retry.New(inner, c.policy()).Delete(t.Context(), "u"); err != nil || fmt.Sprint(c.waits) != "[31s 2s]" {
		t.Errorf("%v, waits %v", err, c.waits)
	}
	// A server that asks for more than there is time gets no second request.
	c = &clock{}
	inner = &scripted{script: []error{after(2 * time.Hour)}}
	if err := retry.New(inner, c.policy()).Delete(t.Context(), "u"); err == nil || inner.calls != 1 || len(c.waits) != 0 {
		t.Errorf("%v, %d calls, waits %v", err, inner.calls, c.waits)
	}
}

func TestDefaults(t *testing.T) {
	c := &clock{}
	p := retry.Default()
	p.Sleep, p.Now = c.policy().Sleep, c.policy().Now
	script := make([]error, 0, 100)
	for range 100 {
		script = append(script, temporary("again"))
	}
	inner := &scripted{script: script}
	if err := retry.New(inner, p).Delete(t.Context(), "u"); err == nil || inner.calls != 12 {
		t.Errorf("%v after %d calls", err, inner.calls)
	}
	longest := 200 * time.Millisecond
	for i, wait := range c.waits {
		if wait < 0 || wait > longest {
			t.Errorf("wait %d is %v, want at most %v", i, wait, longest)
		}
		longest = min(2*longest, 20*time.Second)
	}
	// The real clock and the real sleep.
	inner = &scripted{script: []error{temporary("once")}}
	if err := retry.New(inner, retry.Policy{Base: time.Microsecond}).Delete(t.Context(), "u"); err != nil || inner.calls != 2 {
		t.Errorf("%v after %d calls", err, inner.calls)
	}
}

func TestCancelledWhileWaiting(t *testing.T) {
	for op, call := range operations() {
		ctx, cancel := context.WithCancel(t.Context())
		inner := &scriptedAll{scripted: scripted{script: []error{temporary("the reason"), temporary("again")}}}
		p := retry.Policy{Base: 24 * time.Hour, Max: 24 * time.Hour, Elapsed: 100 * time.Hour, // the real Sleep
			OnRetry: func(string, string, error, time.Duration) { cancel() }}
		err := call(ctx, retry.New(inner, p))
		if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "the reason") || inner.calls != 1 {
			t.Errorf("%s: %v after %d calls", op, err, inner.calls)
		}
		if _, ok := errors.AsType[*drivers.Error](err); !ok || drivers.KindOf(err) != drivers.Other {
			t.Errorf("%s: kind %d of %v", op, drivers.KindOf(err), err)
		}
		// A context that is done already, and a driver that says so or does not.
		inner = &scriptedAll{scripted: scripted{script: []error{temporary("connection closed"), nil}}}
		if err := call(ctx, retry.New(inner, retry.Policy{})); !errors.Is(err, context.Canceled) || inner.calls != 1 {
			t.Errorf("%s: %v after %d calls", op, err, inner.calls)
		}
	}
}

func TestPutOpensAgain(t *testing.T) {
	opened := 0
	payload := drivers.Payload{Length: -1, Open: func(context.Context) (io.ReadCloser, error) {
		opened++
		if opened == 2 { // the source breaks off, as another driver's Get does
			return io.NopCloser(io.MultiReader(strings.NewReader("bo"), brokenReader{})), nil
		}
		return io.NopCloser(strings.NewReader("body")), nil
	}}
	c := &clock{}
	inner := &scripted{script: []error{temporary("one")}}
	receipt, err := retry.New(inner, c.policy()).Put(t.Context(), "u", payload)
	if err != nil || receipt.Bytes != 4 || opened != 3 {
		t.Errorf("%+v, %v, opened %d times", receipt, err, opened)
	}
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, temporary("broke off") }

func TestListIsNotRepeatedOnceBegun(t *testing.T) {
	c := &clock{}
	inner := &scriptedAll{scripted: scripted{script: []error{temporary("broke off")}, listed: []string{"a", "b"}}}
	var seen []string
	err := retry.New(inner, c.policy()).(drivers.Lister).List(t.Context(), func(uri string, _ drivers.Info) error {
		seen = append(seen, uri)
		return nil
	})
	if drivers.KindOf(err) != drivers.Temporary || fmt.Sprint(seen) != "[a b]" {
		t.Errorf("%v, %q", err, seen)
	}
	enough := temporary("from the caller's own function")
	inner = &scriptedAll{scripted: scripted{listed: []string{"a", "b"}}}
	err = retry.New(inner, c.policy()).(drivers.Lister).List(t.Context(), func(string, drivers.Info) error { return enough })
	if !errors.Is(err, enough) || inner.calls != 1 {
		t.Errorf("%v after %d calls", err, inner.calls)
	}
}
