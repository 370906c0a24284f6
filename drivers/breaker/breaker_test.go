package breaker_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/drivers/breaker"
	"github.com/kedge/kedge/drivers/retry"
)

// notes are what the operator is told.
type notes struct {
	mu              sync.Mutex
	paused, resumed []string
}

func (n *notes) policy() breaker.Policy {
	return breaker.Policy{
		OnPause: func(store string, reason error, until time.Time) {
			n.mu.Lock()
			defer n.mu.Unlock()
			n.paused = append(n.paused, fmt.Sprintf("%s: %v, %s left", store, reason, time.Until(until).Round(time.Second)))
		},
		OnResume: func(store string, paused time.Duration) {
			n.mu.Lock()
			defer n.mu.Unlock()
			n.resumed = append(n.resumed, fmt.Sprintf("%s after %s", store, paused))
		},
	}
}

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
		"stat":   func(ctx context.Context, d drivers.Driver) error { _, err := d.Stat(ctx, "u"); return err },
		"delete": func(ctx context.Context, d drivers.Driver) error { return d.Delete(ctx, "u") },
		"sync":   func(ctx context.Context, d drivers.Driver) error { return d.(drivers.Syncer).Sync(ctx) },
		"abort":  func(ctx context.Context, d drivers.Driver) error { return d.(drivers.Aborter).AbortUploads(ctx, "u") },
		"list": func(ctx context.Context, d drivers.Driver) error {
			return d.(drivers.Lister).List(ctx, func(string, drivers.Info) error { return nil })
		},
		"batch": func(ctx context.Context, d drivers.Driver) error {
			return d.(drivers.Batcher).DeleteBatch(ctx, []string{"u", "v"})[1]
		},
	}
}

// opened is a breaker around a back end that is down, and knows it. The outage
// began at the time returned.
func opened(t *testing.T, b *batches, p breaker.Policy) (d drivers.Driver, since time.Time) {
	t.Helper()
	b.set(refused)
	d = breaker.New(b, p)
	for range 4 {
		if err := d.Delete(t.Context(), "u"); !errors.Is(err, refused) {
			t.Fatal(err)
		}
	}
	if b.questions != 0 {
		t.Fatal("asked while no operation waits")
	}
	return d, time.Now()
}

// TestAPauseUsesUpNoAttempts lets many workers go on while the back end is down
// for longer than any of them would try.
func TestAPauseUsesUpNoAttempts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, n := newBackend(), &notes{}
		b.set(refused)
		attempts := make(map[string]int)
		var mu sync.Mutex
		d := retry.New(breaker.New(b, n.policy()), retry.Policy{OnRetry: func(_, uri string, _ error, _ time.Duration) {
			mu.Lock()
			defer mu.Unlock()
			attempts[uri]++
		}})
		var workers sync.WaitGroup
		for w := range 40 {
			workers.Go(func() {
				for i := range 25 {
					if _, err := d.Put(t.Context(), fmt.Sprintf("test://%d/%d", w, i), drivers.InMemory([]byte("body"), "")); err != nil {
						t.Error(err)
					}
				}
			})
		}
		time.Sleep(20 * time.Minute)
		synctest.Wait()
		o, ok := d.(drivers.Watched).Outage()
		if !ok || o.GaveUp || o.Place != b.Place() || !errors.Is(o.Last, refused) || o.Until.Sub(o.Since) != 30*time.Minute || time.Since(o.Since) < 19*time.Minute {
			t.Errorf("%+v, %v", o, ok)
		}
		b.set(nil)
		workers.Wait()
		if b.failed > 40 {
			t.Errorf("%d attempts of operations failed", b.failed)
		}
		for uri, failed := range attempts {
			if failed > 2 {
				t.Errorf("%s failed %d times", uri, failed)
			}
		}
		// At most every 7.5 seconds, at least every 15.
		if b.together != 1 || b.questions < 80 || b.questions > 170 {
			t.Errorf("%d questions, %d at once", b.questions, b.together)
		}
		if len(n.paused) != 1 || n.paused[0] != "test:// on a test: x u: connection refused, 30m0s left" || len(n.resumed) != 1 || !strings.HasPrefix(n.resumed[0], "test:// on a test after 20m") {
			t.Errorf("told %q and %q", n.paused, n.resumed)
		}
		if _, ok := d.(drivers.Watched).Outage(); ok {
			t.Error("an outage that is over")
		}
	})
}

