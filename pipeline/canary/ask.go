package canary

import (
	"context"
	"errors"

	"github.com/kedge/kedge/drivers"
)

// myTurn waits until nobody else has the canary in work. Whoever has it calls over at the end.
func (w *Watch) myTurn(ctx context.Context) (over func(), err error) {
	select {
	case w.turn <- struct{}{}:
		return func() { <-w.turn }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// ask asks the destination. Where it is in trouble, failed says so, and the question is
// owed: a store that is out for a while ends no run.
func (w *Watch) ask(ctx context.Context, q question) (failed, err error) {
	w.owed = nil
	err = q(ctx)
	if failed = fault(err); failed != nil && context.Cause(ctx) == nil {
		w.owed = q
		return failed, nil
	}
	return nil, w.end(err)
}

// askAgain asks what is owed.
func (w *Watch) askAgain(ctx context.Context) (failed, err error) {
	if w.owed == nil {
		return nil, nil
	}
	return w.ask(ctx, w.owed)
}

// fault gives an error that is a store's fault rather than the document's.
func fault(err error) error {
	var lost *LostError
	if errors.As(err, &lost) || drivers.KindOf(err) != drivers.Temporary {
		return nil
	}
	return err
}
