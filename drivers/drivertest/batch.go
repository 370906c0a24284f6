package drivertest

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/kedge/kedge/drivers"
)

// testBatch checks a Batcher.
func testBatch(t *testing.T, b Backend) {
	run := func(name string, test func(*store, drivers.Batcher)) {
		t.Run(name, func(t *testing.T) {
			s := open(t, b)
			if batcher, ok := s.d.(drivers.Batcher); ok {
				s.within(name, func() { test(s, batcher) })
				s.noLeftovers()
			}
		})
	}
	run("empty", testBatchEmpty)
	run("put 300", testBatchPut)
	run("put some wrong", testBatchPutWrong)
	run("put bodies", testBatchBodies)
	run("put one key twice", testBatchPutTwice)
	run("get", testBatchGet)
	run("delete", testBatchDelete)
}

func testBatchEmpty(s *store, batcher drivers.Batcher) {
	for _, n := range []int{
		len(batcher.GetBatch(s.ctx, nil)), len(batcher.PutBatch(s.ctx, nil)), len(batcher.DeleteBatch(s.ctx, nil)),
		len(batcher.GetBatch(s.ctx, []drivers.GetRequest{})), len(batcher.PutBatch(s.ctx, []drivers.PutRequest{})), len(batcher.DeleteBatch(s.ctx, []string{})),
	} {
		if n != 0 {
			s.Errorf("an empty batch has %d results", n)
		}
	}
}

// store puts a batch.
func (s *store) store(batcher drivers.Batcher, requests []drivers.PutRequest) (results []drivers.PutResult) {
	_ = settled(s.ctx, func() error {
		results = batcher.PutBatch(s.ctx, requests)
		errs := make([]error, len(results))
		for i, r := range results {
			errs[i] = r.Err
		}
		return temporary(errs)
	})
	return results
}

// fetch reads a batch.
func (s *store) fetch(batcher drivers.Batcher, requests []drivers.GetRequest) (results []drivers.GetResult) {
	_ = settled(s.ctx, func() error {
		results = batcher.GetBatch(s.ctx, requests)
		errs := make([]error, len(results))
		for i, r := range results {
			errs[i] = r.Err
		}
		return temporary(errs)
	})
	return results
}

// putBatch puts a batch in which every payload must be stored.
func (s *store) putBatch(batcher drivers.Batcher, requests []drivers.PutRequest) {
	s.Helper()
	results := s.store(batcher, requests)
	if len(results) != len(requests) {
		s.Errorf("%d results for %d requests", len(results), len(requests))
		return
	}
	for i, r := range results {
		if r.Err != nil {
			s.Errorf("put %q: %v", requests[i].URI, r.Err)
			continue
		}
		s.checkReceipt(r.Receipt, md5Hex(requests[i].Payload), int64(len(requests[i].Payload)))
	}
}

func testBatchPut(s *store, batcher drivers.Batcher) {
	var requests []drivers.PutRequest
	for i := range 300 {
		body := randomBytes(byte(i), i*11)
		if i%3 == 0 {
			body = bytes.Repeat([]byte("text "), i)
		}
		requests = append(requests, drivers.PutRequest{URI: s.uri(fmt.Sprintf("batch/%d", i)), Payload: body, MD5: md5Hex(body)})
	}
	s.putBatch(batcher, requests)
	for _, r := range requests {
		s.holds(r.URI, r.Payload)
	}
	// The same once more, everything replaced.
	for i := range requests {
		requests[i].Payload = append([]byte("new "), requests[len(requests)-1-i].Payload...)
		requests[i].MD5 = md5Hex(requests[i].Payload)
	}
	s.putBatch(batcher, requests)
	for _, r := range requests {
		s.holds(r.URI, r.Payload)
	}
}

func testBatchBodies(s *store, batcher drivers.Batcher) {
	var requests []drivers.PutRequest
	for name, body := range bodies() {
		requests = append(requests, drivers.PutRequest{URI: s.uri("batch/" + name), Payload: body, MD5: md5Hex(body)})
	}
	s.putBatch(batcher, requests)
	for _, r := range requests {
		s.holds(r.URI, r.Payload)
	}
	var gets []drivers.GetRequest
	for _, r := range requests {
		gets = append(gets, drivers.GetRequest{URI: r.URI, MaxBytes: int64(len(r.Payload))})
	}
	results := s.fetch(batcher, gets)
	if len(results) != len(gets) {
		s.Errorf("%d results for %d requests", len(results), len(gets))
		return
	}
	for i, r := range results {
		if r.Err != nil || !bytes.Equal(r.Payload, requests[i].Payload) {
			s.Errorf("get %q of %d bytes: %d bytes, %v", gets[i].URI, len(requests[i].Payload), len(r.Payload), r.Err)
		}
	}
}

// testBatchPutWrong mixes payloads whose digest is wrong with good ones: only
// they fail, and what was there before stays.
func testBatchPutWrong(s *store, batcher drivers.Batcher) {
	var requests []drivers.PutRequest
	old := []byte("the old payload")
	for i := range 30 {
		body := randomBytes(byte(i), 500+i)
		r := drivers.PutRequest{URI: s.uri(fmt.Sprintf("batch/%d", i)), Payload: body, MD5: md5Hex(body)}
		if i%5 == 0 {
			r.MD5 = wrongMD5
		}
		if i%10 == 0 {
			s.put(r.URI, old)
		}
		requests = append(requests, r)
	}
	results := s.store(batcher, requests)
	if len(results) != len(requests) {
		s.Errorf("%d results for %d requests", len(results), len(requests))
		return
	}
	for i, r := range results {
		switch {
		case i%5 != 0:
			if r.Err != nil {
				s.Errorf("put %d: %v", i, r.Err)
			}
			s.holds(requests[i].URI, requests[i].Payload)
		default:
			s.wantKind(r.Err, requests[i].URI, drivers.Corrupt)
			if i%10 == 0 {
				s.holds(requests[i].URI, old)
			} else {
				s.misses(requests[i].URI)
			}
		}
	}
}

