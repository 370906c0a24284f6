package plot

import (
	"fmt"
	"html"
	"math"
	"strings"
	"time"
)

// Line is a value over time.
type Line struct {
	Name string
	// Values belong to the times of the plot; NaN where there is none.
	Values []float64
}

// last is the newest value, NaN if there is none.
func (l Line) last() float64 {
	if len(l.Values) == 0 {
		return math.NaN()
	}
	return l.Values[len(l.Values)-1]
}

// mean is the mean value, NaN if there is none.
func (l Line) mean() float64 {
	sum, n := 0.0, 0.0
	for _, v := range l.Values {
		if !math.IsNaN(v) {
			sum, n = sum+v, n+1
		}
	}
	return sum / n
}

// most is the highest value; 0 if there is none.
func (l Line) most() float64 {
	most := 0.0
	for _, v := range l.Values {
		if v > most { // never for NaN
			most = v
		}
	}
	return most
}

// Lines draws values over time on one scale that begins at 0.
type Lines struct {
	Title string
	// Seconds are the times, ascending from 0 or later.
	Seconds []float64
	Lines   []Line
	// Format writes a value for people; Short writes it for the axis, where
	// there is no room for more than seven letters.
	Format, Short func(v float64) string
	// Bytes says that the values are bytes.
	Bytes bool
	// Over says that the newest values are of no interest any more: the key has
	// the highest ones in their place.
	Over bool
}

const linesHeight = 190.0

// SVG draws.
func (l Lines) SVG() string {
	most, seen := 0.0, false
	for _, line := range l.Lines {
		most = max(most, line.most())
		for _, v := range line.Values {
			seen = seen || !math.IsNaN(v)
		}
	}
	if !seen || len(l.Seconds) < 2 {
		return empty(linesHeight, l.Title)
	}
	entries, words := l.told()
	var out strings.Builder
	if l.Over {
		l.Title += " (highest)"
	}
	open(&out, linesHeight, l.Title, strings.Join(words, "; "))
	key(&out, entries, func(i int, x, y float64) string {
		return fmt.Sprintf(`<path class="%s" d="M%.1f %.1fh18"/>`, lineClass(i), x, y)
	})
	across := Scale{high: l.Seconds[len(l.Seconds)-1], from: left, to: Width - right, linear: true}
	up := Linear(most, linesHeight-bottom, top)
	if l.Bytes {
		up = LinearBytes(most, linesHeight-bottom, top)
	}
	grid(&out, up, l.Short)
	timeAxis(&out, across, linesHeight-bottom)
	for i, line := range l.Lines {
		fmt.Fprintf(&out, `<g class="c%d"><path class="%s" d="%s"/></g>`, i%Colours, lineClass(i), outline(l.Seconds, line.Values, across, up))
	}
	out.WriteString("</svg>")
	return out.String()
}

// told gives, for each line, its entry in the key and what is read out of it.
func (l Lines) told() (entries, words []string) {
	for _, line := range l.Lines {
		now, highest := line.Name, strings.TrimSpace(line.Name+" "+l.Format(line.most()))
		if v := line.last(); !math.IsNaN(v) {
			now = strings.TrimSpace(now + " " + l.Format(v))
		}
		words = append(words, now+", highest "+l.Format(line.most()))
		if l.Over {
			now = highest
		}
		entries = append(entries, now)
	}
	return entries, words
}

// grid draws the lines of a plot's scale, with their values at the left.
func grid(out *strings.Builder, up Scale, label func(v float64) string) {
	for _, v := range up.Ticks() {
		fmt.Fprintf(out, `<path class="grid" d="M%.1f %.1fH%.1f"/><text x="%.1f" y="%.1f" text-anchor="end">%s</text>`,
			left, up.At(v), Width-right, left-6, up.At(v)+4, html.EscapeString(label(v)))
	}
}

// lineClass tells the first line from others without their colours.
func lineClass(i int) string {
	if i%2 == 1 {
		return "line dashed"
	}
	return "line"
}

// outline is the path of a line, interrupted where there is no value.
func outline(seconds, values []float64, across, up Scale) string {
	var path strings.Builder
	command := byte('M')
	for i, v := range values {
		if i >= len(seconds) || math.IsNaN(v) {
			command = 'M'
			continue
		}
		fmt.Fprintf(&path, "%c%.1f %.1f", command, across.At(seconds[i]), up.At(v))
		command = 'L'
	}
	return path.String()
}

