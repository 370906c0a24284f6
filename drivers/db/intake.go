package db

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"hash"
	"io"

	"github.com/kedge/kedge/drivers"
)

// intake reads a payload's stream in pieces and compares, at its end, length and
// MD5 with what was announced.
type intake struct {
	r        io.Reader
	payload  drivers.Payload
	maxBytes int64
	sum      hash.Hash
	n        int64
	ended    bool
}

func newIntake(r io.Reader, p drivers.Payload, maxBytes int64) *intake {
	return &intake{r: r, payload: p, maxBytes: maxBytes, sum: md5.New()}
}

// next fills buf as far as the stream goes; less than len(buf) is the end of it,
// and that all is well.
func (in *intake) next(ctx context.Context, buf []byte) (int, error) {
	if in.ended {
		return 0, nil
	}
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	n, err := in.fill(buf)
	in.sum.Write(buf[:n])
	in.n += int64(n)
	switch {
	case err != nil:
		return 0, sourceError{err}
	case in.payload.Length >= 0 && in.n > in.payload.Length:
		return 0, failure{drivers.Corrupt, fmt.Errorf("the payload is longer than the %d bytes announced", in.payload.Length)}
	case in.n > in.maxBytes:
		return 0, failure{drivers.TooLarge, fmt.Errorf("the payload is longer than the %d bytes that the database holds in one", in.maxBytes)}
	case in.ended:
		return n, in.check()
	}
	return n, nil
}

// fill reads until buf is full or the stream ends. It goes by io.EOF alone: a
// source that was cut off ends with io.ErrUnexpectedEOF, which io.ReadFull makes
// of a mere end, too.
func (in *intake) fill(buf []byte) (int, error) {
	n := 0
	for idle := 0; n < len(buf); {
		m, err := in.r.Read(buf[n:])
		n += m
		if err == io.EOF {
			in.ended = true
			return n, nil
		}
		if err != nil {
			return n, err
		}
		if m > 0 {
			idle = 0
		} else if idle++; idle == 100 {
			return n, io.ErrNoProgress
		}
	}
	return n, nil
}

func (in *intake) check() error {
	if in.payload.Length >= 0 && in.n != in.payload.Length {
		return failure{drivers.Corrupt, fmt.Errorf("the payload ended after %d bytes of %d: %w", in.n, in.payload.Length, io.ErrUnexpectedEOF)}
	}
	return checkMD5(in.payload.MD5, in.md5())
}

func (in *intake) md5() string { return hex.EncodeToString(in.sum.Sum(nil)) }

// checkMD5 compares MD5s in hex; announced is "" when nothing was.
func checkMD5(announced, got string) error {
	if announced != "" && announced != got {
		return failure{drivers.Corrupt, fmt.Errorf("the payload's MD5 is %s, not %s", got, announced)}
	}
	return nil
}

// sourceError is an error of the stream that was to be stored. Its kind is the
// source's own; it must not be taken for one of the database's.
type sourceError struct{ err error }

func (e sourceError) Error() string { return "read the payload: " + e.err.Error() }
func (e sourceError) Unwrap() error { return e.err }
