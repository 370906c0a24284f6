package store

import (
	"context"
	"errors"
	"io"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/pipeline/catalog"
	"github.com/kedge/kedge/pipeline/forms"
)

// Held is a document as a store holds it.
type Held struct {
	Digest     string // MD5 in lower-case hex of the payload
	Bytes      int64
	Compressed bool
}

// Holds says whether a store holds, at a URI, exactly the document of which a row tells,
// though the row names another place, and in which form. It holds it
//
//   - in the row's form, if the payload has the row's digest;
//   - compressed, where the row's payload is plain, if what is inside has that digest;
//   - plain, where the row's payload is compressed, if compressing it gives that digest.
//     That shows only what kedge has compressed once: other programs' zlib makes other bytes.
//
// Of a row without a digest nothing can be said. readBack reads the payload also where
// the store tells its MD5. An error is the store's, and then nobody knows.
func Holds(ctx context.Context, s Store, uri string, row catalog.Document, readBack bool) (Held, bool, error) {
	if row.Digest == "" {
		return Held{}, false, nil
	}
	info, err := s.Stat(ctx, uri)
	held := Held{Digest: info.MD5, Bytes: info.Bytes, Compressed: row.Compressed}
	if err == nil && (held.Digest == "" || readBack) {
		held.Digest, err = Digest(ctx, s, uri)
	}
	if err != nil {
		return Held{}, false, unlessAbsent(err)
	}
	if held.Digest == row.Digest {
		return held, true, nil
	}
	turn := forms.NewInflateReader
	if row.Compressed {
		turn = forms.NewDeflateReader
	}
	held.Compressed = !row.Compressed
	if held.Compressed && !s.Rule().Enabled {
		return Held{}, false, nil // no row may say of this store that a payload is compressed
	}
	other, err := turned(ctx, s, uri, turn)
	return held, err == nil && other == row.Digest, unlessAbsent(err)
}

// unlessAbsent is nil of an error that says that there is no such payload, or none of this
// form.
func unlessAbsent(err error) error {
	if drivers.KindOf(err) == drivers.NotFound || errors.Is(err, forms.ErrZlib) {
		return nil
	}
	return err
}

// turned reads a payload for the MD5 of its other form.
func turned(ctx context.Context, s Store, uri string, turn func(io.ReadCloser) io.ReadCloser) (digest string, err error) {
	err = Again(ctx, s, func() error {
		r, _, err := Open(ctx, s, uri)
		if err != nil {
			return err
		}
		r = turn(r)
		defer r.Close()
		digest, _, err = Sum(r)
		return err
	})
	return digest, err
}
