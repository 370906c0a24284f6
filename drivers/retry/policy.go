package retry

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/kedge/kedge/drivers/decorator"
)

// Policy says how often and how long an operation is tried. A field that is 0
// or nil has the value that Default gives it.
type Policy struct {
	// Attempts is how often an operation is tried at most, the first attempt
	// included. 1 turns retrying off.
	Attempts int
	// Base is the longest wait before the second attempt; each further one may
	// be twice as long, up to Max. How long a wait really is, is drawn evenly
	// between nothing and that ("full jitter"), so that many workers that a
	// server turned away do not come back all at once. What a server asked for
	// (Error.RetryAfter) is waited in addition.
	Base, Max time.Duration
	// Elapsed is how long after the first attempt began another one may begin,
	// not counting the time for which drivers/breaker held attempts back.
	Elapsed time.Duration
	// OnRetry is told of every attempt that failed and will be repeated after
	// wait. It may be called from many goroutines at once.
	OnRetry func(op, uri string, err error, wait time.Duration)

	// Sleep waits, until ctx is done at the most, and then returns its error.
	Sleep func(ctx context.Context, wait time.Duration) error
	// Now tells the time.
	Now func() time.Time
	// Jitter draws a wait of at most longest.
	Jitter func(longest time.Duration) time.Duration
}

// Default is the policy for a server that may be restarted meanwhile: it is
// tried for about a minute.
func Default() Policy { return Policy{}.withDefaults() }

func (p Policy) withDefaults() Policy {
	if p.Attempts <= 0 {
		p.Attempts = 12
	}
	if p.Base <= 0 {
		p.Base = 200 * time.Millisecond
	}
	if p.Max <= 0 {
		p.Max = 20 * time.Second
	}
	if p.Elapsed <= 0 {
		p.Elapsed = 5 * time.Minute
	}
	if p.OnRetry == nil {
		p.OnRetry = func(string, string, error, time.Duration) {}
	}
	if p.Sleep == nil {
		p.Sleep = decorator.Sleep
	}
	if p.Now == nil {
		p.Now = time.Now
	}
	if p.Jitter == nil {
		p.Jitter = func(longest time.Duration) time.Duration { return rand.N(longest + 1) }
	}
	return p
}

// attempts counts those of one operation.
type attempts struct {
	policy *Policy
	begun  time.Time
	made   int
}

// wait tells, when another attempt has failed for which the server asked to be
// left alone for after and which was held back before it was made, how long to
// wait for the next one, or that there is to be none.
func (a *attempts) wait(after, held time.Duration) (wait time.Duration, again bool) {
	a.made++
	a.begun = a.begun.Add(held)
	if a.made >= a.policy.Attempts {
		return 0, false
	}
	wait = max(after, 0) + a.policy.Jitter(decorator.Doubled(a.policy.Base, a.policy.Max, a.made-1))
	return wait, a.policy.Now().Sub(a.begun)+wait <= a.policy.Elapsed
}
