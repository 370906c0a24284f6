package drivertest

import (
	"context"
	"errors"
	"io"
	"testing"

	"github.com/kedge/kedge/drivers"
)

// fault is a Put that must fail.
type fault struct {
	name string
	// payload builds it around a good body of length bytes.
	payload func(length int64) (drivers.Payload, *source)
	// kinds are the kinds allowed; any when empty.
	kinds []drivers.Kind
	// cause must be in the error's chain, when not nil.
	cause error
}

const wrongMD5 = "00000000000000000000000000000000"

// faults lists them. Where the length is known, a driver that reads just so
// many bytes does not notice what comes instead of the end.
func faults() []fault {
	corrupt := []drivers.Kind{drivers.Corrupt}
	stream := func(make func(length int64) io.Reader, known bool, extra int64, md5 string) func(int64) (drivers.Payload, *source) {
		return func(length int64) (drivers.Payload, *source) {
			src := &source{open: func() io.Reader { return make(length) }}
			declared := int64(-1)
			if known {
				declared = length + extra
			}
			return src.payload(declared, md5), src
		}
	}
	good := func(length int64) io.Reader { return random(1, length) }
	midway := func(length int64) io.Reader { return failing(random(1, length/2), errSource) }
	atEnd := func(length int64) io.Reader { return failing(random(1, length), errSource) }
	atStart := func(int64) io.Reader { return errorReader{errSource} }
	return []fault{
		{"wrong MD5, in memory", func(length int64) (drivers.Payload, *source) {
			return drivers.InMemory(randomBytes(1, int(min(length, 1<<20))), wrongMD5), nil
		}, corrupt, nil},
		{"wrong MD5, stream", stream(good, true, 0, wrongMD5), corrupt, nil},
		{"wrong MD5, length unknown", stream(good, false, 0, wrongMD5), corrupt, nil},
		{"stream one byte too short", stream(good, true, 1, ""), nil, nil},
		{"stream far too short", stream(good, true, 9_000_000, ""), nil, nil},
		{"stream one byte too long", stream(good, true, -1, ""), nil, nil},
		{"stream far too long", stream(good, true, -900, ""), nil, nil},
		{"stream that should be empty", func(length int64) (drivers.Payload, *source) {
			src := &source{open: func() io.Reader { return random(1, length) }}
			return src.payload(0, ""), src
		}, nil, nil},
		{"source fails at once", stream(atStart, true, 0, ""), nil, errSource},
		{"source fails at once, length unknown", stream(atStart, false, 0, ""), nil, errSource},
		{"source fails midway", stream(midway, true, 0, ""), nil, errSource},
		{"source fails midway, length unknown", stream(midway, false, 0, ""), nil, errSource},
		{"source fails at its end", stream(atEnd, true, 0, ""), nil, errSource},
		{"source fails at its end, length unknown", stream(atEnd, false, 0, ""), nil, errSource},
		{"source does not open", func(length int64) (drivers.Payload, *source) {
			return drivers.Payload{
				Open:   func(context.Context) (io.ReadCloser, error) { return nil, errSource },
				Length: length,
			}, nil
		}, nil, errSource},
	}
}

// testFailedPut checks that a Put that fails says so rightly, stores nothing,
// keeps what was there before, and does not harm what comes after.
func testFailedPut(t *testing.T, b Backend) {
	for _, f := range faults() {
		t.Run(f.name, func(t *testing.T) {
			s := open(t, b)
			for _, length := range []int64{small, large} {
				s.failPut(f, length, nil)
				s.failPut(f, length, []byte("the old payload"))
			}
			s.noLeftovers()
		})
	}
}

// failPut lets a Put of about length bytes fail, over an old payload when that
// is not nil.
func (s *store) failPut(f fault, length int64, old []byte) {
	s.Helper()
	uri := s.uri(f.name)
	if old != nil {
		s.put(uri, old)
	}
	payload, src := f.payload(length)
	_, err := s.d.Put(s.ctx, uri, payload)
	switch {
	case err == nil:
		s.Errorf("put of %d bytes: no error", length)
	default:
		s.checkError(err, uri)
		if len(f.kinds) > 0 {
			s.wantKind(err, uri, f.kinds...)
		}
		if f.cause != nil && !errors.Is(err, f.cause) {
			s.Errorf("put: error without its cause: %v", err)
		}
	}
	s.allClosed(src)
	if old == nil {
		s.misses(uri)
	} else {
		s.holds(uri, old)
	}
	after := []byte("put after a failure")
	s.put(uri, after)
	s.holds(uri, after)
	if err := s.delete(uri); err != nil {
		s.Errorf("delete after a failure: %v", err)
	}
	s.misses(uri)
}
