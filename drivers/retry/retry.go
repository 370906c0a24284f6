// Package retry is a decorator that repeats operations of a driver that have
// failed with kind Temporary. Drivers themselves do one attempt of one
// operation.
package retry

import (
	"context"
	"fmt"
	"time"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/drivers/decorator"
)

// New gives a driver that repeats what d fails to do with kind Temporary, as
// the policy says, and nothing else:
//
//   - of a Get the opening; a body that breaks off is the reader's to open again;
//   - of a Put the whole; the driver opens a streamed payload again for each
//     attempt;
//   - of a batch those parts that have failed, as a smaller batch;
//   - List as long as it has listed nothing, so that nothing is listed twice;
//     ListAfter behind the last payload that it has listed.
//
// An error after several attempts is the last one's and says how many they were.
func New(d drivers.Driver, p Policy) drivers.Driver {
	p = p.withDefaults()
	return decorator.New(d, decorator.Hooks[attempts]{Before: p.before, Again: p.again})
}

type operation = decorator.Operation[attempts]

func (p *Policy) before(_ context.Context, op *operation) *drivers.Error {
	if op.Own.made == 0 {
		op.Own = attempts{policy: p, begun: p.Now()}
	}
	return nil
}

// again waits for another attempt of what has failed with kind Temporary, and
// says which parts of the operation these are.
func (p *Policy) again(ctx context.Context, op *operation) []int {
	if op.Listed > 0 {
		return listAgain(op)
	}
	attempts := &op.Own
	var failed []int
	var after, held time.Duration
	for i := range op.Parts() {
		switch err := op.Err(i); {
		case *err == nil:
		case drivers.KindOf(*err) == drivers.Temporary:
			failed = append(failed, i)
			after = max(after, decorator.RetryAfter(*err))
			held = max(held, decorator.Held(*err))
		default:
			*err = counted(*err, attempts.made+1)
		}
	}
	if len(failed) == 0 {
		return nil
	}
	end := func(change func(uri string, err error) error) []int {
		for _, i := range failed {
			err := op.Err(i)
			*err = change(op.URI(i), *err)
		}
		return nil
	}
	if cause := ctx.Err(); cause != nil {
		return end(func(uri string, err error) error { return interrupted(cause, op.Name, uri, err) })
	}
	wait, more := attempts.wait(after, held)
	if !more {
		return end(func(_ string, err error) error { return counted(err, attempts.made) })
	}
	for _, i := range failed {
		p.OnRetry(op.Name, op.URI(i), *op.Err(i), wait)
	}
	if cause := p.Sleep(ctx, wait); cause != nil {
		return end(func(uri string, err error) error { return interrupted(cause, op.Name, uri, err) })
	}
	return failed
}

// listAgain goes on with a listing that broke off on its way at once, and with a
// new policy, for it had come on.
func listAgain(op *operation) []int {
	err := op.Err(0)
	switch {
	case !op.Resumes || *err == nil:
		return nil
	case drivers.KindOf(*err) != drivers.Temporary:
		*err = counted(*err, op.Own.made+1)
		return nil
	}
	op.Own.made = 0
	return []int{0}
}

// counted adds to an error after how many attempts it came.
func counted(err error, attempts int) error {
	if attempts < 2 {
		return err
	}
	return fmt.Errorf("%w (attempt %d)", err, attempts)
}

// interrupted is the error of an operation that would have been repeated, had
// the context not ended.
func interrupted(cause error, op, uri string, err error) error {
	return &drivers.Error{Op: op, URI: uri, Err: fmt.Errorf("%w before another attempt; the last one: %w", cause, err)}
}
