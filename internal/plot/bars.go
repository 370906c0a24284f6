package plot

import (
	"fmt"
	"html"
	"strings"
)

// Bars draws a group of horizontal bars for each name, one bar a series.
type Bars struct {
	Title  string
	Series []string
	Groups []Group
	Format func(v float64) string
}

// Group is what belongs to one name. Note stands behind the name.
type Group struct {
	Name, Note string
	Values     []float64
}

// maxGroups is how many groups are drawn; the rest are counted.
const maxGroups = 12

const barHeight, gap = 12.0, 26.0

// SVG draws.
func (b Bars) SVG() string {
	most := 0.0
	for _, g := range b.Groups {
		for _, v := range g.Values {
			most = max(most, v)
		}
	}
	if most == 0 {
		return empty(120, b.Title)
	}
	shown := b.Groups[:min(len(b.Groups), maxGroups)]
	begin := 26.0
	if len(b.Series) > 1 {
		begin = top
	}
	height := begin + float64(len(shown))*(gap+barHeight*float64(max(1, len(b.Series)))) + 10
	if len(shown) < len(b.Groups) {
		height += 16
	}
	var words []string
	for _, g := range shown {
		words = append(words, g.Name+" "+b.values(g))
	}
	var out strings.Builder
	open(&out, height, b.Title, strings.Join(words, "; "))
	if len(b.Series) > 1 {
		key(&out, b.Series, barMark)
	}
	across := Scale{high: most, from: 2, to: Width - 90, linear: true}
	y := begin
	for _, g := range shown {
		b.group(&out, g, across, y)
		y += gap + barHeight*float64(max(1, len(g.Values)))
	}
	if more := len(b.Groups) - len(shown); more > 0 {
		fmt.Fprintf(&out, `<text x="2" y="%.1f">… and %d more</text>`, y+14, more)
	}
	out.WriteString("</svg>")
	return out.String()
}

// group draws one group at height y.
func (b Bars) group(out *strings.Builder, g Group, across Scale, y float64) {
	note := ""
	if g.Note != "" {
		note = ": " + g.Note
	}
	fmt.Fprintf(out, `<text x="2" y="%.1f">%s</text>`, y+14, html.EscapeString(shorten(g.Name, 34)+note))
	for i, v := range g.Values {
		at := y + 18 + barHeight*float64(i)
		fmt.Fprintf(out, `<g class="c%d"><path class="mark" d="M2 %.1fH%.1fv%.1fH2z"/></g><text x="%.1f" y="%.1f">%s</text>`,
			i%Colours, at, max(across.At(v), 3), barHeight-2, max(across.At(v), 3)+5, at+9, html.EscapeString(b.Format(v)))
	}
}

// barMark is the mark of a series of bars in the key.
func barMark(_ int, x, y float64) string {
	return fmt.Sprintf(`<rect class="mark" x="%.1f" y="%.1f" width="18" height="8"/>`, x, y-4)
}

func (b Bars) values(g Group) string {
	var words []string
	for i, v := range g.Values {
		name := ""
		if i < len(b.Series) {
			name = b.Series[i] + " "
		}
		words = append(words, name+b.Format(v))
	}
	return strings.Join(words, ", ")
}

// Histogram draws how often values fell between bounds, for one series or
// several side by side.
type Histogram struct {
	Title string
	// Bounds are the upper ends of all buckets but the last, which has none.
	Bounds []float64
	Series []Line
	// Bound writes a bound, Count a number of values.
	Bound, Count func(v float64) string
}

// SVG draws the buckets from the first to the last that holds anything.
func (h Histogram) SVG() string {
	first, last, most := -1, -1, 0.0
	for i := range len(h.Bounds) + 1 {
		for _, s := range h.Series {
			if i < len(s.Values) && s.Values[i] > 0 {
				if first < 0 {
					first = i
				}
				last, most = i, max(most, s.Values[i])
			}
		}
	}
	if first < 0 {
		return empty(linesHeight, h.Title)
	}
	var out strings.Builder
	open(&out, linesHeight, h.Title, h.words(first, last))
	if len(h.Series) > 1 {
		var names []string
		for _, s := range h.Series {
			names = append(names, s.Name)
		}
		key(&out, names, barMark)
	}
	up := Linear(most, linesHeight-bottom, top)
	grid(&out, up, h.Count)
	fmt.Fprintf(&out, `<path class="axis" d="M%.1f %.1fH%.1f"/>`, left, linesHeight-bottom, Width-right)
	h.bars(&out, first, last, up)
	out.WriteString("</svg>")
	return out.String()
}

// bars draws the buckets and the bounds between them.
func (h Histogram) bars(out *strings.Builder, first, last int, up Scale) {
	buckets := last - first + 1
	width := min((Width-left-right)/float64(buckets), 60)
	each := (width - 4) / float64(len(h.Series))
	free := left // up to where the labels reach
	for i := first; i <= last; i++ {
		x := left + width*float64(i-first)
		for n, s := range h.Series {
			if i < len(s.Values) && s.Values[i] > 0 {
				y := min(up.At(s.Values[i]), linesHeight-bottom-1)
				fmt.Fprintf(out, `<g class="c%d"><path class="mark" d="M%.1f %.1fh%.1fV%.1fh-%.1fz"><title>%s</title></path></g>`, n%Colours,
					x+2+each*float64(n), y, each, linesHeight-bottom, each, html.EscapeString(s.Name+" "+h.bucket(i)+": "+h.Count(s.Values[i])))
			}
		}
		if i == len(h.Bounds) {
			continue
		}
		label := h.Bound(h.Bounds[i])
		half := textWidth(label) / 2
		if at := x + width; at-half > free && at+half < Width {
			fmt.Fprintf(out, `<path class="axis" d="M%.1f %.1fv4"/><text x="%.1f" y="%.1f" text-anchor="middle">%s</text>`, at, linesHeight-bottom, at, linesHeight-bottom+17, html.EscapeString(label))
			free = at + half + 6
		}
	}
}

// bucket names a bucket.
func (h Histogram) bucket(i int) string {
	switch {
	case len(h.Bounds) == 0:
		return "all"
	case i == 0:
		return "up to " + h.Bound(h.Bounds[0])
	case i == len(h.Bounds):
		return "over " + h.Bound(h.Bounds[i-1])
	default:
		return h.Bound(h.Bounds[i-1]) + " to " + h.Bound(h.Bounds[i])
	}
}

func (h Histogram) words(first, last int) string {
	var words []string
	for i := first; i <= last; i++ {
		for _, s := range h.Series {
			if i < len(s.Values) && s.Values[i] > 0 {
				words = append(words, strings.TrimSpace(s.Name+" "+h.bucket(i)+" "+h.Count(s.Values[i])))
			}
		}
	}
	return strings.Join(words, "; ")
}
