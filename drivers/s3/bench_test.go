package s3

import (
	"fmt"
	"io"
	"testing"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/internal/testenv"
)

// BenchmarkPut and BenchmarkGet send and read documents of 4 KiB, one after the
// other: what one costs the client in memory, and both in time.
func BenchmarkPut(b *testing.B) {
	s := fresh(b, testenv.VersityGW(b))
	body := make([]byte, 4<<10)
	digest := md5Hex(body)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		if _, err := s.Put(b.Context(), uriOf(b, s, fmt.Sprint(n)), drivers.InMemory(body, digest)); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkPutHeld sends documents of 338 KB, a mean of those whose median is
// 200 KB: whose MD5 the server compares, and whose MD5 the caller compares.
func BenchmarkPutHeld(b *testing.B) {
	body := noise(1, 338_000)
	for _, readBack := range []bool{false, true} {
		b.Run(fmt.Sprintf("ReadBack=%v", readBack), func(b *testing.B) {
			s := fresh(b, testenv.VersityGW(b))
			payload := drivers.InMemory(body, md5Hex(body))
			payload.ReadBack = readBack
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for n := 0; b.Loop(); n++ {
				if _, err := s.Put(b.Context(), uriOf(b, s, fmt.Sprint(n)), payload); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkGet(b *testing.B) {
	s := fresh(b, testenv.VersityGW(b))
	body := make([]byte, 4<<10)
	uri := uriOf(b, s, "one")
	if _, err := s.Put(b.Context(), uri, drivers.InMemory(body, md5Hex(body))); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		r, _, err := s.Get(b.Context(), uri)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, r); err != nil {
			b.Fatal(err)
		}
		r.Close()
	}
}

// BenchmarkSign is what a request costs before it is sent.
func BenchmarkSign(b *testing.B) {
	s := fresh(b, testenv.VersityGW(b))
	loc, err := s.locate("put", uriOf(b, s, "one"))
	if err != nil {
		b.Fatal(err)
	}
	body := make([]byte, 4<<10)
	b.ReportAllocs()
	for b.Loop() {
		r, err := s.direct.request(b.Context(), "PUT", loc, "", map[string][]string{"Content-Md5": {"1B2M2Y8AsgTpgAmY7PhCfg=="}, "Content-Type": {contentType}}, body)
		if err != nil {
			b.Fatal(err)
		}
		if err := s.direct.sign(r, loc); err != nil {
			b.Fatal(err)
		}
	}
}
