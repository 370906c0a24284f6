// Package breaker is a decorator that holds operations back while their back end
// is down. So they are neither tried nor counted as tried. When the back end answers
// again, the breaker lets them go on. It stands inside of drivers/retry:
//
//	retry.New(breaker.New(driver, policy), retryPolicy)
//
// Attempts that fail one after the other raise a suspicion, no more: they may all be
// of documents that this server never serves. So the breaker asks for the length of
// a document that is not there. A server that answers at all answers that. Only if
// that question fails with kind Temporary as well is the back end down. Then one of
// the waiting operations asks again every so often, on behalf of them all, until
// there is an answer or the wait has been too long. So no operation uses up its own
// attempts on a back end that is down.
package breaker

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/drivers/decorator"
)

// Policy says when a back end is taken to be down, and for how long that is
// borne. A field that is 0 or nil has the value that Default gives it.
type Policy struct {
	// Failures is how many attempts in a row must fail with kind Temporary, and
	// none succeed, before the back end is asked whether it is there.
	Failures int
	// Every is the wait before it is asked again; each further one is twice as
	// long, up to MaxEvery. How long a wait really is, is drawn from the upper
	// half of that. What the server asked for (Error.RetryAfter) is waited at
	// least.
	Every, MaxEvery time.Duration
	// GiveUpAfter is how long the back end may be down without a break. Then all
	// operations fail with kind Down.
	GiveUpAfter time.Duration
	// OnPause is told that operations wait from now on, until when at the
	// latest, and OnResume that they go on, after how long. Both are called one
	// after the other.
	OnPause  func(store string, reason error, until time.Time)
	OnResume func(store string, paused time.Duration)

	// Jitter draws a wait of at most longest.
	Jitter func(longest time.Duration) time.Duration
}

// DefaultGiveUpAfter is how long a back end may be down: long enough for a
// restart or a failover, and for somebody to be called.
const DefaultGiveUpAfter = 30 * time.Minute

// An answer to the question whether the server is there may take so long.
const (
	askTimeout     = 30 * time.Second
	lastAskTimeout = 5 * time.Second // when it is to be given up next
)

// Default is the policy for a server that may be restarted meanwhile.
func Default() Policy { return Policy{}.withDefaults() }

func (p Policy) withDefaults() Policy {
	if p.Failures <= 0 {
		p.Failures = 4
	}
	if p.Every <= 0 {
		p.Every = time.Second
	}
	if p.MaxEvery <= 0 {
		p.MaxEvery = 15 * time.Second
	}
	if p.GiveUpAfter <= 0 {
		p.GiveUpAfter = DefaultGiveUpAfter
	}
	if p.OnPause == nil {
		p.OnPause = func(string, error, time.Time) {}
	}
	if p.OnResume == nil {
		p.OnResume = func(string, time.Duration) {}
	}
	if p.Jitter == nil {
		p.Jitter = func(longest time.Duration) time.Duration { return rand.N(longest + 1) }
	}
	return p
}

// breaker knows whether the back end of a driver answers.
type breaker struct {
	drivers.Driver
	policy Policy
	// failures is how many attempts in a row have failed.
	failures atomic.Int32
	// pause is nil while operations go through.
	pause atomic.Pointer[pause]
}

// pause is a time during which operations wait.
type pause struct {
	// over is closed at the end of it; err is then why there was none, nil when
	// operations go on.
	over chan struct{}
	err  error
	// turn is held by the one operation that asks for all.
	turn chan struct{}

	// Of whoever holds turn: when the first question was asked, how often one
	// was, and when the next one is due.
	since, due time.Time
	asked      int

	// last is the last failure that the question met; nil as long as there is
	// only a suspicion. Once it is set, since stays.
	mu   sync.Mutex
	last error
}

// await returns at once while the back end is taken to be there. Else it waits
// until it is, and says how long that took.
func (b *breaker) await(ctx context.Context) (held time.Duration, refusal *drivers.Error) {
	if b.pause.Load() == nil {
		return 0, nil
	}
	begun := time.Now()
	for {
		p := b.pause.Load()
		if p == nil {
			return time.Since(begun), nil
		}
		select {
		case <-p.over:
			if p.err != nil {
				return 0, &drivers.Error{Kind: drivers.Down, Err: p.err}
			}
		case <-ctx.Done():
			return 0, p.interrupted(ctx)
		case p.turn <- struct{}{}:
			err := b.ask(ctx, p)
			<-p.turn
			if err != nil {
				return 0, p.interrupted(ctx)
			}
		}
	}
}