// timeAxis draws the axis of time at height y.
func timeAxis(out *strings.Builder, across Scale, y float64) {
	fmt.Fprintf(out, `<path class="axis" d="M%.1f %.1fH%.1f"/>`, left, y, Width-right)
	every := timeStep(across.high)
	for at := time.Duration(0); at.Seconds() <= across.high; at += every {
		x := across.At(at.Seconds())
		anchor := "middle"
		if x > Width-right-14 {
			anchor = "end"
		}
		fmt.Fprintf(out, `<path class="axis" d="M%.1f %.1fv4"/><text x="%.1f" y="%.1f" text-anchor="%s">%s</text>`, x, y, x, y+17, anchor, timeLabel(at))
	}
}

// timeStep is the distance of the marks on an axis of so many seconds: at most
// five of them.
func timeStep(seconds float64) time.Duration {
	const day = 24 * time.Hour
	steps := []time.Duration{time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second, 15 * time.Second, 30 * time.Second,
		time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 15 * time.Minute, 30 * time.Minute,
		time.Hour, 2 * time.Hour, 3 * time.Hour, 6 * time.Hour, 12 * time.Hour, day, 2 * day, 7 * day}
	for _, s := range steps {
		if seconds <= 5*s.Seconds() {
			return s
		}
	}
	return time.Duration(math.Ceil(seconds/5/(30*day.Seconds()))) * 30 * day
}

func timeLabel(at time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case at == 0:
		return "0"
	case at%day == 0:
		return fmt.Sprintf("%d d", at/day)
	case at%time.Hour == 0:
		return fmt.Sprintf("%d h", at/time.Hour)
	case at%time.Minute == 0:
		return fmt.Sprintf("%d min", at/time.Minute)
	default:
		return fmt.Sprintf("%d s", at/time.Second)
	}
}

// Shares draws values from 0 to 1 over time, each in a strip of its own.
type Shares struct {
	Title   string
	Seconds []float64
	Lines   []Line
	// Over has mean values told in place of the newest ones.
	Over bool
}

// told is the value that stands beside a strip.
func (s Shares) told(l Line) string {
	if s.Over {
		return percent(l.mean())
	}
	return percent(l.last())
}

const (
	stripHeight = 16.0
	stripPitch  = 19.0
	stripLeft   = 84.0
	stripRight  = 44.0
)

// SVG draws.
func (s Shares) SVG() string {
	height := 26 + stripPitch*float64(len(s.Lines)) + bottom
	if len(s.Seconds) < 2 || len(s.Lines) == 0 {
		return empty(max(height, linesHeight), s.Title)
	}
	var words []string
	for _, line := range s.Lines {
		words = append(words, line.Name+" "+s.told(line))
	}
	var out strings.Builder
	if s.Over {
		s.Title += " (mean)"
	}
	open(&out, height, s.Title, strings.Join(words, "; "))
	across := Scale{high: s.Seconds[len(s.Seconds)-1], from: stripLeft, to: Width - stripRight, linear: true}
	for i, line := range s.Lines {
		y := 26 + stripPitch*float64(i)
		up := Scale{high: 1, from: y + stripHeight, to: y, linear: true}
		fmt.Fprintf(&out, `<text x="%.1f" y="%.1f" text-anchor="end">%s</text><rect class="track" x="%.1f" y="%.1f" width="%.1f" height="%.1f"/>`,
			stripLeft-6, y+12, html.EscapeString(line.Name), stripLeft, y, Width-stripLeft-stripRight, stripHeight)
		fmt.Fprintf(&out, `<g class="c%d"><path class="area" d="%s"/></g><text x="%.1f" y="%.1f" text-anchor="end">%s</text>`,
			i%Colours, area(s.Seconds, line.Values, across, up), Width-4, y+12, s.told(line))
	}
	y := 26 + stripPitch*float64(len(s.Lines))
	fmt.Fprintf(&out, `<text x="%.1f" y="%.1f">0</text><text x="%.1f" y="%.1f" text-anchor="end">%s</text></svg>`,
		stripLeft, y+13, Width-stripRight, y+13, time.Duration(across.high*float64(time.Second)).Round(time.Second))
	return out.String()
}

// area is the path of the surface below a line.
func area(seconds, values []float64, across, up Scale) string {
	var path strings.Builder
	open, last := false, 0.0
	end := func() {
		if open {
			fmt.Fprintf(&path, "L%.1f %.1fZ", last, up.At(0))
		}
		open = false
	}
	for i, v := range values {
		if i >= len(seconds) || math.IsNaN(v) {
			end()
			continue
		}
		if last = across.At(seconds[i]); !open {
			fmt.Fprintf(&path, "M%.1f %.1f", last, up.At(0))
			open = true
		}
		fmt.Fprintf(&path, "L%.1f %.1f", last, up.At(min(v, 1)))
	}
	end()
	return path.String()
}

func percent(v float64) string {
	if math.IsNaN(v) {
		return ""
	}
	return fmt.Sprintf("%.0f%%", 100*v)
}
