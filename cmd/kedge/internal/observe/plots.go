package observe

import (
	"cmp"
	"html/template"
	"slices"

	"github.com/kedge/kedge/internal/plot"
)

// course draws what a run did over time, in the order in which it is looked at.
func course(p Progress, s Series) []template.HTML {
	over := p.State.Ended()
	documents := plot.Lines{Title: title(p.Unit) + " a second", Over: over, Seconds: s.Seconds, Format: rate, Short: shortCount,
		Lines: []plot.Line{{Values: s.DocumentsPerSecond}}}
	bytes := plot.Lines{Title: "Bytes a second at each store", Over: over, Seconds: s.Seconds, Format: byteRate, Short: shortBytes, Bytes: true,
		Lines: []plot.Line{{Name: "source", Values: s.Source.BytesPerSecond}, {Name: "destination", Values: s.Destination.BytesPerSecond}}}
	inFlight := plot.Lines{Title: "Operations in flight", Over: over, Seconds: s.Seconds, Format: whole, Short: shortCount,
		Lines: []plot.Line{{Name: "source", Values: s.Source.InFlight}, {Name: "destination", Values: s.Destination.InFlight}}}
	latency := plot.Lines{Title: "Time an operation takes", Over: over, Seconds: s.Seconds, Format: seconds, Short: seconds,
		Lines: []plot.Line{{Name: "source", Values: s.Source.Latency}, {Name: "destination", Values: s.Destination.Latency}}}
	busy := plot.Shares{Title: "Busy share of each stage", Over: over, Seconds: s.Seconds}
	for _, stage := range s.Busy {
		busy.Lines = append(busy.Lines, plot.Line{Name: stage.Name, Values: stage.Share})
	}
	if len(s.Busy) == 0 { // a registry's migration has no stages
		return trusted(documents.SVG(), bytes.SVG(), latency.SVG())
	}
	return trusted(documents.SVG(), bytes.SVG(), busy.SVG(), inFlight.SVG(), latency.SVG())
}

// distributions draws what a run met.
func distributions(p Progress) []template.HTML {
	sizes := plot.Histogram{Title: title(p.Unit) + " by size", Bounds: p.Sizes.Bounds, Bound: shortBytes, Count: whole,
		Series: []plot.Line{{Values: counts(p.Sizes)}}}
	latencies := plot.Histogram{Title: "Operations by time taken", Bound: seconds, Count: whole}
	for _, s := range p.sides() {
		latencies.Bounds = s.Latency.Bounds
		latencies.Series = append(latencies.Series, plot.Line{Name: s.name, Values: counts(s.Latency)})
	}
	drawn := []string{sizes.SVG(), latencies.SVG(), compression(p.Buckets).SVG()}
	if len(p.Stages) == 0 {
		drawn = drawn[1:2] // a registry's migration has no buckets, and counts no sizes
	}
	failures := plot.Bars{Title: "Failures by reason", Format: whole}
	for _, f := range p.Failures {
		failures.Groups = append(failures.Groups, plot.Group{Name: f.Class, Values: []float64{float64(f.Count)}})
	}
	return trusted(append(drawn, failures.SVG())...)
}

// whole writes a whole number.
func whole(v float64) string { return groupDigits(int64(v)) }

func counts(h Histogram) []float64 {
	values := make([]float64, len(h.Counts))
	for i, n := range h.Counts {
		values[i] = float64(n)
	}
	return values
}

// compression compares what was read with what was written, the largest bucket
// first.
func compression(buckets []Bucket) plot.Bars {
	bars := plot.Bars{Title: "Bytes by bucket", Series: []string{"read", "written"}, Format: func(v float64) string { return ByteCount(int64(v)) }}
	sorted := slices.SortedFunc(slices.Values(buckets), func(a, b Bucket) int { return cmp.Compare(b.BytesRead, a.BytesRead) })
	for _, b := range sorted {
		bars.Groups = append(bars.Groups, plot.Group{Name: b.Name, Note: b.Ratio(), Values: []float64{float64(b.BytesRead), float64(b.BytesWritten)}})
	}
	return bars
}

// Ratio says what became of the bucket's size.
func (b Bucket) Ratio() string {
	switch {
	case b.BytesRead == 0 || b.BytesWritten == 0:
		return ""
	case b.BytesRead == b.BytesWritten:
		return "same size"
	default:
		return percent(float64(b.BytesWritten)/float64(b.BytesRead)) + " of the size"
	}
}

// trusted marks what package plot has drawn: it escapes all text.
func trusted(drawn ...string) []template.HTML {
	list := make([]template.HTML, len(drawn))
	for i, svg := range drawn {
		list[i] = template.HTML(svg)
	}
	return list
}

// title begins a word with a capital.
func title(word string) string {
	if word == "" {
		return ""
	}
	return string(word[0]-'a'+'A') + word[1:]
}