func TestEveryOperationWaits(t *testing.T) {
	for op, call := range operations() {
		t.Run(op, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, n := &batches{backend: newBackend()}, &notes{}
				d, since := opened(t, b, n.policy())
				b.failed = 0
				time.AfterFunc(time.Minute, func() { b.set(nil) })
				if err := call(t.Context(), d); err != nil {
					t.Error(err)
				}
				if took := time.Since(since); b.failed != 0 || took < time.Minute || took > 75*time.Second {
					t.Errorf("%d attempts failed, back after %s", b.failed, took)
				}
				if len(n.paused) != 1 || len(n.resumed) != 1 {
					t.Errorf("told %q and %q", n.paused, n.resumed)
				}
			})
		})
	}
}

func TestGivesUp(t *testing.T) {
	for op, call := range operations() {
		t.Run(op, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, n := &batches{backend: newBackend()}, &notes{}
				p := n.policy()
				p.GiveUpAfter = 10 * time.Minute
				d, since := opened(t, b, p)
				d = retry.New(d, retry.Policy{OnRetry: func(op, uri string, err error, _ time.Duration) {
					t.Errorf("%s %s is tried again after %v", op, uri, err)
				}})
				b.failed = 0
				var workers sync.WaitGroup
				for range 20 {
					workers.Go(func() {
						err := call(t.Context(), d)
						if o, ok := d.(drivers.Watched).Outage(); !ok || !o.GaveUp {
							t.Errorf("an operation fails before it is told that the store was given up: %+v", o)
						}
						if drivers.KindOf(err) != drivers.Down || !errors.Is(err, refused) || !strings.Contains(err.Error(), "test:// on a test has not answered for 10m0s; the last: ") {
							t.Errorf("%v", err)
						}
					})
				}
				workers.Wait()
				if took := time.Since(since).Round(time.Second); took != 10*time.Minute || b.failed != 0 {
					t.Errorf("gave up after %s and %d attempts", took, b.failed)
				}
				b.set(nil)
				if err := call(t.Context(), d); drivers.KindOf(err) != drivers.Down || time.Since(since).Round(time.Second) != 10*time.Minute {
					t.Errorf("afterwards: %v", err)
				}
				if len(n.paused) != 1 || len(n.resumed) != 0 {
					t.Errorf("told %q and %q", n.paused, n.resumed)
				}
			})
		})
	}
}

// TestTheClockBeginsAnewAfterABreak has two outages that are shorter than what
// is borne, and longer together.
func TestTheClockBeginsAnewAfterABreak(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, n := &batches{backend: newBackend()}, &notes{}
		d, _ := opened(t, b, n.policy())
		for range 3 {
			b.set(refused)
			time.AfterFunc(25*time.Minute, func() { b.set(nil) })
			if _, err := retry.New(d, retry.Policy{}).Stat(t.Context(), "u"); err != nil {
				t.Fatal(err)
			}
		}
		if len(n.paused) != 3 || len(n.resumed) != 3 {
			t.Errorf("told %q and %q", n.paused, n.resumed)
		}
	})
}

// TestPoisonedDocumentsAreNoOutage fails many documents for ever on a back end
// that is there: nothing waits for them, and they fail as without a breaker.
func TestPoisonedDocumentsAreNoOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, n := newBackend(), &notes{}
		d := retry.New(breaker.New(b, n.policy()), retry.Policy{})
		var workers sync.WaitGroup
		for i := range 50 {
			uri := fmt.Sprint("test://", i)
			b.poisoned[uri] = kind(drivers.Temporary)
			workers.Go(func() {
				if _, _, err := d.Get(t.Context(), uri); drivers.KindOf(err) != drivers.Temporary || !strings.Contains(err.Error(), "attempt 12") {
					t.Error(err)
				}
			})
		}
		workers.Wait()
		if len(n.paused)+len(n.resumed) != 0 || b.failed != 50*12 || b.questions == 0 || b.questions > b.failed/4 {
			t.Errorf("told %q, %d failed attempts, %d questions", n.paused, b.failed, b.questions)
		}
		if _, ok := d.(drivers.Watched).Outage(); ok {
			t.Error("an outage")
		}
	})
}

// TestWhatIsNoFailure does not even raise a suspicion.
func TestWhatIsNoFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBackend()
		d := breaker.New(b, breaker.Policy{})
		for _, k := range []drivers.Kind{drivers.NotFound, drivers.InvalidKey, drivers.Corrupt, drivers.TooLarge, drivers.Denied, drivers.Config, drivers.Full} {
			for range 3 {
				b.once["u"] = kind(drivers.Temporary)
				_ = d.Delete(t.Context(), "u")
			}
			b.once["u"] = kind(k) // an answer
			if err := d.Delete(t.Context(), "u"); drivers.KindOf(err) != k {
				t.Error(err)
			}
		}
		for range 20 { // nobody knows
			b.once["u"] = kind(drivers.Other)
			_ = d.Delete(t.Context(), "u")
		}
		b.down = refused
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		for range 20 {
			_ = d.Delete(ended, "u")
		}
		b.down = nil
		if err := d.Delete(t.Context(), "u"); err != nil || b.questions != 0 {
			t.Errorf("%v, %d questions", err, b.questions)
		}
	})
}

func TestHonoursRetryAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &batches{backend: newBackend()}
		d, _ := opened(t, b, breaker.Policy{Jitter: func(longest time.Duration) time.Duration { return longest }})
		b.set(&drivers.Error{Op: "x", Kind: drivers.Temporary, RetryAfter: 40 * time.Second, Err: errors.New("SlowDown")})
		time.AfterFunc(30*time.Second, func() { b.set(refused) })
		time.AfterFunc(100*time.Second, func() { b.set(nil) })
		if err := d.Delete(t.Context(), "u"); err != nil {
			t.Fatal(err)
		}
		var waits []time.Duration
		for i := 1; i < len(b.asked); i++ {
			waits = append(waits, b.asked[i].Sub(b.asked[i-1]).Round(time.Second))
		}
		if got := fmt.Sprint(waits); got != "[40s 2s 4s 8s 15s 15s 15s 15s]" {
			t.Errorf("waits %s", got)
		}
	})
}

// TestCancelledWhileWaiting ends the operation that asks for all, and another:
// the others wait on, and ask on.
func TestCancelledWhileWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &batches{backend: newBackend()}
		d, since := opened(t, b, breaker.Policy{})
		var workers sync.WaitGroup
		for i := range 10 {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			time.Sleep(time.Second) // the first one asks
			if i != 5 {
				time.AfterFunc(time.Duration(i+1)*time.Minute-time.Since(since), cancel)
			}
			workers.Go(func() {
				err := retry.New(d, retry.Policy{}).Delete(ctx, "u")
				switch {
				case i == 5 && err == nil:
				case i == 5:
					t.Error(err)
				case !errors.Is(err, context.Canceled) || !errors.Is(err, refused) || drivers.KindOf(err) != drivers.Other:
					t.Errorf("operation %d: %v", i, err)
				case time.Since(since) != time.Duration(i+1)*time.Minute:
					t.Errorf("operation %d ended after %s", i, time.Since(since))
				}
			})
		}
		time.AfterFunc(15*time.Minute, func() { b.set(nil) })
		workers.Wait()
		if took := time.Since(since); took < 15*time.Minute || b.together != 1 {
			t.Errorf("over after %s, %d questions at once", took, b.together)
		}
	})
}

// TestAServerThatHangs answers nothing, not even with a failure.
func TestAServerThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, n := &batches{backend: newBackend()}, &notes{}
		p := n.policy()
		p.GiveUpAfter = 2 * time.Minute
		d, since := opened(t, b, p)
		b.hangs = true
		err := d.Delete(t.Context(), "u")
		if took := time.Since(since); drivers.KindOf(err) != drivers.Down || took > 2*time.Minute+5*time.Second {
			t.Errorf("%v after %s", err, took)
		}
		if len(n.paused) != 1 || b.questions < 4 {
			t.Errorf("told %q, %d questions", n.paused, b.questions)
		}
	})
}

// TestSuspicionsThatNobodyFollowsUp begin the clock when somebody does.
func TestSuspicionsThatNobodyFollowsUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &batches{backend: newBackend()}
		d, _ := opened(t, b, breaker.Policy{})
		time.Sleep(2 * time.Hour)
		time.AfterFunc(10*time.Minute, func() { b.set(nil) })
		if err := d.Delete(t.Context(), "u"); err != nil {
			t.Error(err)
		}
	})
}

// TestWaitingIsNoTimeOfTheOperations lets an operation fail after a pause that is
// longer than retry goes on: it is tried again all the same.
func TestWaitingIsNoTimeOfTheOperations(t *testing.T) {
	for _, op := range []string{"put", "batch", "list"} {
		synctest.Test(t, func(t *testing.T) {
			b := &batches{backend: newBackend()}
			d, _ := opened(t, b, breaker.Policy{})
			time.AfterFunc(20*time.Minute, func() {
				b.mu.Lock()
				defer b.mu.Unlock()
				b.down = nil
				b.once["u"], b.once["v"], b.once["list"] = refused, refused, refused
			})
			if err := operations()[op](t.Context(), retry.New(d, retry.Policy{})); err != nil {
				t.Errorf("%s: %v", op, err)
			}
		})
	}
}
