package db

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/kedge/kedge/drivers"
)

// BenchmarkBatch puts, gets and deletes batches of 256 documents of 2 KB.
func BenchmarkBatch(b *testing.B) {
	for _, o := range openers() {
		base, _ := freshPostgres(b)
		d, err := o.open(b.Context(), base)
		if err != nil {
			b.Fatal(err)
		}
		batcher := d.(drivers.Batcher)
		payload := bytes.Repeat([]byte(`{"document": 1}`), 140)
		requests := make([]drivers.PutRequest, 256)
		gets, uris := make([]drivers.GetRequest, 256), make([]string, 256)
		round := 0
		name := func() {
			round++
			for i := range requests {
				uri := uriOf(b, d, fmt.Sprintf("%d/%d", round, i))
				requests[i] = drivers.PutRequest{URI: uri, Payload: payload, MD5: sum(payload)}
				gets[i], uris[i] = drivers.GetRequest{URI: uri, MaxBytes: 1 << 20}, uri
			}
		}
		b.Run(o.name+" put", func(b *testing.B) {
			for b.Loop() {
				name()
				for _, r := range batcher.PutBatch(b.Context(), requests) {
					if r.Err != nil {
						b.Fatal(r.Err)
					}
				}
			}
			b.ReportMetric(float64(b.N*len(requests))/b.Elapsed().Seconds(), "documents/s")
		})
		b.Run(o.name+" get", func(b *testing.B) {
			for b.Loop() {
				for _, r := range batcher.GetBatch(b.Context(), gets) {
					if r.Err != nil {
						b.Fatal(r.Err)
					}
				}
			}
			b.ReportMetric(float64(b.N*len(requests))/b.Elapsed().Seconds(), "documents/s")
		})
		b.Run(o.name+" delete", func(b *testing.B) {
			for b.Loop() {
				for _, err := range batcher.DeleteBatch(b.Context(), uris) {
					if err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}
