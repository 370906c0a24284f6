// Package plot draws plots as SVG. A plot refers to nothing outside of itself, and
// follows the viewer's choice of light or dark through the classes of Style. The
// package escapes all text that it is given.
package plot

import (
	"fmt"
	"html"
	"strings"
)

// colours are those of lines and bars: for light and for dark surroundings.
// They can be told apart with the common kinds of colour blindness; beyond that
// every line has another pattern or its name beside it.
var colours = []struct{ light, dark string }{
	{"#0072b2", "#56b4e9"}, {"#b35900", "#f0a030"}, {"#00795c", "#2ec4a0"}, {"#a5447e", "#e08bbb"},
	{"#5d4fb3", "#a99cf5"}, {"#7a6a00", "#e3d24a"}, {"#b3261e", "#ff8a80"}, {"#4a4a4a", "#c8c8c8"},
}

// Colours is how many classes of colours Style has: c0, c1 and so on.
var Colours = len(colours)

// Style is the style sheet that the plots need, without the element around it.
func Style() string {
	var light, dark strings.Builder
	for i, l := range colours {
		fmt.Fprintf(&light, ".c%d{color:%s}", i, l.light)
		fmt.Fprintf(&dark, ".c%d{color:%s}", i, l.dark)
	}
	return `.sheet{fill:#fff}svg text{font:12px system-ui,sans-serif;fill:#333}svg .title{font-size:14px;font-weight:600}` +
		`svg .name{fill:currentColor;font-weight:600}.grid{stroke:#ddd;stroke-width:1}.axis{stroke:#888;stroke-width:1}` +
		`.line{fill:none;stroke:currentColor;stroke-width:2;stroke-linejoin:round}.thin{stroke-width:1.2;stroke-dasharray:5 4}` +
		`.dashed{stroke-dasharray:7 4}.area{fill:currentColor;fill-opacity:.25}.mark{fill:currentColor}.track{fill:#8882}` + light.String() +
		`@media(prefers-color-scheme:dark){.sheet{fill:#16181c}svg text{fill:#ccc}svg .name{fill:currentColor}.grid{stroke:#33373d}` +
		dark.String() + `}`
}

// Width is that of every plot but those that callers draw themselves, in the
// SVG's own units: about what a telephone's screen is wide, so that the text is
// as large as it should be there, and plots stand side by side elsewhere.
const Width = 360.0

// margins of the plots.
const (
	left, right = 54.0, 12.0
	top, bottom = 44.0, 26.0
)

// open begins a plot with a heading, and a description of what it shows for
// those who cannot see it.
func open(out *strings.Builder, height float64, title, description string) {
	fmt.Fprintf(out, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %.0f %.0f" role="img" aria-label="%s"><text class="title" x="2" y="15">%s</text>`,
		Width, height, html.EscapeString(title+": "+description), html.EscapeString(title))
}

// empty is a plot of which there is nothing to see yet.
func empty(height float64, title string) string {
	var out strings.Builder
	open(&out, height, title, "nothing to show")
	fmt.Fprintf(&out, `<text x="%.0f" y="%.1f" text-anchor="middle">nothing to show</text></svg>`, Width/2, height/2)
	return out.String()
}

// key is the list of what a plot's colours stand for, in the line below its
// heading.
func key(out *strings.Builder, entries []string, sample func(i int, x, y float64) string) {
	x := 2.0
	for i, entry := range entries {
		fmt.Fprintf(out, `<g class="c%d">%s</g><text x="%.1f" y="33">%s</text>`, i%Colours, sample(i, x, 29), x+24, html.EscapeString(entry))
		x += 24 + textWidth(entry) + 14
	}
}

// textWidth is about how wide a text of 12 pixels is.
func textWidth(s string) float64 { return 6.4 * float64(len([]rune(s))) }

// shorten cuts a text that is longer than so many letters.
func shorten(s string, most int) string {
	if r := []rune(s); len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return s
}
