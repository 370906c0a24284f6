package plan

import (
	"github.com/kedge/kedge/pipeline/forms"
	"github.com/kedge/kedge/pipeline/progress"
)

func (f *Forms) of(which forms.Change) *progress.Amount {
	return [forms.Changes]*progress.Amount{&f.Compress, &f.Decompress, &f.Pass, &f.Undecided}[which]
}

// WrittenBytes says how many bytes of payloads would be put at the destination.
// It is exact where every payload keeps its form or all of them were read, and
// otherwise an estimate from the sample; ok is false where that does not tell.
func (p *Plan) WrittenBytes() (bytes int64, exact, ok bool) {
	if s := &p.Sample; s.Batches == s.AllBatches && s.Long.Documents == 0 && s.Failed == 0 && p.UnknownLength == 0 {
		return s.WrittenBytes, true, true
	}
	if p.UnknownLength > 0 && p.Move.Documents > p.UnknownLength {
		// Those of which nothing is known are taken to be like the others.
		defer func() {
			bytes = int64(float64(bytes) * float64(p.Move.Documents) / float64(p.Move.Documents-p.UnknownLength))
		}()
	}
	bytes, exact = p.Forms.Pass.Bytes, p.UnknownLength == 0
	for f := range forms.Changes {
		a := *p.Forms.of(f)
		if f == forms.Pass || a.Documents == 0 {
			continue
		}
		exact = false
		s := p.Sample.changes[f]
		if s.read == 0 && a.Bytes > 0 {
			return 0, false, false
		}
		if a.Bytes > 0 {
			bytes += int64(float64(a.Bytes) * float64(s.written) / float64(s.read))
		}
	}
	return bytes, exact, p.UnknownLength == 0 || p.Move.Documents > p.UnknownLength
}

// Decompressed says how many of the documents in Forms.Undecided the sample lets
// expect to be stored plain; ok is false where it has none of them.
func (p *Plan) Decompressed() (documents int64, ok bool) {
	s := p.Sample.changes[forms.Undecided]
	if s.documents == 0 {
		return 0, false
	}
	return int64(float64(p.Forms.Undecided.Documents)*float64(s.decompressed)/float64(s.documents) + 0.5), true
}
