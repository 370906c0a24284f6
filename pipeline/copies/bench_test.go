package copies

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/kedge/kedge/checkpoint"
	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/pipeline/store"
)

// benchEntries is how many entries the benchmark's record has, in batches of a migration.
const (
	benchEntries = 1_000_000
	benchBatch   = 256
	benchFlight  = 16
)

// benchBatchAt makes the documents of a batch in the catalog's order.
func benchBatchAt(first int) []Copy {
	batch := make([]Copy, 0, benchBatch)
	for n := first; n < min(first+benchBatch, benchEntries); n++ {
		var id [32]byte
		noise := sha256.Sum256(binary.BigEndian.AppendUint64(nil, uint64(n)))
		copy(id[:], noise[:])
		binary.BigEndian.PutUint32(id[:], uint32(n*(1<<32/benchEntries)))
		k := drivers.Key{UserID: uuid, Bucket: "analysis_data", ArchiveID: hex.EncodeToString(id[:])}
		source, _ := sourceURI(k)
		destination, _ := destinationURI(k)
		payload := Side{URI: source, Digest: hex.EncodeToString(noise[:16]), Bytes: 1000 + int64(n%100_000)}
		there := payload
		there.URI, there.Version = destination, `"`+payload.Digest+`"`
		batch = append(batch, Copy{Key: k, Name: k.ArchiveID + ".json", Source: payload, Destination: there, State: Copied, When: time.Unix(1.8e9, 0)})
	}
	return batch
}

// BenchmarkRecord intends and puts a million entries as a run does, finds them as the
// cutover does, and goes through them. One run of it says all.
func BenchmarkRecord(b *testing.B) {
	for b.Loop() {
		r := open(b, filepath.Join(b.TempDir(), "k.copies"), opening)
		begun := time.Now()
		type inFlight struct {
			batch    []Copy
			intended *checkpoint.Ticket
		}
		var flight []inFlight
		put := func() {
			wait(b, flight[0].intended)
			r.Put(flight[0].batch)
			flight = flight[1:]
		}
		for first := 0; first < benchEntries; first += benchBatch {
			batch := benchBatchAt(first)
			if flight = append(flight, inFlight{batch, r.Intend(batch)}); len(flight) == benchFlight {
				put()
			}
		}
		for len(flight) > 0 {
			put()
		}
		wait(b, r.Update(func(*Header) {}))
		b.ReportMetric(benchEntries/time.Since(begun).Seconds(), "inserts/s")
		b.ReportMetric(float64(r.Bytes())/benchEntries, "B/document")
		if n := r.Counts()[Copied]; n != benchEntries {
			b.Fatalf("%d copied", n)
		}

		var spent time.Duration
		for first := 0; first < benchEntries; first += benchBatch {
			docs := documents(benchBatchAt(first)...)
			begun := time.Now()
			found, err := r.Find(docs)
			spent += time.Since(begun)
			if err != nil || found[len(found)-1].State != Copied {
				b.Fatal(err)
			}
		}
		b.ReportMetric(benchEntries/spent.Seconds(), "finds/s")
		begun = time.Now()
		if n := len(each(b, r, benchBatch, Doubted)); n != 0 {
			b.Fatal(n)
		}
		b.ReportMetric(benchEntries/time.Since(begun).Seconds(), "scanned/s")
		var memory runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&memory)
		b.ReportMetric(float64(memory.HeapAlloc)/(1<<20), "MiB-heap")
		b.ReportMetric(float64(memory.Sys)/(1<<20), "MiB-sys")
		closeRecord(b, r)
	}
}

// million lists the benchmark's copies and does nothing else.
type million struct{ drivers.Driver }

func (million) Place() string { return "million" }
func (million) Capabilities() drivers.Capabilities {
	return drivers.Capabilities{Lists: true, ListTells: true}
}

func (million) List(_ context.Context, fn func(string, drivers.Info) error) error {
	for first := 0; first < benchEntries; first += benchBatch {
		for _, c := range benchBatchAt(first) {
			if err := fn(c.Destination.URI, drivers.Info{Bytes: c.Destination.Bytes, Version: c.Destination.Digest}); err != nil {
				return err
			}
		}
	}
	return nil
}

// BenchmarkCheck compares a record of a million entries with a listing that costs
// nothing. One run of it says all.
func BenchmarkCheck(b *testing.B) {
	r := open(b, filepath.Join(b.TempDir(), "k.copies"), opening)
	for first := 0; first < benchEntries; first += benchBatch {
		r.Put(benchBatchAt(first))
	}
	wait(b, r.Update(func(*Header) {}))
	for b.Loop() {
		check := Check{Record: r, Store: store.Store{Driver: million{}}, How: TrustList, Folder: filepath.Join(b.TempDir(), "check")}
		if got, err := check.Run(b.Context()); err != nil || got.Confirmed != benchEntries {
			b.Fatalf("%+v, %v", got, err)
		}
		var memory runtime.MemStats
		runtime.ReadMemStats(&memory)
		b.ReportMetric(float64(memory.Sys)/(1<<20), "MiB-sys")
	}
	b.ReportMetric(float64(benchEntries*b.N)/b.Elapsed().Seconds(), "copies/s")
	closeRecord(b, r)
}
