package pipeline

import (
	"testing"

	"github.com/kedge/kedge/pipeline/catalog"
	"github.com/kedge/kedge/pipeline/concurrency"
)

// TestAllowanceIsNotNegative: a rule by which everything is compressed (Anchore
// takes a negative min_size_kbytes so) leaves what a payload reserves as it is.
func TestAllowanceIsNotNegative(t *testing.T) {
	for _, least := range []int64{-1024, -1 << 62} {
		m := &migration{
			dst:    Store{Driver: prefixed("b://"), Compression: Compression{Enabled: true, MinBytes: least}},
			limits: concurrency.LimitsFor(DefaultMemoryBytes),
		}
		it := &item{doc: catalog.Document{Compressed: true}}
		if got := m.allow(it, 1000); got != 0 {
			t.Errorf("MinBytes %d: %d bytes beside the payload", least, got)
		}
	}
}
