package limit_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/drivers/breaker"
	"github.com/kedge/kedge/drivers/drivertest"
	"github.com/kedge/kedge/drivers/limit"
	"github.com/kedge/kedge/drivers/localfs"
	"github.com/kedge/kedge/drivers/retry"
)

// Retry gives up after a time; what is waited for a limit is not counted.
func TestWaitingIsNotHeldAgainstAnOperation(t *testing.T) {
	payload := make([]byte, 6000)
	for name, do := range map[string]func(context.Context, drivers.Driver) error{
		"put": func(ctx context.Context, d drivers.Driver) error {
			_, err := d.Put(ctx, "u", drivers.InMemory(payload, ""))
			return err
		},
		"put a stream": func(ctx context.Context, d drivers.Driver) error {
			_, err := d.Put(ctx, "u", stream(payload))
			return err
		},
		"put a batch": func(ctx context.Context, d drivers.Driver) error {
			return d.(drivers.Batcher).PutBatch(ctx, []drivers.PutRequest{{URI: "u", Payload: payload}})[0].Err
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := &whole{plain: plain{fails: []error{temporary, temporary}, attempts: 1}}
				d := retry.New(limit.New(b, limit.Limits{Bytes: 10}), retry.Policy{Elapsed: time.Minute, Base: time.Second, Max: time.Second})
				begun := time.Now()
				if err := do(t.Context(), d); err != nil {
					t.Error(err)
				}
				// Each of three attempts costs its bytes.
				if took := time.Since(begun); took < 1790*time.Second {
					t.Errorf("took only %v", took)
				}
			})
		})
	}
}

type heldBack struct{ error }

func (heldBack) Held() time.Duration { return time.Hour }
func (h heldBack) Unwrap() error     { return h.error }

// What a breaker inside held back is added.
func TestHeldIsAddedUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &plain{fails: []error{nil, heldBack{temporary}, heldBack{temporary}}}
		d := limit.New(b, limit.Limits{Operations: 0.1})
		_, err := d.Stat(t.Context(), "u")
		if err != nil {
			t.Fatal(err)
		}
		_, err = d.Stat(t.Context(), "u")
		var held interface{ Held() time.Duration }
		if !errors.As(err, &held) || held.Held().Round(time.Millisecond) != time.Hour+10*time.Second || drivers.KindOf(err) != drivers.Temporary {
			t.Errorf("%v", err)
		}
	})
}

// However long the queue for a limit is, the breaker's question is answered at
// once: documents that a server never serves do not make it look down.
func TestTheBreakersQuestionDoesNotQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &plain{}
		for range 4 {
			b.fails = append(b.fails, temporary)
		}
		pauses := 0
		inner := breaker.New(b, breaker.Policy{OnPause: func(string, error, time.Time) { pauses++ }})
		d := retry.New(limit.New(inner, limit.Limits{Operations: 0.01}), retry.Policy{})
		var all sync.WaitGroup
		for i := range 20 {
			all.Go(func() {
				if err := d.Delete(t.Context(), fmt.Sprint(i)); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		questions := 0
		for _, call := range b.calls {
			if call == "stat test://kedge-probe" {
				questions++
			}
		}
		if questions != 1 || pauses != 0 {
			t.Errorf("%d questions and %d pauses, want 1 and none", questions, pauses)
		}
	})
}

// TestConformance: within limits a driver is the same driver.
func TestConformance(t *testing.T) {
	drivertest.Run(t, drivertest.Backend{Open: func(tb testing.TB) drivers.Driver {
		store, err := localfs.Open(tb.Context(), localfs.Options{ArchiveDataDir: filepath.Join(tb.TempDir(), "archive")}, true)
		if err != nil {
			tb.Fatal(err)
		}
		return limit.New(store, limit.Limits{Bytes: 1 << 30, Operations: 1e5})
	}})
}
