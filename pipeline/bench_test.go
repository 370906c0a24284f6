package pipeline

import (
	"crypto/md5"
	"encoding/hex"
	"math/rand/v2"
	"testing"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/pipeline/catalog"
	"github.com/kedge/kedge/pipeline/concurrency"
	"github.com/kedge/kedge/pipeline/forms"
)

// BenchmarkRecompress brings a report of 20 KB into each form from each: what
// is compressed already is checked.
func BenchmarkRecompress(b *testing.B) {
	plain := make([]byte, 20<<10)
	for i := range plain {
		plain[i] = byte(rand.IntN(7)) // compresses, but not to nothing
	}
	for _, c := range []struct {
		name     string
		from, to bool
	}{{"plain", false, false}, {"compress", false, true}, {"check", true, true}, {"expand", true, false}} {
		b.Run(c.name, func(b *testing.B) {
			payload := plain
			if c.from {
				var err error
				if payload, err = forms.Deflate(plain); err != nil {
					b.Fatal(err)
				}
			}
			sum := md5.Sum(payload)
			digest := hex.EncodeToString(sum[:])
			m := &migration{
				src: Store{Driver: prefixed("a://")},
				dst: Store{Driver: prefixed("b://"), Compression: Compression{Enabled: c.to, MinBytes: 1}},
			}
			b.SetBytes(int64(len(plain)))
			b.ReportAllocs()
			for b.Loop() {
				it := &item{doc: catalog.Document{Compressed: c.from, Digest: digest}, payload: payload, digest: digest, bytes: int64(len(payload)), allowance: 1 << 20}
				if err := m.recompressOne(it); err != nil || it.compressed != c.to {
					b.Fatal(err, it.compressed)
				}
			}
		})
	}
}

// prefixed is a driver that has a prefix and may hold compressed payloads.
type prefixedDriver struct {
	drivers.Driver
	prefix string
}

func prefixed(prefix string) drivers.Driver { return prefixedDriver{prefix: prefix} }

func (d prefixedDriver) Prefix() string { return d.prefix }

func (d prefixedDriver) Capabilities() drivers.Capabilities {
	return drivers.Capabilities{Compresses: true}
}

// BenchmarkEnumerate cuts rows into batches.
func BenchmarkEnumerate(b *testing.B) {
	cut := concurrency.Cutter[*item]{
		Limits: concurrency.LimitsFor(DefaultMemoryBytes),
		Key:    func(it *item) drivers.Key { return it.doc.Key },
		Bytes:  func(it *item) int64 { return it.doc.Bytes },
	}
	d := catalog.Document{Key: drivers.Key{UserID: "admin", Bucket: "analysis_data"}, Bytes: 4096}
	b.ReportAllocs()
	for b.Loop() {
		cut.Add(&item{doc: d, plainBytes: -1})
	}
}
