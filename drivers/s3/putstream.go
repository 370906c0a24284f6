package s3

import (
	"context"
	"crypto/sha256"
	"encoding/hex"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/drivers/httpstore"
)

// inOneRequest says whether a stream travels in one request: its length and MD5
// are known, so that the server itself checks all of it before the object
// appears, and nothing of it has to be held in memory or hashed here.
func (w *write) inOneRequest() bool {
	return w.Length > 0 && w.Length <= w.store.tuning.WholeBytes && w.MD5 != ""
}

// through sends a stream in one request.
func (w *write) through(ctx context.Context, p drivers.Payload) (drivers.Receipt, error) {
	sum, err := hex.DecodeString(w.MD5)
	if err != nil || len(sum) != 16 {
		return drivers.Receipt{}, w.Mismatch("the payload was said to have the MD5 %q, which is none", w.MD5)
	}
	conditions := conditions{contentMD5: contentMD5(sum)}
	signing := &w.store.direct.signing
	digest := ""
	if signing.is(payloadsSigned) {
		if digest, err = w.digestOf(ctx, p); err != nil {
			return drivers.Receipt{}, err
		}
	}
	out, err, unread := w.pass(ctx, p, digest, conditions)
	if unread == nil && digest == "" && !w.store.conn.version2 && signing.wanted(err) {
		if digest, unread = w.digestOf(ctx, p); unread == nil {
			var again error
			out, again, unread = w.pass(ctx, p, digest, conditions)
			err = signing.settle(err, again)
		}
	} else if digest == "" {
		signing.took(err)
	}
	switch {
	case unread != nil:
		return drivers.Receipt{}, unread
	case err != nil:
		return drivers.Receipt{}, w.refused(ctx, err)
	case w.store.attributes.ignoredBy(out.sse):
		return drivers.Receipt{}, w.takeBack(ctx, notEncrypted(w.URI))
	}
	return w.receipt(w.Length, w.MD5, out), nil
}

// pass sends a stream in one request. unread is why it could not be read. One that
// was refused for its "Expect" is opened once more.
func (w *write) pass(ctx context.Context, p drivers.Payload, digest string, c conditions) (out stored, err, unread error) {
	out, err, unread = w.passOnce(ctx, p, digest, c)
	if unread == nil && expectationFailed(err) {
		return w.passOnce(ctx, p, digest, c)
	}
	return out, err, unread
}

func (w *write) passOnce(ctx context.Context, p drivers.Payload, digest string, c conditions) (out stored, err, unread error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	source, err := p.Open(ctx)
	if err != nil {
		return stored{}, nil, w.Unread(err)
	}
	body := httpstore.NewPassage(w.Announced, source)
	out, err = w.store.direct.putStream(ctx, w.loc, body, w.Length, digest, c, w.store.attributes)
	if err != nil {
		cancel() // a read at the source that is under way ends
	}
	body.Wait()
	if err != nil {
		unread = body.Reason()
	}
	return out, err, unread
}

// digestOf reads a stream for its SHA-256, in hex. It is read once more when it is
// sent, so that nothing of it is held.
func (w *write) digestOf(ctx context.Context, p drivers.Payload) (string, error) {
	source, err := p.Open(ctx)
	if err != nil {
		return "", w.Unread(err)
	}
	defer source.Close()
	sum := sha256.New()
	if _, err := httpstore.Copy(sum, source); err != nil {
		return "", w.Unread(err)
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}
