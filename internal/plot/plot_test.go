package plot

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"testing"
)

func TestPlots(t *testing.T) {
	plain := func(v float64) string { return fmt.Sprintf("%.3g", v) }
	seconds := []float64{0, 1, 2, 3, 3600}
	for name, test := range map[string]struct {
		svg   string
		paths int // at least so many that hold a point
		words []string
	}{
		"lines": {Lines{Title: "a & b", Seconds: seconds, Format: plain, Short: plain,
			Lines: []Line{{"<read>", []float64{1, 2, math.NaN(), 4, 5}}, {"written", []float64{0, 0, 0, 0, 7}}}}.SVG(), 6, []string{"a &amp; b", "&lt;read&gt; 5", "written 7, highest 7", "15 min"}},
		"lines that are over":   {Lines{Title: "x", Seconds: seconds, Format: plain, Short: plain, Over: true, Lines: []Line{{"y", []float64{3, 9, 0, 0, 0}}}}.SVG(), 2, []string{">y 9<", "x (highest)"}},
		"shares that are over":  {Shares{Title: "busy", Seconds: seconds, Over: true, Lines: []Line{{"put", []float64{1, 1, 1, 1, 0}}}}.SVG(), 1, []string{"put 80%"}},
		"lines without a value": {Lines{Title: "x", Seconds: seconds, Format: plain, Short: plain, Lines: []Line{{"y", []float64{math.NaN()}}}}.SVG(), 0, []string{"nothing to show"}},
		"lines at zero":         {Lines{Title: "x", Seconds: seconds, Format: plain, Short: plain, Lines: []Line{{"y", []float64{0, 0, 0, 0, 0}}}}.SVG(), 2, []string{"y 0, highest 0"}},
		"shares":                {Shares{Title: "busy", Seconds: seconds, Lines: []Line{{"put", []float64{0, 0.5, math.NaN(), 1.2, 1}}, {"get", []float64{math.NaN(), 0, 0, 0, 0.25}}}}.SVG(), 2, []string{"put 100%; get 25%", "1h0m0s"}},
		"no shares":             {Shares{Title: "busy"}.SVG(), 0, []string{"nothing to show"}},
		"bars":                  {Bars{Title: "failures", Groups: []Group{{Name: "put-failed", Values: []float64{3}}, {Name: strings.Repeat("long", 20), Values: []float64{0}}}, Format: plain}.SVG(), 2, []string{"put-failed 3", "…"}},
		"bars in pairs":         {Bars{Title: "bytes", Series: []string{"read", "written"}, Groups: make([]Group, 0), Format: plain}.SVG(), 0, []string{"nothing to show"}},
		"more bars than fit":    {Bars{Title: "bytes", Groups: slices.Repeat([]Group{{Name: "b", Note: "half", Values: []float64{2}}}, 20), Format: plain}.SVG(), 12, []string{"… and 8 more", "b: half"}},
		"histogram":             {Histogram{Title: "sizes", Bounds: []float64{1, 10, 100}, Series: []Line{{"source", []float64{0, 3, 0, 4}}, {"", []float64{0, 1}}}, Bound: plain, Count: plain}.SVG(), 4, []string{"source 1 to 10 3", "source over 100 4"}},
		"histogram of nothing":  {Histogram{Title: "sizes", Bounds: []float64{1}, Series: []Line{{"", []float64{0, 0}}}, Bound: plain, Count: plain}.SVG(), 0, []string{"nothing to show"}},
	} {
		for decoder := xml.NewDecoder(strings.NewReader(test.svg)); ; {
			if _, err := decoder.Token(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("%s: %v\n%s", name, err, test.svg)
			}
		}
		for _, never := range []string{"NaN", "Inf", "href", "url(", "<script", "@import", "style="} {
			if strings.Contains(test.svg, never) {
				t.Errorf("%s: has %s\n%s", name, never, test.svg)
			}
		}
		if got := strings.Count(test.svg, ` d="M`); got < test.paths {
			t.Errorf("%s: %d paths, want %d", name, got, test.paths)
		}
		for _, want := range test.words {
			if !strings.Contains(test.svg, want) {
				t.Errorf("%s: lacks %q\n%s", name, want, test.svg)
			}
		}
	}
}

func TestScales(t *testing.T) {
	for _, test := range []struct {
		high float64
		want []float64
	}{
		{0, []float64{0, 0.2, 0.4, 0.6, 0.8, 1}},
		{7, []float64{0, 2, 4, 6, 8}},
		{1, []float64{0, 0.2, 0.4, 0.6, 0.8, 1}},
		{230, []float64{0, 50, 100, 150, 200, 250}},
		{4100, []float64{0, 1000, 2000, 3000, 4000, 5000}},
	} {
		got := Linear(test.high, 0, 100).Ticks()
		if !slices.EqualFunc(got, test.want, func(a, b float64) bool { return math.Abs(a-b) < 1e-9 }) {
			t.Errorf("up to %g: %v, want %v", test.high, got, test.want)
		}
	}
	if got := LinearBytes(3.2*(1<<20), 0, 100).Ticks(); !slices.Equal(got, []float64{0, 1 << 20, 2 << 20, 3 << 20, 4 << 20}) {
		t.Errorf("up to 3.2 MiB: %v", got)
	}
	if got := Log(3, 800, 0, 100).Round(); got.At(2) != 0 || math.Abs(got.At(1000)-100) > 1e-9 {
		t.Errorf("3 to 800 is rounded to %+v", got)
	}
}

func TestTimeAxis(t *testing.T) {
	for seconds, want := range map[float64]string{3: "1 s", 42: "10 s", 700: "5 min", 3 * 3600: "1 h", 86400 * 4: "1 d", 86400 * 300: "60 d"} {
		if got := timeLabel(timeStep(seconds)); got != want {
			t.Errorf("%g seconds: a mark each %s, want %s", seconds, got, want)
		}
	}
}
