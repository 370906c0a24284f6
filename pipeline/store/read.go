package store

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"time"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/pipeline/catalog"
	"github.com/kedge/kedge/pipeline/forms"
)

// bodyAttempts is how often a payload is opened whose body breaks off: a
// driver's retries end when the body has begun.
const bodyAttempts = 8

// unopened is why a payload could not even be opened, for which a driver's
// retries have been made already.
type unopened struct{ error }

func (u *unopened) Unwrap() error { return u.error }

// Open opens a payload to be read. Again does not repeat what it fails with.
func Open(ctx context.Context, d drivers.Driver, uri string) (io.ReadCloser, drivers.Info, error) {
	r, info, err := d.Get(ctx, uri)
	if err != nil {
		return nil, info, &unopened{err}
	}
	return r, info, nil
}

// Again repeats what fails at a store for a reason that may pass.
func Again(ctx context.Context, s Store, do func() error) error {
	for attempt := 1; ; attempt++ {
		err := do()
		var final *unopened
		if err == nil || attempt == bodyAttempts || drivers.KindOf(err) != drivers.Temporary || errors.As(err, &final) {
			return err
		}
		s.Meter.Retried()
		select {
		case <-time.After(rand.N(time.Duration(attempt) * 400 * time.Millisecond)):
		case <-ctx.Done():
			return err
		}
	}
}

// errLonger says that a payload is longer than there is memory reserved for.
var errLonger = &drivers.Error{Op: "get", Kind: drivers.TooLarge, Err: fmt.Errorf("longer than the catalog says")}

// ReadWhole reads a payload of at most limit bytes, and gives the MD5 that the
// store tells of it, "" where it tells none.
func ReadWhole(ctx context.Context, d drivers.Driver, uri string, limit int64) (payload []byte, told string, err error) {
	r, info, err := Open(ctx, d, uri)
	if err != nil {
		return nil, "", err
	}
	defer r.Close()
	if info.Bytes > limit {
		return nil, "", errLonger
	}
	payload = make([]byte, info.Bytes)
	if _, err := io.ReadFull(r, payload); err != nil {
		return nil, "", err
	}
	// The driver says whether the payload ended where it should.
	if _, err := io.Copy(io.Discard, r); err != nil {
		return nil, "", err
	}
	return payload, info.MD5, nil
}

// Digest reads a stored payload for its MD5, in hexadecimal digits.
func Digest(ctx context.Context, s Store, uri string) (digest string, err error) {
	err = Again(ctx, s, func() (err error) {
		digest, err = readOnce(ctx, s, uri)
		return err
	})
	return digest, err
}

func readOnce(ctx context.Context, d drivers.Driver, uri string) (digest string, err error) {
	r, _, err := Open(ctx, d, uri)
	if err != nil {
		return "", err
	}
	defer r.Close()
	if digest, _, err = Sum(r); err != nil {
		return "", err
	}
	return digest, nil
}

// Sum reads to the end, for the MD5, in hexadecimal digits, and the length in bytes of
// what is read. Both are of what came before an error.
func Sum(r io.Reader) (digest string, bytes int64, err error) {
	sum := md5.New()
	bytes, err = forms.Copy(sum, r)
	return hex.EncodeToString(sum.Sum(nil)), bytes, err
}

// ReadPlain reads a document where its row says, checks it against the row, and
// gives its plain bytes, all of them in memory.
func ReadPlain(ctx context.Context, d drivers.Driver, row catalog.Document) ([]byte, error) {
	payload, told, err := ReadWhole(ctx, d, row.URI, math.MaxInt64)
	if err != nil {
		return nil, err
	}
	sum := md5.Sum(payload)
	if err := Check(row, hex.EncodeToString(sum[:]), told, int64(len(payload))); err != nil {
		return nil, err
	}
	if !row.Compressed {
		return payload, nil
	}
	plain, _, _, err := forms.Inflate(payload, math.MaxInt64)
	return plain, err
}
