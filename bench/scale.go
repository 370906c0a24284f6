package bench

import (
	"fmt"
	"html"
	"math"
	"slices"
	"strings"
)

// scale maps values to pixels by their logarithm.
type scale struct{ low, high, from, to float64 }

// newScale maps low to from and high to to, with some air where both are one.
func newScale(low, high, from, to float64) scale {
	if high <= low*1.01 {
		low, high = low/2, high*2
	}
	return scale{low, high, from, to}
}

// round widens the scale to 1, 2 or 5 times a power of ten at both ends.
func (s scale) round() scale {
	nice := func(v float64, fits func(candidate float64) bool, digits []float64) float64 {
		power := math.Pow(10, math.Floor(math.Log10(v)))
		for _, digit := range digits {
			if fits(digit * power) {
				return digit * power
			}
		}
		return v
	}
	s.low = nice(s.low, func(c float64) bool { return c <= s.low }, []float64{5, 2, 1})
	s.high = nice(s.high, func(c float64) bool { return c >= s.high }, []float64{1, 2, 5, 10})
	return s
}

func (s scale) at(v float64) float64 {
	return s.from + (s.to-s.from)*(math.Log(v)-math.Log(s.low))/(math.Log(s.high)-math.Log(s.low))
}

// ticks are the powers of ten in the scale, with 2 and 5 of each where they are
// few.
func (s scale) ticks() []float64 {
	var few, many []float64
	for power := math.Floor(math.Log10(s.low)); power <= math.Ceil(math.Log10(s.high)); power++ {
		for _, digit := range []float64{1, 2, 5} {
			v := digit * math.Pow(10, power)
			if v < s.low*0.999 || v > s.high*1.001 {
				continue
			}
			many = append(many, v)
			if digit == 1 {
				few = append(few, v)
			}
		}
	}
	if len(few) < 3 {
		return many
	}
	return few
}

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
	slices.SortFunc(l, func(a, b label) int {
		if a.y < b.y {
			return -1
		}
		return 1
	})
	for i := range l {
		if i > 0 && l[i].y < l[i-1].y+lineHeight {
			l[i].y = l[i-1].y + lineHeight
		}
		fmt.Fprintf(out, `<g class="c%d"><text class="name" x="%.1f" y="%.1f">%s</text></g>`, l[i].class, l[i].x+10, l[i].y+4, html.EscapeString(l[i].text))
	}
}
