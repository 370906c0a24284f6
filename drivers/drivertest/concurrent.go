package drivertest

import (
	"fmt"
	"sync"
	"testing"

	"github.com/kedge/kedge/drivers"
)

// testConcurrentOneKey lets writers and readers meet on one key.
func testConcurrentOneKey(t *testing.T, b Backend) {
	s := open(t, b)
	uri := s.uri("contended")
	written := map[string]int64{} // MD5 -> bytes
	var payloads [][]byte
	for i := range 4 {
		p := randomBytes(byte(i), 50_000+i*70_001)
		if i%2 == 0 { // text and binary may be stored in different ways
			p = fmt.Appendf(nil, "%x", p)
		}
		payloads = append(payloads, p)
		written[md5Hex(p)] = int64(len(p))
	}
	s.put(uri, payloads[0])
	var writers, readers sync.WaitGroup
	done := make(chan struct{})
	for _, p := range payloads {
		writers.Go(func() {
			for n := range 15 {
				f := forms[n%len(forms)]
				err := settled(s.ctx, func() error {
					payload, _ := f.payload(p)
					receipt, err := s.d.Put(s.ctx, uri, payload)
					if err == nil && (receipt.MD5 != md5Hex(p) || receipt.ProvenMD5 != "" && receipt.ProvenMD5 != md5Hex(p)) {
						t.Errorf("the receipt of a put is another's: %+v", receipt)
					}
					return err
				})
				if err != nil {
					t.Errorf("put (%s): %v", f.name, err)
				}
			}
		})
	}
	for range 4 {
		readers.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				err := settled(s.ctx, func() error {
					info, md5, n, err := s.readAll(uri)
					if err != nil {
						return err
					}
					if written[md5] != n {
						t.Errorf("get: %d bytes with MD5 %s, which nobody has written", n, md5)
					}
					if b.TellsAnother && written[info.MD5] != 0 {
						info.MD5 = md5
					}
					s.checkInfo("get", info, md5, n)
					return nil
				})
				if err != nil {
					t.Errorf("get: %v", err)
					return
				}
			}
		})
	}
	s.within("puts and gets of one key", func() {
		writers.Wait()
		close(done)
		readers.Wait()
	})
	if md5, n, err := s.read(uri); err != nil || written[md5] != n {
		t.Errorf("afterwards: %d bytes with MD5 %s (%v)", n, md5, err)
	}
	s.noLeftovers()
}

// testConcurrentManyKeys puts, reads and deletes many keys at once.
func testConcurrentManyKeys(t *testing.T, b Backend) {
	s := open(t, b)
	const workers, each = 16, 25
	uris := make([][]string, workers)
	for w := range workers {
		for i := range each {
			uris[w] = append(uris[w], s.uri(fmt.Sprintf("many/%d/%d", i, w)))
		}
	}
	body := func(w, i int) []byte { return randomBytes(byte(w*each+i), 100+w*i*7) }
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i, uri := range uris[w] {
				err := settled(s.ctx, func() error {
					_, err := s.d.Put(s.ctx, uri, drivers.InMemory(body(w, i), md5Hex(body(w, i))))
					return err
				})
				if err != nil {
					t.Errorf("put %q: %v", uri, err)
				}
				if i%2 == 1 { // makes and removes what the keys share
					if err := settled(s.ctx, func() error { return s.d.Delete(s.ctx, uri) }); err != nil {
						t.Errorf("delete %q: %v", uri, err)
					}
				}
			}
		})
	}
	s.within("many keys at once", wg.Wait)
	for w := range workers {
		for i, uri := range uris[w] {
			if i%2 == 1 {
				s.misses(uri)
			} else {
				s.holds(uri, body(w, i))
			}
		}
	}
	s.noLeftovers()
}
