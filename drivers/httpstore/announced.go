package httpstore

import (
	"errors"
	"fmt"

	"github.com/kedge/kedge/drivers"
)

// Announced is what a payload that is put was said to be.
type Announced struct {
	URI    string
	Length int64  // in bytes, -1 if unknown
	MD5    string // in lower-case hex, "" if unknown
}

// Check compares what was read with it.
func (a Announced) Check(length int64, md5 string) error {
	if a.Length >= 0 && length != a.Length {
		return a.WrongLength(length)
	}
	if a.MD5 != "" && md5 != a.MD5 {
		return a.Mismatch("the payload's MD5 is %s, not %s as it was said to be", md5, a.MD5)
	}
	return nil
}

// WrongLength reports that the payload has so many bytes.
func (a Announced) WrongLength(length int64) error {
	return a.Mismatch("the payload has %d bytes, not %d as it was said to have", length, a.Length)
}

// Longer reports that the payload goes on behind its length.
func (a Announced) Longer() error {
	return a.Mismatch("the payload is longer than the %d bytes it was said to have", a.Length)
}

// Mismatch reports, with kind Corrupt, that the payload is not what it was said to be.
func (a Announced) Mismatch(format string, args ...any) error {
	return &drivers.Error{Op: "put", URI: a.URI, Kind: drivers.Corrupt, Err: fmt.Errorf(format, args...)}
}

// Unread reports that the payload could not be read; its kind is that of the
// source's error, so that what is worth another attempt gets one.
func (a Announced) Unread(err error) error {
	failed := &drivers.Error{Op: "put", URI: a.URI, Kind: drivers.KindOf(err), Err: fmt.Errorf("reading the payload: %w", err)}
	if source, ok := errors.AsType[*drivers.Error](err); ok {
		failed.RetryAfter = source.RetryAfter
	}
	return failed
}
