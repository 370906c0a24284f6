package bench

import (
	"fmt"
	"html"
	"io"
	"math"
	"strings"

	"github.com/kedge/kedge/internal/plot"
)

// Sizes of the plot, in pixels.
const (
	panelWidth, panelHeight = 400.0, 220.0
	marginLeft, marginTop   = 76.0, 86.0
	gapX, gapY              = 96.0, 66.0
	labelRoom               = 76.0 // for the names at the lines' ends
)

// kneeStyle is the style of the ring that marks a size's knee.
const kneeStyle = `.knee{fill:none;stroke:currentColor;stroke-width:2}`

// SVG draws the steps: for each operation a panel of rates and one of latencies
// against the operations in flight, all axes logarithmic, with a line for each
// size. It refers to nothing outside of itself.
func (r *Result) SVG(w io.Writer) error {
	var ops []Operation
	for _, op := range []Operation{Put, Stat, Get, Delete} {
		if len(r.concurrencies(op)) > 0 {
			ops = append(ops, op)
		}
	}
	width := marginLeft + 2*panelWidth + gapX + 2*labelRoom
	height := marginTop + float64(len(ops))*(panelHeight+gapY)
	var out strings.Builder
	fmt.Fprintf(&out, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %.0f %.0f" width="%.0f" height="%.0f" role="img"><title>%s</title><style>%s</style>`,
		width, height, width, height, html.EscapeString("Rates and latencies of "+r.Place), plot.Style()+kneeStyle)
	fmt.Fprintf(&out, `<rect class="sheet" width="100%%" height="100%%"/><text class="title" x="16" y="26">%s</text>`, html.EscapeString(r.Driver+" at "+r.Place))
	out.WriteString(`<text x="16" y="46">A ring marks the fewest operations in flight within 5% of a size’s best rate. Latency: solid p50, dashed p99.</text>`)
	for i, op := range ops {
		y := marginTop + float64(i)*(panelHeight+gapY)
		r.panel(&out, op, marginLeft, y, string(op)+": documents/s", drawRate)
		r.panel(&out, op, marginLeft+panelWidth+labelRoom+gapX, y, string(op)+": latency", drawLatency)
	}
	out.WriteString("</svg>\n")
	_, err := io.WriteString(w, out.String())
	return err
}

// curve is a line of a panel.
type curve struct {
	class string
	value func(s Step) float64
	named bool // its points are marked, its end has the size's name
}

// drawing says what a panel shows.
type drawing struct {
	curves []curve
	tick   func(v float64) string
	knee   bool
}

var (
	drawRate    = drawing{[]curve{{"line", func(s Step) float64 { return s.PerSecond }, true}}, shortNumber, true}
	drawLatency = drawing{[]curve{{"line", func(s Step) float64 { return s.P50 }, true}, {"line thin", func(s Step) float64 { return s.P99 }, false}}, latencyTick, false}
)

// panel draws one panel with its top left corner at x and y.
func (r *Result) panel(out *strings.Builder, op Operation, x, y float64, title string, d drawing) {
	concurrencies := r.concurrencies(op)
	low, high := math.Inf(1), 0.0
	for _, size := range r.sizes(op) {
		for _, s := range r.of(op, size) {
			for _, c := range d.curves {
				if v := c.value(s); v > 0 {
					low, high = min(low, v), max(high, v)
				}
			}
		}
	}
	fmt.Fprintf(out, `<g transform="translate(%.1f %.1f)"><text class="title" x="0" y="-8">%s</text>`, x, y, title)
	defer out.WriteString("</g>")
	if high == 0 {
		return
	}
	across := plot.Log(float64(concurrencies[0]), float64(concurrencies[len(concurrencies)-1]), 0, panelWidth)
	up := plot.Log(low, high, panelHeight, 0).Round()
	axes(out, concurrencies, across, up, d.tick)
	var names labels
	for i, size := range r.sizes(op) {
		steps := r.of(op, size)
		fmt.Fprintf(out, `<g class="c%d">`, i%plot.Colours)
		for _, c := range d.curves {
			c.draw(out, steps, across, up, i)
		}
		if d.knee {
			ring(out, steps, across, up)
		}
		if len(steps) > 0 {
			end := steps[len(steps)-1]
			names = append(names, label{FormatBytes(size), across.At(float64(end.Concurrency)), up.At(d.curves[0].value(end)), i % plot.Colours})
		}
		out.WriteString("</g>")
	}
	names.draw(out)
}