// interrupted is the error of an operation that still waited when its context
// ended.
func (p *pause) interrupted(ctx context.Context) *drivers.Error {
	cause := ctx.Err()
	if last := p.reason(); last != nil {
		cause = fmt.Errorf("%w while the store does not answer; the last: %w", cause, last)
	}
	return &drivers.Error{Err: cause}
}

func (p *pause) reason() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.last
}

// settle takes note of how an attempt ended.
func (b *breaker) settle(ctx context.Context, err error) {
	switch {
	case answered(err):
		if b.failures.Load() != 0 {
			b.failures.Store(0)
		}
	case drivers.KindOf(err) != drivers.Temporary || ctx.Err() != nil:
		// Nobody knows.
	case int(b.failures.Add(1)) >= b.policy.Failures && b.pause.Load() == nil:
		b.pause.CompareAndSwap(nil, &pause{over: make(chan struct{}), turn: make(chan struct{}, 1)})
	}
}

// answered says whether a result shows that the server does its work: it has
// done what was asked, or said why it does not.
func answered(err error) bool {
	if err == nil {
		return true
	}
	switch drivers.KindOf(err) {
	case drivers.Other, drivers.Temporary, drivers.Down:
		return false
	default:
		return true
	}
}

// ask waits until it is time, asks the back end whether it is there, and ends
// the pause if it is or if the wait has been too long. It fails only when ctx
// has ended.
func (b *breaker) ask(ctx context.Context, p *pause) error {
	select {
	case <-p.over: // while this operation got its turn
		return nil
	default:
	}
	if p.reason() == nil {
		p.since = time.Now() // nobody may have wanted anything since the suspicion arose
	}
	deadline := p.since.Add(b.policy.GiveUpAfter)
	due := p.due
	if deadline.Before(due) {
		due = deadline
	}
	if err := decorator.Sleep(ctx, time.Until(due)); err != nil {
		return err
	}
	patience := min(max(time.Until(deadline), lastAskTimeout), askTimeout)
	asking, cancel := context.WithTimeout(ctx, patience)
	_, err := b.Driver.Stat(asking, b.question())
	cancel()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if answered(err) {
		b.resume(p)
		return nil
	}
	first := p.reason() == nil
	p.mu.Lock()
	p.last = err
	p.mu.Unlock()
	if first {
		b.policy.OnPause(b.Place(), err, deadline)
	}
	now := time.Now()
	if !now.Before(deadline) {
		p.err = fmt.Errorf("%s has not answered for %s; the last: %w", b.Place(), now.Sub(p.since).Round(time.Second), err)
		close(p.over)
		return nil
	}
	p.due = now.Add(max(b.interval(p.asked), decorator.RetryAfter(err)))
	p.asked++
	return nil
}

// resume lets all operations go on.
func (b *breaker) resume(p *pause) {
	b.failures.Store(0)
	if p.reason() != nil {
		b.policy.OnResume(b.Place(), time.Since(p.since))
	}
	b.pause.Store(nil)
	close(p.over)
}

// question is the URI of a document that is not there. No user of Anchore has
// such a name.
func (b *breaker) question() string {
	uri, err := b.URI(drivers.Key{UserID: "kedge-probe", Bucket: "kedge-probe", ArchiveID: "kedge-probe"})
	if err != nil {
		return b.Prefix() + "kedge-probe"
	}
	return uri
}

// interval is the wait after so many questions.
func (b *breaker) interval(asked int) time.Duration {
	longest := decorator.Doubled(b.policy.Every, b.policy.MaxEvery, asked)
	return longest/2 + b.policy.Jitter(longest/2)
}

// outage is the pause that there is, unless it is only a suspicion.
func (b *breaker) outage() (drivers.Outage, bool) {
	p := b.pause.Load()
	if p == nil {
		return drivers.Outage{}, false
	}
	last := p.reason()
	if last == nil {
		return drivers.Outage{}, false
	}
	o := drivers.Outage{Place: b.Place(), Since: p.since, Until: p.since.Add(b.policy.GiveUpAfter), Last: last}
	select {
	case <-p.over:
		o.GaveUp = p.err != nil
	default:
	}
	return o, true
}
