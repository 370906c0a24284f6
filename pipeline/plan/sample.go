package plan

import (
	"math/rand/v2"
	"time"

	"github.com/kedge/kedge/checkpoint"
	"github.com/kedge/kedge/pipeline/catalog"
	"github.com/kedge/kedge/pipeline/failure"
	"github.com/kedge/kedge/pipeline/forms"
	"github.com/kedge/kedge/pipeline/progress"
)

// Sample is what was measured: batches spread over the catalog, read at the
// source and brought into the destination's form in memory, by the stages and
// with the workers that the migration would have.
type Sample struct {
	// Batches of AllBatches were read.
	Batches, AllBatches int64
	// Read is what was read, WrittenBytes what would be put for it.
	Read         progress.Amount
	WrittenBytes int64
	Took         time.Duration
	// Failures groups the documents that proved to be missing or broken; Failed
	// counts them.
	Failures []failure.Group[checkpoint.Failure]
	Failed   int64
	// Long is what was left out because it would have taken too long.
	Long progress.Amount
	// Incomplete says that the source did not answer in time for all that had
	// been begun.
	Incomplete bool
	// Asked documents were looked for at the destination, and Found of them are
	// there already. AskError is why that could not be asked.
	Asked, Found int
	AskError     error

	changes [forms.Changes]formSample
}

// formSample is what was measured of payloads of one form.
type formSample struct{ documents, read, written, decompressed int64 }

// Add counts a document that was read: so many bytes of it, of which so many would be
// put after this change; decompressed says that it was stored compressed and would be
// plain.
func (s *Sample) Add(read, written int64, change forms.Change, decompressed bool) {
	s.Read.Add(progress.Amount{Documents: 1, Bytes: read})
	s.WrittenBytes += written
	f := &s.changes[change]
	f.documents++
	f.read += read
	f.written += written
	if decompressed {
		f.decompressed++
	}
}

const (
	// sampleBatches is how many batches are read at most.
	sampleBatches = 32
	// longBytes is how many bytes a batch may have to be read for a sample.
	longBytes = 64 << 20
)

// Sampler keeps a few of the batches that it is offered, each with the same
// chance, whatever their number.
type Sampler struct {
	random *rand.Rand
	// Batches are those that it keeps, of so many Offered that are not too long; Long
	// is what is.
	Batches [][]catalog.Document
	Offered int64
	Long    progress.Amount
}

// NewSampler keeps none yet.
func NewSampler() *Sampler {
	// Always the same choice, so that a plan made twice is the same twice.
	return &Sampler{random: rand.New(rand.NewPCG(1, 2))}
}

// Offer offers a batch with so many payload bytes.
func (s *Sampler) Offer(documents []catalog.Document, bytes int64) {
	if len(documents) == 0 {
		return
	}
	if bytes > longBytes {
		s.Long.Add(progress.Amount{Documents: int64(len(documents)), Bytes: bytes})
		return
	}
	s.Offered++
	at := s.random.Int64N(s.Offered)
	if len(s.Batches) < sampleBatches {
		s.Batches = append(s.Batches, nil)
		last := len(s.Batches) - 1
		s.Batches[last], s.Batches[at] = s.Batches[at], nil
	} else if at >= sampleBatches {
		return
	}
	s.Batches[at] = documents
}

// Duration estimates how long reading and recompressing would take for all that
// is to be moved; ok is false where nothing was measured. The destination comes
// on top of it, or beside it, where it is slower.
func (s *Sample) Duration() (d time.Duration, ok bool) {
	if s.Batches == 0 || s.Took <= 0 {
		return 0, s.AllBatches == 0 && s.Long.Documents == 0
	}
	took := s.Took.Seconds()
	seconds := took * float64(s.AllBatches) / float64(s.Batches)
	if s.Long.Bytes > 0 {
		if s.Read.Bytes == 0 {
			return 0, false
		}
		seconds += took * float64(s.Long.Bytes) / float64(s.Read.Bytes)
	}
	return time.Duration(seconds * float64(time.Second)), true
}