// testBatchPutTwice puts two payloads under one URI in one batch, as two rows
// of a catalog with the same key do: one of them must be there afterwards,
// whole, and its receipt must say so.
func testBatchPutTwice(s *store, batcher drivers.Batcher) {
	uri, other := s.uri("twice"), s.uri("once")
	one, two, three := []byte("one"), []byte("two, longer"), []byte("three")
	results := s.store(batcher, []drivers.PutRequest{
		{URI: uri, Payload: one, MD5: md5Hex(one)},
		{URI: other, Payload: three, MD5: md5Hex(three)},
		{URI: uri, Payload: two, MD5: md5Hex(two)},
	})
	if len(results) != 3 {
		s.Errorf("%d results for 3 requests", len(results))
		return
	}
	md5, _, err := s.read(uri)
	if err != nil {
		s.Errorf("get: %v", err)
		return
	}
	switch md5 {
	case md5Hex(one):
		err = results[0].Err
	case md5Hex(two):
		err = results[2].Err
	default:
		s.Errorf("neither of the two is stored but something with MD5 %s", md5)
	}
	if err != nil {
		s.Errorf("the payload that is stored was said to have failed: %v", err)
	}
	if results[1].Err != nil {
		s.Errorf("put of another key: %v", results[1].Err)
	}
	s.holds(other, three)
}

func testBatchGet(s *store, batcher drivers.Batcher) {
	var requests []drivers.GetRequest
	var want [][]byte // nil where nothing is stored
	for i := range 120 {
		uri := s.uri(fmt.Sprintf("batch/%d", i))
		r := drivers.GetRequest{URI: uri, MaxBytes: 1 << 20}
		if i%3 == 1 {
			requests, want = append(requests, r), append(want, nil)
			continue
		}
		body := randomBytes(byte(i), 900+i)
		if i%2 == 0 {
			body = fmt.Appendf(nil, "%x", body)
		}
		s.put(uri, body)
		switch i % 4 {
		case 0:
			r.MaxBytes = int64(len(body))
		case 1:
			r.MaxBytes = int64(len(body)) - 1
		case 2:
			r.MaxBytes = 0
		}
		requests, want = append(requests, r), append(want, body)
	}
	// The same payload may be asked for twice in one batch.
	requests, want = append(requests, requests[0]), append(want, want[0])
	results := s.fetch(batcher, requests)
	if len(results) != len(requests) {
		s.Errorf("%d results for %d requests", len(results), len(requests))
		return
	}
	for i, r := range results {
		uri := requests[i].URI
		switch {
		case want[i] == nil:
			s.wantKind(r.Err, uri, drivers.NotFound)
		case int64(len(want[i])) > requests[i].MaxBytes:
			s.wantKind(r.Err, uri, drivers.TooLarge)
			s.checkInfo("get batch, too large", r.Info, md5Hex(want[i]), int64(len(want[i])))
			if len(r.Payload) > 0 {
				s.Errorf("get %q: %d bytes with an error", uri, len(r.Payload))
			}
		case r.Err != nil:
			s.Errorf("get %q: %v", uri, r.Err)
		default:
			if !bytes.Equal(r.Payload, want[i]) {
				s.Errorf("get %q: %d bytes, not those that were put", uri, len(r.Payload))
			}
			s.checkInfo("get batch", r.Info, md5Hex(want[i]), int64(len(want[i])))
		}
	}
	if results := s.fetch(batcher, []drivers.GetRequest{{URI: "other-scheme://x/y/z", MaxBytes: 9}, requests[0]}); len(results) != 2 {
		s.Errorf("%d results for 2 requests", len(results))
	} else {
		s.wantKind(results[0].Err, "other-scheme://x/y/z", drivers.InvalidKey, drivers.NotFound, drivers.Config)
		if results[1].Err != nil || !bytes.Equal(results[1].Payload, want[0]) {
			s.Errorf("a malformed URI in a batch spoils another: %v", results[1].Err)
		}
	}
}

func testBatchDelete(s *store, batcher drivers.Batcher) {
	var all, doomed []string
	for i := range 90 {
		uri := s.uri(fmt.Sprintf("batch/%d", i))
		all = append(all, uri)
		if i%3 != 0 {
			s.put(uri, []byte(uri))
		}
		if i%3 != 1 { // missing ones, and half of those that are there
			doomed = append(doomed, uri)
		}
	}
	doomed = append(doomed, doomed[1]) // once more in the same batch
	for range 2 {
		errs := s.remove(batcher, doomed)
		if len(errs) != len(doomed) {
			s.Errorf("%d results for %d URIs", len(errs), len(doomed))
			return
		}
		for i, err := range errs {
			if err != nil {
				s.Errorf("delete %q: %v", doomed[i], err)
			}
		}
	}
	for i, uri := range all {
		if i%3 == 1 {
			s.holds(uri, []byte(uri))
		} else {
			s.misses(uri)
		}
	}
	errs := s.remove(batcher, []string{"other-scheme://x/y/z", all[1]})
	if len(errs) != 2 {
		s.Errorf("%d results for 2 URIs", len(errs))
		return
	}
	s.wantKind(errs[0], "other-scheme://x/y/z", drivers.InvalidKey, drivers.NotFound, drivers.Config)
	if errs[1] != nil {
		s.Errorf("a malformed URI in a batch spoils another: %v", errs[1])
	}
	s.misses(all[1])
}
