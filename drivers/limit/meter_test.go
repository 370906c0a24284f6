package limit

import (
	"context"
	"errors"
	"math"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// near says whether two times are the same but for rounding.
func near(a, b time.Duration) bool { return (a - b).Abs() < time.Microsecond }

func TestTakeWaitsInPieces(t *testing.T) {
	for _, test := range []struct {
		name   string
		rate   float64
		tokens int64
		want   time.Duration
	}{
		{"within the bucket", 1000, 100, 0},
		{"one more", 1000, 101, time.Millisecond},
		{"many buckets", 1000, 2500, 2400 * time.Millisecond},
		{"a payload of a gigabyte", 10 << 20, 1 << 30, 102300 * time.Millisecond},
		{"less than one a second", 0.5, 3, 4 * time.Second},
		{"nothing", 1, 0, 0},
		{"no limit", 0, 1 << 40, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begun := time.Now()
				waited, err := newMeter(test.rate).take(t.Context(), test.tokens)
				if err != nil || !near(waited, test.want) || !near(time.Since(begun), test.want) {
					t.Errorf("waited %v, said %v (%v); want %v", time.Since(begun), waited, err, test.want)
				}
			})
		})
	}
}

func TestRatesThatAreNone(t *testing.T) {
	for _, rate := range []float64{0, -1, math.NaN(), math.Inf(1)} {
		if newMeter(rate) != nil {
			t.Errorf("%v makes a meter", rate)
		}
	}
}

// What has not been used is no credit for later, beyond a tenth of a second.
func TestBurstIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMeter(1000)
		time.Sleep(24 * time.Hour)
		if waited, _ := m.take(t.Context(), 1100); !near(waited, time.Second) {
			t.Errorf("after a day waited %v for 1100 tokens, want 1s", waited)
		}
	})
}

// Two who want much share the rate: neither waits for all of the other's.
func TestTakeIsFair(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMeter(1000)
		begun := time.Now()
		var ended [2]time.Duration
		var both sync.WaitGroup
		for i := range ended {
			both.Go(func() {
				if _, err := m.take(t.Context(), 1000); err != nil {
					t.Error(err)
				}
				ended[i] = time.Since(begun)
			})
		}
		both.Wait()
		if min(ended[0], ended[1]) < 1700*time.Millisecond-time.Microsecond || !near(max(ended[0], ended[1]), 1900*time.Millisecond) {
			t.Errorf("they had all after %v", ended)
		}
	})
}

func TestTakeEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMeter(10)
		if _, err := m.take(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		waited, err := m.take(ctx, 100)
		if !errors.Is(err, context.DeadlineExceeded) || !near(waited, 50*time.Millisecond) {
			t.Errorf("waited %v (%v)", waited, err)
		}
		if waited, err := m.take(ctx, 100); !errors.Is(err, context.DeadlineExceeded) || waited > time.Microsecond {
			t.Errorf("with a context that has ended waited %v (%v)", waited, err)
		}
		// What was not had is given back.
		if waited, err := m.take(t.Context(), 1); err != nil || !near(waited, 50*time.Millisecond) {
			t.Errorf("the next one waits %v (%v), want 50ms", waited, err)
		}
	})
}
