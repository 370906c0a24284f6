package bench

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
)

// plotted has steps of every kind: two sizes, errors, one left out, a single
// concurrency, and a place that is no XML.
func plotted() *Result {
	r := &Result{Driver: "s3", Place: `s3://a&b<c>/ "here"`, User: "kedge-bench-1"}
	for _, op := range []Operation{Put, Get} {
		for _, size := range []int64{1 << 10, 1 << 20} {
			for i, concurrency := range []int{1, 4, 16} {
				r.Steps = append(r.Steps, Step{Operation: op, SizeBytes: size, Concurrency: concurrency, Documents: 10, PerSecond: 100 * float64(i+1), BytesPerSecond: 1e6, P50: 900, P95: 15000, P99: 2e6, Max: 3e6, CPU: 12})
			}
		}
	}
	r.Steps = append(r.Steps, Step{Operation: Delete, SizeBytes: 1 << 10, Concurrency: 4, Errors: 3, FirstError: "delete x: <no>", CPU: -1},
		Step{Operation: List, SizeBytes: 1 << 10, Concurrency: 1, Documents: 5, PerSecond: 5},
		Step{Operation: Put, SizeBytes: 1 << 30, Concurrency: 64, LeftOut: "would hold 64 GiB in memory"})
	return r
}

func TestSVG(t *testing.T) {
	for name, r := range map[string]*Result{"full": plotted(), "empty": {}} {
		var out strings.Builder
		if err := r.SVG(&out); err != nil {
			t.Fatal(err)
		}
		for decoder := xml.NewDecoder(strings.NewReader(out.String())); ; {
			if _, err := decoder.Token(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		for _, never := range []string{"NaN", "Inf", "href", "url(", "<script", "@import"} {
			if strings.Contains(out.String(), never) {
				t.Errorf("%s: the plot has %s", name, never)
			}
		}
		if name == "full" && strings.Count(out.String(), `class="knee"`) != 4 {
			t.Errorf("%d knees are marked, want 4", strings.Count(out.String(), `class="knee"`))
		}
	}
}

func TestHTMLAndTable(t *testing.T) {
	var page strings.Builder
	if err := plotted().HTML(&page); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"</svg>", "within 5% of the best rate from 16 in flight", "left out: would hold 64 GiB in memory", "--workers 16", "&lt;no&gt;", "2.00 s"} {
		if !strings.Contains(page.String(), want) {
			t.Errorf("the page lacks %q", want)
		}
	}
}
