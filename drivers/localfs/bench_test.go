package localfs

import (
	"crypto/md5"
	"fmt"
	"io"
	"testing"

	"github.com/kedge/kedge/drivers"
)

// BenchmarkGet opens and reads payloads of 4 KiB, one after the other.
func BenchmarkGet(b *testing.B) {
	s := openTemp(b)
	body := make([]byte, 4096)
	uris := make([]string, 256)
	for n := range uris {
		var err error
		if uris[n], err = s.URI(drivers.Key{UserID: "admin", Bucket: "analysis_data", ArchiveID: fmt.Sprint(n)}); err != nil {
			b.Fatal(err)
		}
		if _, err := s.Put(b.Context(), uris[n], drivers.InMemory(body, "")); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		r, _, err := s.Get(b.Context(), uris[n%len(uris)])
		if err != nil {
			b.Fatal(err)
		}
		if _, err := io.ReadFull(r, body); err != nil {
			b.Fatal(err)
		}
		if err := r.Close(); err != nil {
			b.Fatal(err)
		}
		n++
	}
}

// BenchmarkReplace writes payloads of 34 KB whose MD5 the caller has computed into
// the folders of an archive, over and over, without the sync.
func BenchmarkReplace(b *testing.B) {
	s := openTemp(b)
	payload := drivers.InMemory(make([]byte, 34<<10), "")
	payload.MD5, payload.Computed = fmt.Sprintf("%x", md5.Sum(payload.Bytes)), true
	uris := make([]string, 256)
	for n := range uris {
		var err error
		if uris[n], err = s.URI(drivers.Key{UserID: "admin", Bucket: "analysis_data", ArchiveID: fmt.Sprint(n)}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		if _, err := s.Put(b.Context(), uris[n%len(uris)], payload); err != nil {
			b.Fatal(err)
		}
		n++
	}
}
