package httpstore

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"

	"github.com/kedge/kedge/drivers"
)

// A request that the server has answered early, with an error, may still read its part.
func TestFailedPartsKeepTheirBytes(t *testing.T) {
	buffers := NewBuffers(64)
	put := func(fill byte, length int, whole func(context.Context, []byte) (drivers.Receipt, error), part func(context.Context, int, []byte) error) {
		s := Stream{Announced: Announced{URI: "x", Length: -1}, Buffers: buffers, PartBytes: 64, Whole: whole,
			Large: func(ctx context.Context, parts *Parts) (drivers.Receipt, error) {
				_, _, err := parts.Send(ctx, Sending{AtOnce: 2, Most: 10, Part: part})
				return drivers.Receipt{}, err
			}}
		_, _ = s.Put(t.Context(), drivers.Payload{Length: -1, Open: func(context.Context) (io.ReadCloser, error) {
			return io.NopCloser(bytes.NewReader(bytes.Repeat([]byte{fill}, length))), nil
		}})
	}
	early := errors.New("503, before the body was read")
	for name, length := range map[string]int{"whole": 60, "parts": 100} {
		var reading []byte
		put('a', length, func(_ context.Context, p []byte) (drivers.Receipt, error) {
			reading = p
			return drivers.Receipt{}, early
		},
			func(_ context.Context, n int, p []byte) error {
				if n == 1 {
					reading = p
				}
				return early
			})
		for range 8 {
			put('b', 60, func(context.Context, []byte) (drivers.Receipt, error) { return drivers.Receipt{}, nil }, nil)
		}
		if !bytes.Equal(reading, bytes.Repeat([]byte{'a'}, len(reading))) {
			t.Errorf("%s: what is still being read is another document's: %q", name, reading[:8])
		}
	}
}
