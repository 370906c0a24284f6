package copies

import (
	"path/filepath"
	"testing"
)

// What may have been put at the one store is not taken for what was put at the other.
func TestTracesAreOfOneStore(t *testing.T) {
	t.Parallel()
	for name, ways := range map[string][2]Opening{"way back": {turned, opening}, "way there": {opening, turned}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "k.copies")
			r := open(t, path, ways[0])
			c := sample(1, Intended)
			c.Put = Traces{known: true}.And(digest)
			wait(t, r.Intend([]Copy{c}))
			closeRecord(t, r)
			r = open(t, path, ways[1])
			if got := find(t, r, c); got.State != Intended || got.Traces().Known() {
				t.Errorf("found %+v", got)
			}
		})
	}
}
