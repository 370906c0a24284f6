package retry_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/drivers/retry"
)

// batchOperations are those of a Batcher, each giving the errors.
func batchOperations() map[string]func(context.Context, drivers.Batcher, []string) []error {
	return map[string]func(context.Context, drivers.Batcher, []string) []error{
		"get": func(ctx context.Context, b drivers.Batcher, uris []string) (errs []error) {
			var requests []drivers.GetRequest
			for _, uri := range uris {
				requests = append(requests, drivers.GetRequest{URI: uri, MaxBytes: 100})
			}
			for i, r := range b.GetBatch(ctx, requests) {
				if r.Err == nil && string(r.Payload) != uris[i] {
					r.Err = fmt.Errorf("another's payload %q", r.Payload)
				}
				errs = append(errs, r.Err)
			}
			return errs
		},
		"put": func(ctx context.Context, b drivers.Batcher, uris []string) (errs []error) {
			var requests []drivers.PutRequest
			for _, uri := range uris {
				requests = append(requests, drivers.PutRequest{URI: uri, MD5: uri})
			}
			for i, r := range b.PutBatch(ctx, requests) {
				if r.Err == nil && r.Receipt.MD5 != uris[i] {
					r.Err = fmt.Errorf("another's receipt %q", r.Receipt.MD5)
				}
				errs = append(errs, r.Err)
			}
			return errs
		},
		"delete": func(ctx context.Context, b drivers.Batcher, uris []string) []error { return b.DeleteBatch(ctx, uris) },
	}
}

func TestBatchRepeatsOnlyWhatFailed(t *testing.T) {
	for op, call := range batchOperations() {
		t.Run(op, func(t *testing.T) {
			c := &clock{}
			gone := permanent(drivers.NotFound)
			var always []error
			for range 10 {
				always = append(always, temporary("always"))
			}
			slow := &drivers.Error{Op: "x", Kind: drivers.Temporary, RetryAfter: time.Minute, Err: errors.New("slow")}
			inner := &scriptedAll{fails: map[string][]error{
				"b": {temporary("once")}, "c": {gone}, "d": {slow, gone}, "e": always,
			}}
			errs := call(t.Context(), retry.New(inner, c.policy()).(drivers.Batcher), []string{"a", "b", "c", "d", "e", "f"})
			if len(errs) != 6 {
				t.Fatalf("%d results", len(errs))
			}
			for i, want := range []error{nil, nil, gone, gone, always[4], nil} {
				if want == nil && errs[i] != nil || want != nil && !errors.Is(errs[i], want) {
					t.Errorf("result %d: %v, want %v", i, errs[i], want)
				}
			}
			if got := fmt.Sprint(inner.batches); got != "[[a b c d e f] [b d e] [e] [e] [e]]" {
				t.Errorf("trips %s", got)
			}
			if got := fmt.Sprint(c.waits); got != "[1m1s 2s 4s 4s]" {
				t.Errorf("waits %s", got)
			}
			if len(c.reports) != 3+1+1+1 {
				t.Errorf("reported %q", c.reports)
			}
			if !strings.Contains(errs[4].Error(), "attempt 5") {
				t.Errorf("%v", errs[4])
			}
		})
	}
}

func TestBatchCancelled(t *testing.T) {
	for op, call := range batchOperations() {
		ctx, cancel := context.WithCancel(t.Context())
		p := retry.Policy{Base: 24 * time.Hour, Max: 24 * time.Hour, Elapsed: 100 * time.Hour,
			OnRetry: func(string, string, error, time.Duration) { cancel() }}
		inner := &scriptedAll{fails: map[string][]error{"b": {temporary("the reason"), temporary("again")}}}
		errs := call(ctx, retry.New(inner, p).(drivers.Batcher), []string{"a", "b"})
		if len(errs) != 2 || errs[0] != nil || !errors.Is(errs[1], context.Canceled) || !strings.Contains(errs[1].Error(), "the reason") {
			t.Errorf("%s: %v", op, errs)
		}
		inner = &scriptedAll{fails: map[string][]error{"b": {temporary("connection closed")}}}
		errs = call(ctx, retry.New(inner, retry.Policy{}).(drivers.Batcher), []string{"b"})
		if len(errs) != 1 || !errors.Is(errs[0], context.Canceled) || len(inner.batches) != 1 {
			t.Errorf("%s: %v", op, errs)
		}
	}
}

// shortAnswers is a Batcher that forgets results.
type shortAnswers struct{ scriptedAll }

func (d *shortAnswers) DeleteBatch(context.Context, []string) []error { return []error{nil} }

func TestBatchWithTooFewResults(t *testing.T) {
	errs := retry.New(&shortAnswers{}, retry.Policy{}).(drivers.Batcher).DeleteBatch(t.Context(), []string{"a", "b"})
	if len(errs) != 2 || errs[0] == nil || errs[1] == nil {
		t.Errorf("%v", errs)
	}
}

// TestPlainDriver uses what a driver without optional interfaces gets.
func TestPlainDriver(t *testing.T) {
	d := retry.New(&scripted{}, retry.Policy{})
	if _, ok := d.(drivers.Batcher); ok {
		t.Error("a driver without batches got them")
	}
	if err := d.(drivers.Syncer).Sync(t.Context()); err != nil {
		t.Error(err)
	}
	if err := d.(drivers.Lister).List(t.Context(), nil); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("list: %v", err)
	}
}
