package route

import (
	"testing"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/pipeline/catalog"
	"github.com/kedge/kedge/pipeline/forms"
	"github.com/kedge/kedge/pipeline/store"
)

// compressing is a driver of a store that can compress; nothing else is asked of it.
type compressing struct {
	drivers.Driver
	prefix string
}

func (c compressing) Prefix() string { return c.prefix }
func (c compressing) Capabilities() drivers.Capabilities {
	return drivers.Capabilities{Compresses: true}
}

// TestAllowanceIsNotNegative: a rule by which everything is compressed (Anchore
// takes a negative min_size_kbytes so) leaves what a payload reserves as it is.
func TestAllowanceIsNotNegative(t *testing.T) {
	for _, least := range []int64{-1024, -1 << 62} {
		r := Route{Destination: store.Store{Driver: compressing{prefix: "b://"}, Compression: forms.Compression{Enabled: true, MinBytes: least}}}
		if got := r.Allowance(catalog.Document{Compressed: true}, 1000, 1<<20); got != 0 {
			t.Errorf("MinBytes %d: %d bytes beside the payload", least, got)
		}
	}
}
