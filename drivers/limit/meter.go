package limit

import (
	"context"
	"math"
	"time"

	"golang.org/x/time/rate"

	"github.com/kedge/kedge/drivers/decorator"
)

// meter hands out so many tokens a second, to whoever asks first. A nil meter
// hands out any number. Safe for concurrent use.
type meter struct {
	limiter *rate.Limiter
	// piece is the most that is taken at once: the bucket's size.
	piece int64
}

// burstsPerSecond is how often in a second the bucket fills: what was left
// unused can be made up for with a tenth of a second's worth, no more. It is
// still far above what a timer is late by, so that no token is lost to that.
const burstsPerSecond = 10

// newMeter makes a meter; nil for a rate that is none.
func newMeter(perSecond float64) *meter {
	if !(perSecond > 0) || math.IsInf(perSecond, 1) {
		return nil
	}
	piece := int64(min(max(perSecond/burstsPerSecond, 1), math.MaxInt32))
	return &meter{limiter: rate.NewLimiter(rate.Limit(perSecond), int(piece)), piece: piece}
}

// take waits for n tokens, a piece after the other, so that others get theirs in
// between, and says how long that took. When ctx ends it gives back what it
// waits for and returns ctx's error; a ctx that has ended is not looked at where
// nothing is to be waited for.
func (m *meter) take(ctx context.Context, n int64) (waited time.Duration, err error) {
	if m == nil {
		return 0, nil
	}
	for n > 0 {
		piece := min(n, m.piece)
		n -= piece
		now := time.Now()
		reserved := m.limiter.ReserveN(now, int(piece))
		delay := reserved.DelayFrom(now)
		if delay <= 0 {
			continue
		}
		err := decorator.Sleep(ctx, delay)
		waited += time.Since(now)
		if err != nil {
			reserved.Cancel()
			return waited, err
		}
	}
	return waited, nil
}
