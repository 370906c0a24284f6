package folding

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"fmt"

	"github.com/kedge/kedge/drivers"
)

// Of says whether a store that holds a payload under this URI holds it under
// another spelling too; known is false where the URI has none. Nothing is changed.
func Of(ctx context.Context, s drivers.Driver, uri string) (folds, known bool, err error) {
	for _, other := range spellings(uri, s.Prefix()) {
		known = true
		_, err := s.Stat(ctx, other)
		switch drivers.KindOf(err) {
		case drivers.Temporary, drivers.Down:
			return false, false, fmt.Errorf("find out whether %s tells names apart: %w", s.Place(), err)
		}
		if ctx.Err() != nil {
			return false, false, context.Cause(ctx)
		}
		if err == nil {
			return true, true, nil
		}
		// Not there; or such a name is refused, or must not be looked at, which
		// no server does that would find it.
	}
	return false, known, nil
}

// Try puts a small payload under a URI, asks Of about it, calls look unless that is
// nil, and removes the payload again, also after an interrupt. A store that refuses
// to hold anything there folds nothing.
func Try(ctx context.Context, s drivers.Driver, uri string, look func(context.Context) error) (folds bool, err error) {
	content := []byte("kedge probe of names\n")
	sum := md5.Sum(content)
	payload := drivers.InMemory(content, hex.EncodeToString(sum[:]))
	payload.Computed = true
	if _, err := s.Put(ctx, uri, payload); err != nil {
		switch drivers.KindOf(err) {
		case drivers.Temporary, drivers.Down:
			return false, fmt.Errorf("find out whether %s tells names apart: %w", s.Place(), err)
		}
		return false, context.Cause(ctx)
	}
	folds, _, err = Of(ctx, s, uri)
	if err == nil && look != nil {
		err = look(ctx)
	}
	if derr := s.Delete(context.WithoutCancel(ctx), uri); derr != nil && err == nil {
		err = fmt.Errorf("the probe of names cannot be removed: %w", derr)
	}
	return folds, err
}

// Accented is the end of a name for Try that is spelled otherwise in Unicode's other
// form.
const Accented = "-\u00e9"
