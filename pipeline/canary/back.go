package canary

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"io"
	"time"

	"github.com/kedge/kedge/drivers"
)

// backPatience bounds how long it is tried to put a document back: it stays in its file.
const backPatience = 2 * time.Minute

// putBack puts a canary back from its file, at the destination, and at the source where
// that is possible: else what carries deletions on might delete it once more. It puts
// something only where nothing is.
func (w *Watch) putBack(ctx context.Context, path string) *LostError {
	ctx, done := context.WithTimeout(context.WithoutCancel(ctx), backPatience) // nothing is more urgent
	defer done()
	k, err := open(path)
	lost := &LostError{Document: k.document, Kept: path}
	if err != nil {
		lost.Err = err
		return lost
	}
	defer k.file.Close()
	d := k.document
	payload := drivers.Payload{Length: d.Bytes, MD5: d.MD5, Open: func(context.Context) (io.ReadCloser, error) {
		return io.NopCloser(io.NewSectionReader(k.file, k.at, d.Bytes)), nil
	}}
	if d.Back != "" {
		if err := fill(ctx, w.Source, d.Back, payload); err != nil {
			w.Log.WarnContext(ctx, "the document could not be put back at the source", "document", d.Name, "uri", d.Back, "reason", err.Error())
		}
	}
	if lost.Err = fill(ctx, w.Destination, d.Destination, payload); lost.Err == nil {
		lost.Err = w.holds(ctx, d)
	}
	return lost
}

// fill puts a payload durably where nothing is.
func fill(ctx context.Context, d drivers.Driver, uri string, payload drivers.Payload) error {
	if _, err := d.Stat(drivers.WithFresh(ctx), uri); drivers.KindOf(err) != drivers.NotFound {
		return err
	}
	if _, err := d.Put(ctx, uri, payload); err != nil {
		return err
	}
	if s, ok := d.(drivers.Syncer); ok && d.Capabilities().NeedsSync {
		return s.Sync(ctx)
	}
	return nil
}

// holds fails unless the destination holds exactly this payload.
func (w *Watch) holds(ctx context.Context, d Document) error {
	sum := md5.New()
	if _, err := read(ctx, w.Destination, d.Destination, sum); err != nil {
		return err
	}
	if digest := hex.EncodeToString(sum.Sum(nil)); digest != d.MD5 {
		return fmt.Errorf("something else is at its place now, with the MD5 %s", digest)
	}
	return nil
}
