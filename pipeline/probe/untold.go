package probe

import (
	"context"
	"crypto/md5"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/pipeline/store"
)

// holdsByWriting is holds for a source that does not tell a payload that is missing
// from one that may not be read. It puts something else there: if that can be read,
// then what was put to the destination could have been, so that it is not there; and
// the destination must still hold it.
func (p Pair) holdsByWriting(ctx context.Context, src, dst string, content []byte) (same bool, err error) {
	other := []byte("kedge probe of the source " + rand.Text() + "\n")
	sum := md5.Sum(other)
	if _, err := p.Source.Put(ctx, src, drivers.InMemory(other, hex.EncodeToString(sum[:]))); err != nil {
		if p.KeepSource && drivers.KindOf(err) == drivers.Denied {
			return false, nil // nothing is deleted there, whatever it is
		}
		return false, fmt.Errorf("whether source and destination are one place cannot be found out: the source does not tell a document that is missing from one that may not be read, and cannot be written: %w", err)
	}
	defer func() {
		if derr := p.Source.Delete(context.WithoutCancel(ctx), src); derr != nil {
			err = errors.Join(err, fmt.Errorf("the probe at the source cannot be removed: %w", derr))
		}
	}()
	if there, err := p.holds(ctx, src, other); err != nil || !there {
		if err == nil {
			err = errors.New("it gives something else than was put there")
		}
		return false, fmt.Errorf("the source cannot be read: %w", err)
	}
	digest, err := store.Digest(ctx, p.Destination, dst)
	if err != nil {
		return false, fmt.Errorf("the destination cannot be read: %w", err)
	}
	put := md5.Sum(content)
	return digest != hex.EncodeToString(put[:]), nil
}
