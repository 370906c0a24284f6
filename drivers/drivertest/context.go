package drivertest

import (
	"context"
	"errors"
	"io"
	"testing"

	"github.com/kedge/kedge/drivers"
)

// testCancelled calls every operation with a context that is already cancelled.
func testCancelled(t *testing.T, b Backend) {
	s := open(t, b)
	kept, never := s.uri("kept"), s.uri("never")
	s.put(kept, []byte("kept"))
	ctx, cancel := context.WithCancel(s.ctx)
	cancel()
	body := []byte("must not be stored")
	src := sourceOf(body)
	operations := map[string]func() []error{
		"get": func() []error {
			r, _, err := s.d.Get(ctx, kept)
			if err == nil {
				_, _, err = drain(r)
			}
			return []error{err}
		},
		"stat": func() []error { _, err := s.d.Stat(ctx, kept); return []error{err} },
		"put": func() []error {
			_, err := s.d.Put(ctx, never, drivers.InMemory(body, md5Hex(body)))
			return []error{err}
		},
		"put a stream": func() []error { _, err := s.d.Put(ctx, never, src.payload(int64(len(body)), "")); return []error{err} },
		"overwrite": func() []error {
			_, err := s.d.Put(ctx, kept, drivers.InMemory(body, md5Hex(body)))
			return []error{err}
		},
		"delete": func() []error { return []error{s.d.Delete(ctx, kept)} },
	}
	if l, ok := s.d.(drivers.Lister); ok {
		operations["list"] = func() []error {
			return []error{l.List(ctx, func(string, drivers.Info) error { return nil })}
		}
	}
	if y, ok := s.d.(drivers.Syncer); ok {
		operations["sync"] = func() []error { return []error{y.Sync(ctx)} }
	}
	if batcher, ok := s.d.(drivers.Batcher); ok {
		operations["get batch"] = func() []error {
			var errs []error
			for _, r := range batcher.GetBatch(ctx, []drivers.GetRequest{{URI: kept, MaxBytes: 1000}, {URI: never, MaxBytes: 1000}}) {
				errs = append(errs, r.Err)
			}
			return errs
		}
		operations["put batch"] = func() []error {
			var errs []error
			for _, r := range batcher.PutBatch(ctx, []drivers.PutRequest{{URI: kept, Payload: body, MD5: md5Hex(body)}, {URI: never, Payload: body, MD5: md5Hex(body)}}) {
				errs = append(errs, r.Err)
			}
			return errs
		}
		operations["delete batch"] = func() []error { return batcher.DeleteBatch(ctx, []string{kept, never}) }
	}
	for name, op := range operations {
		s.within(name, func() {
			for _, err := range op() {
				s.wantCancelled(name, err)
			}
		})
	}
	s.allClosed(src)
	s.misses(never)
	s.holds(kept, []byte("kept"))
	s.noLeftovers()
}

// wantCancelled demands an error that says that the context was cancelled.
func (s *store) wantCancelled(what string, err error) {
	s.Helper()
	if !errors.Is(err, context.Canceled) {
		s.Errorf("%s with a cancelled context: %v", what, err)
		return
	}
	var typed *drivers.Error
	if !errors.As(err, &typed) {
		s.Errorf("%s with a cancelled context: not a *drivers.Error: %v", what, err)
	}
	s.checkSecrets("an error", err.Error())
}

// testCancelledMidway cancels while a payload is under way.
func testCancelledMidway(t *testing.T, b Backend) {
	s := open(t, b)
	for _, length := range []int64{small, large} {
		for _, known := range []bool{true, false} {
			ctx, cancel := context.WithCancel(s.ctx)
			src := &source{open: func() io.Reader {
				return io.MultiReader(random(1, length/2), callReader{cancel}, random(2, length-length/2))
			}}
			declared := int64(-1)
			if known {
				declared = length
			}
			uri := s.uri("cancelled midway")
			s.within("put", func() {
				_, err := s.d.Put(ctx, uri, src.payload(declared, ""))
				s.wantCancelled("put", err)
			})
			cancel()
			s.allClosed(src)
			s.misses(uri)
		}
	}
	s.noLeftovers()

	uri := s.uri("read")
	if _, err := s.d.Put(s.ctx, uri, (&source{open: func() io.Reader { return random(1, large) }}).payload(large, "")); err != nil {
		t.Fatal(err)
	}
	want, _, _ := digest(random(1, large))
	ctx, cancel := context.WithCancel(s.ctx)
	defer cancel()
	s.within("get", func() {
		r, _, err := s.d.Get(ctx, uri)
		if err != nil {
			t.Errorf("get: %v", err)
			return
		}
		head := make([]byte, 100_000)
		if _, err := io.ReadFull(r, head); err != nil {
			t.Errorf("get: %v", err)
		}
		cancel()
		_, n, err := digest(r)
		if err == nil {
			t.Errorf("get: read %d bytes to the end after the context was cancelled", int64(len(head))+n)
		} else if !errors.Is(err, context.Canceled) {
			t.Errorf("get: read after the context was cancelled: %v", err)
		}
		r.Close()
	})
	s.holdsDigest(uri, want, large)
}

// callReader delivers nothing and calls a function.
type callReader struct{ call func() }

func (r callReader) Read([]byte) (int, error) { r.call(); return 0, io.EOF }
