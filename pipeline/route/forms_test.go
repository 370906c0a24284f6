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

// A payload that zlib has made no shorter may be put in its plain form though it is longer
// than the documents that are compressed.
func TestOnlyWhatCertainlyKeepsItsFormIsSaidTo(t *testing.T) {
	const least = 100 << 10
	for _, c := range []struct {
		name       string
		rule       forms.Compression
		compressed bool
		bytes      int64
		want       bool
	}{
		{"plain, short", forms.Compression{Enabled: true, MinBytes: least}, false, least, true},
		{"plain, long", forms.Compression{Enabled: true, MinBytes: least}, false, least + 1, false},
		{"plain, never compressed", forms.Compression{}, false, 10 * least, true},
		{"compressed, far longer", forms.Compression{Enabled: true, MinBytes: least}, true, 2 * least, true},
		{"compressed, hardly longer", forms.Compression{Enabled: true, MinBytes: least}, true, least + 20, false},
		{"compressed, shorter", forms.Compression{Enabled: true, MinBytes: least}, true, least / 10, false},
		{"compressed, never compressed there", forms.Compression{}, true, 10 * least, false},
		{"compressed, everything is", forms.Compression{Enabled: true, MinBytes: -1 << 40}, true, 1, true},
	} {
		r := Route{Source: store.Store{Driver: compressing{prefix: "a://"}}, Destination: store.Store{Driver: compressing{prefix: "b://"}, Compression: c.rule}}
		if got := r.StaysAsItIs(catalog.Document{Compressed: c.compressed}, c.bytes); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}
