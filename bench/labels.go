package bench

import (
	"cmp"
	"fmt"
	"html"
	"slices"
	"strings"
)

// label is a name at a line's end.
type label struct {
	text  string
	x, y  float64
	class int
}

type labels []label

// lineHeight is how far two names must be apart.
const lineHeight = 14.0

// draw writes the names beside the lines' ends, none over another.
func (l labels) draw(out *strings.Builder) {
	slices.SortFunc(l, func(a, b label) int { return cmp.Compare(a.y, b.y) })
	for i := range l {
		if i > 0 && l[i].y < l[i-1].y+lineHeight {
			l[i].y = l[i-1].y + lineHeight
		}
		fmt.Fprintf(out, `<g class="c%d"><text class="name" x="%.1f" y="%.1f">%s</text></g>`, l[i].class, l[i].x+10, l[i].y+4, html.EscapeString(l[i].text))
	}
}
