package canary

import (
	"cmp"
	"context"
	"errors"

	"github.com/kedge/kedge/drivers"
)

// errUnwanted: nothing is at a document's destination, and nobody wants anything there.
var errUnwanted = errors.New("nobody wants the document any more")

// keepWhatIsWanted keeps a document, or what somebody has put in its place since it was
// moved: deletions may reach that, too.
func (w *Watch) keepWhatIsWanted(ctx context.Context, d Document) (held Document, err error) {
	held, err = w.keep(ctx, d)
	if wanted, asked := w.stillWanted(ctx, d, err); asked != nil || wanted {
		return held, cmp.Or(asked, err)
	}
	d.MD5, d.Bytes = "", -1
	held, err = w.keep(ctx, d)
	if drivers.KindOf(err) != drivers.NotFound {
		return held, err
	}
	if wanted, asked := w.stillWanted(ctx, d, err); asked != nil || wanted {
		return held, cmp.Or(asked, err)
	}
	return held, errUnwanted
}

// stillWanted says whether a document that could not be kept is wanted as it was.
func (w *Watch) stillWanted(ctx context.Context, d Document, kept error) (bool, error) {
	var left leftError
	if w.Wanted == nil || !errors.As(kept, &left) || context.Cause(ctx) != nil {
		return true, nil
	}
	return w.Wanted(ctx, d)
}

// deleteUnwanted deletes a source. At the destination there is nothing to be reached.
func (w *Watch) deleteUnwanted(ctx context.Context, i int, how Deletion) error {
	err := how.Delete(ctx, i)
	if err == nil {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.removed++
	}
	return err
}
