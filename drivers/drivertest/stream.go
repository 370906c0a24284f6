package drivertest

import (
	"io"
	"runtime"
	"testing"
)

// streamBytes is a payload that must move within memoryBudget; slack is for
// what the runtime and the test itself take.
const (
	streamBytes  = 64 << 20
	memoryBudget = 16 << 20
	slack        = 2 << 20
)

// testLongStream moves a payload that is longer than the memory allowed for it,
// and looks at the live heap of this process on the way.
func testLongStream(t *testing.T, b Backend) {
	want, _, _ := digest(random(7, streamBytes))
	for _, f := range forms {
		if !f.streamed || f.length != f.hash {
			continue
		}
		t.Run(f.name, func(t *testing.T) {
			s := open(t, b)
			uri := s.uri("long stream")
			length, md5 := int64(-1), ""
			if f.length {
				length, md5 = streamBytes, want
			}
			heap := &heapWatch{base: liveHeap()}
			src := &source{open: func() io.Reader { return heap.watch(random(7, streamBytes)) }}
			receipt, err := s.d.Put(s.ctx, uri, src.payload(length, md5))
			if err != nil {
				t.Fatalf("put: %v", err)
			}
			s.allClosed(src)
			s.checkReceipt(receipt, want, streamBytes)
			if !b.InMemory {
				heap.check(t, "put")
			}

			heap = &heapWatch{base: liveHeap()}
			r, info, err := s.get(uri)
			if err != nil {
				t.Fatalf("get: %v", err)
			}
			defer r.Close()
			got, n, err := digest(heap.watch(r))
			if err != nil || got != want || n != streamBytes {
				t.Fatalf("get: %d bytes with MD5 %s (%v), want %d with %s", n, got, err, streamBytes, want)
			}
			s.checkInfo("get", info, want, streamBytes)
			heap.check(t, "get")

			if info, err = s.stat(uri); err != nil {
				t.Fatalf("stat: %v", err)
			}
			s.checkInfo("stat", info, want, streamBytes)
			if err := s.delete(uri); err != nil {
				t.Fatalf("delete: %v", err)
			}
			s.misses(uri)
			s.noLeftovers()
		})
	}
}

// liveHeap gives the bytes on the heap that are in use after a collection.
func liveHeap() uint64 {
	runtime.GC()
	runtime.GC() // the second one empties pools
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// heapWatch samples the live heap while a stream passes.
type heapWatch struct {
	base, peak uint64
	samples    int
}

// watch samples at every fourth MiB of r.
func (h *heapWatch) watch(r io.Reader) io.Reader {
	var passed int64
	return readerFunc(func(p []byte) (int, error) {
		n, err := r.Read(p)
		before := passed >> 22
		passed += int64(n)
		if passed>>22 != before {
			runtime.GC()
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			h.peak = max(h.peak, m.HeapAlloc)
			h.samples++
		}
		return n, err
	})
}

// check fails the test when the heap grew beyond the budget.
func (h *heapWatch) check(t *testing.T, op string) {
	t.Helper()
	if h.samples < streamBytes>>23 {
		t.Errorf("%s: the heap was looked at only %d times", op, h.samples)
	}
	grown := int64(h.peak) - int64(h.base)
	t.Logf("%s: the live heap grew by %.1f MiB", op, float64(grown)/(1<<20))
	if grown > memoryBudget+slack {
		t.Errorf("%s: the live heap grew by %d bytes for a stream of %d, allowed are %d", op, grown, streamBytes, memoryBudget+slack)
	}
}

type readerFunc func(p []byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }
