package httpstore

import (
	"fmt"
	"testing"
)

// Whatever comes before it, and however long it is, a circle is found soon; where
// there is none, none is.
func TestCirclesAreFound(t *testing.T) {
	for before := range 40 {
		for length := 1; length < 40; length++ {
			var c Circle
			n := 0
			for ; n < before+length; n++ {
				if c.Closed(fmt.Sprint(n)) {
					t.Fatalf("%d before, circle of %d: found after %d, when nothing was repeated", before, length, n)
				}
			}
			for !c.Closed(fmt.Sprint(before + (n-before)%length)) {
				if n++; n > 3*(before+length) {
					t.Fatalf("%d before, circle of %d: not found", before, length)
				}
			}
		}
	}
}
