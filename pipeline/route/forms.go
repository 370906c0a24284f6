package route

import (
	"github.com/kedge/kedge/pipeline/catalog"
	"github.com/kedge/kedge/pipeline/forms"
)

// KeepsForm says that payloads are never recompressed: where source and destination give
// the same URIs, the same row must describe the payload at either of them.
func (r Route) KeepsForm() bool { return r.SamePrefix() }

// StaysAsItIs says whether a row's payload of so many bytes certainly keeps its form.
func (r Route) StaysAsItIs(d catalog.Document, bytes int64) bool {
	return r.ChangeOf(d, bytes, true) == forms.Pass
}

// ChangeOf says what becomes of a row's payload of so many bytes, as far as they are
// known.
func (r Route) ChangeOf(d catalog.Document, bytes int64, known bool) forms.Change {
	if r.KeepsForm() {
		return forms.Pass
	}
	return r.Destination.Rule().ChangeOf(d.Compressed, bytes, known)
}

// Passes says whether a streamed payload of so many bytes certainly goes through the
// destination's driver without being held there: its length and digest are known before,
// and it keeps its form.
func (r Route) Passes(d catalog.Document, bytes int64) bool {
	return bytes <= r.Destination.Capabilities().PassBytes && d.Digest != "" && r.StaysAsItIs(d, bytes)
}

// StreamCost is how many bytes one payload holds while it is streamed from source to
// destination; passes is what Passes says of it.
func (r Route) StreamCost(passes bool) int64 {
	cost := r.Source.Capabilities().GetStreamBytes + 4*forms.ChunkBytes
	if !passes {
		cost += r.Destination.Capabilities().StreamBytes
	}
	return cost
}

// inflated is how long a compressed report may be expected to be at most. One that is
// longer is streamed.
func inflated(bytes int64) int64 { return 12*bytes + (1 << 10) }

// Allowance is how many bytes, of at most so many, a payload may take beside what is
// fetched of it, when its compression changes on the way.
func (r Route) Allowance(d catalog.Document, bytes, most int64) int64 {
	switch {
	case d.Compressed && !r.Destination.MayCompress():
		return min(inflated(bytes), most)
	case d.Compressed:
		// Stays compressed, unless the plain document is short for the rule.
		return min(inflated(bytes), max(r.Destination.Compression.MinBytes, 0), most)
	case r.Destination.Compresses(bytes):
		return bytes
	default:
		return 0
	}
}