// axes draws a panel's grid with its numbers.
func axes(out *strings.Builder, concurrencies []int, across, up plot.Scale, tick func(v float64) string) {
	for _, v := range up.Ticks() {
		fmt.Fprintf(out, `<line class="grid" x1="0" x2="%.1f" y1="%.1f" y2="%.1f"/><text x="-8" y="%.1f" text-anchor="end">%s</text>`, panelWidth, up.At(v), up.At(v), up.At(v)+4, tick(v))
	}
	last := -100.0
	for _, c := range concurrencies {
		at := across.At(float64(c))
		if at-last < 26 {
			continue // no room for another number
		}
		last = at
		fmt.Fprintf(out, `<line class="grid" y1="0" y2="%.1f" x1="%.1f" x2="%.1f"/><text x="%.1f" y="%.1f" text-anchor="middle">%d</text>`, panelHeight, at, at, at, panelHeight+17, c)
	}
	fmt.Fprintf(out, `<line class="axis" x1="0" x2="%.1f" y1="%.1f" y2="%.1f"/><text x="%.1f" y="%.1f" text-anchor="middle">operations in flight</text>`, panelWidth, panelHeight, panelHeight, panelWidth/2, panelHeight+34)
}

func (c curve) draw(out *strings.Builder, steps []Step, across, up plot.Scale, number int) {
	var points, marks strings.Builder
	for _, s := range steps {
		v := c.value(s)
		if v <= 0 {
			continue
		}
		px, py := across.At(float64(s.Concurrency)), up.At(v)
		fmt.Fprintf(&points, "%.1f,%.1f ", px, py)
		if c.named {
			marks.WriteString(marker(number, px, py, fmt.Sprintf("%s, %d in flight: %s documents/s, p50 %s, p99 %s", FormatBytes(s.SizeBytes), s.Concurrency, rate(s.PerSecond), latency(s.P50), latency(s.P99))))
		}
	}
	fmt.Fprintf(out, `<polyline class="%s" points="%s"/>%s`, c.class, strings.TrimSpace(points.String()), marks.String())
}

// marker is a shape that tells one size from the others; a pointer on it shows
// the text.
func marker(number int, x, y float64, text string) string {
	shape := fmt.Sprintf(`<circle class="mark" cx="%.1f" cy="%.1f" r="3.5">`, x, y)
	end := "</circle>"
	switch number % 4 {
	case 1:
		shape, end = fmt.Sprintf(`<rect class="mark" x="%.1f" y="%.1f" width="7" height="7">`, x-3.5, y-3.5), "</rect>"
	case 2:
		shape, end = fmt.Sprintf(`<path class="mark" d="M%.1f %.1fl4.5 8h-9z">`, x, y-5), "</path>"
	case 3:
		shape, end = fmt.Sprintf(`<path class="mark" d="M%.1f %.1fl5 5l-5 5l-5-5z">`, x, y-5), "</path>"
	}
	return shape + "<title>" + html.EscapeString(text) + "</title>" + end
}

// ring marks the knee.
func ring(out *strings.Builder, steps []Step, across, up plot.Scale) {
	knee := Knee(steps)
	for _, s := range steps {
		if s.Concurrency == knee && s.PerSecond > 0 {
			fmt.Fprintf(out, `<circle class="knee" cx="%.1f" cy="%.1f" r="9"/>`, across.At(float64(knee)), up.At(s.PerSecond))
		}
	}
}

func shortNumber(v float64) string {
	switch {
	case v >= 1e6:
		return fmt.Sprintf("%gM", v/1e6)
	case v >= 1e3:
		return fmt.Sprintf("%gk", v/1e3)
	default:
		return fmt.Sprintf("%.3g", v)
	}
}

// latencyTick writes microseconds.
func latencyTick(v float64) string {
	switch {
	case v >= 1e6:
		return fmt.Sprintf("%g s", v/1e6)
	case v >= 1e3:
		return fmt.Sprintf("%g ms", v/1e3)
	default:
		return fmt.Sprintf("%.3g us", v)
	}
}

// HTML writes the plot with the table below it, as a page of its own.
func (r *Result) HTML(w io.Writer) error {
	var drawing, table strings.Builder
	if err := r.SVG(&drawing); err != nil {
		return err
	}
	if err := r.Table(&table); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, `<!doctype html><html lang="en"><meta charset="utf-8"><title>%s</title><meta name="color-scheme" content="light dark">`+
		`<style>body{margin:1.5rem;background:Canvas;color:CanvasText}svg{max-width:100%%;height:auto}pre{font:13px ui-monospace,monospace;overflow-x:auto}</style>%s<pre>%s</pre></html>`+"\n",
		html.EscapeString("kedge bench: "+r.Place), drawing.String(), html.EscapeString(table.String()))
	return err
}
