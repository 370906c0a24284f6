package bench

import (
	"strings"
	"testing"
)

func TestParseBytes(t *testing.T) {
	for text, want := range map[string]int64{
		"1": 1, "700": 700, "12B": 12, "1KB": 1 << 10, "1kb": 1 << 10, "4K": 4 << 10, "64MiB": 64 << 20, "1.5 MB": 3 << 19, "2G": 2 << 30, " 3KiB ": 3 << 10, "1e3": 1000,
		"": -1, "KB": -1, "-1": -1, "0": -1, "0.5": -1, "1TB": -1, "ten": -1, "1KBKB": -1, "NaN": -1, "inf": -1, "2000GB": -1, "1 2": -1,
	} {
		got, err := ParseBytes(text)
		if want < 0 {
			if err == nil {
				t.Errorf("%q is read as %d", text, got)
			}
			continue
		}
		if err != nil || got != want {
			t.Errorf("%q: %d, %v; want %d", text, got, err, want)
		}
	}
}

func FuzzParseBytes(f *testing.F) {
	for _, text := range []string{"1KB", "1.5MiB", "-1", "1e400G", "0x10K"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		n, err := ParseBytes(text)
		if err != nil {
			return
		}
		if n < 1 || n > maxParsedBytes {
			t.Errorf("%q is %d", text, n)
		}
		// What is written is read as the same, as far as it has digits for it.
		again, err := ParseBytes(FormatBytes(n))
		if err != nil || float64(again) < 0.94*float64(n) || float64(again) > 1.06*float64(n) {
			t.Errorf("%d is written %s, which is read as %d, %v", n, FormatBytes(n), again, err)
		}
	})
}

func TestFormatBytes(t *testing.T) {
	for n, want := range map[int64]string{1: "1 B", 1023: "1023 B", 1024: "1 KiB", 1536: "1.5 KiB", 64 << 20: "64 MiB", 5 << 30: "5 GiB"} {
		if got := FormatBytes(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
}

func TestValidate(t *testing.T) {
	good := func() Plan {
		return Plan{Sizes: []int64{1024}, Concurrency: []int{1}, Operations: Operations(), Count: 1, MaxBytes: 1 << 20, BatchDocuments: 1}
	}
	p := good()
	if err := p.Validate(); err != nil {
		t.Fatal(err)
	}
	for want, spoil := range map[string]func(p *Plan){
		"sizes":           func(p *Plan) { p.Sizes = nil },
		"at least 1 byte": func(p *Plan) { p.Sizes = []int64{5, 0} },
		"longer":          func(p *Plan) { p.Sizes = []int64{2 << 20} },
		"concurrency":     func(p *Plan) { p.Concurrency = []int{0} },
		"1024":            func(p *Plan) { p.Concurrency = []int{2000} },
		"duration":        func(p *Plan) { p.Count = 0 },
		"noise":           func(p *Plan) { p.Noise = 2 },
		"batch":           func(p *Plan) { p.BatchDocuments = 0 },
		`"move"`:          func(p *Plan) { p.Operations = []Operation{"move"} },
		"operations":      func(p *Plan) { p.Operations = nil },
	} {
		p := good()
		spoil(&p)
		if err := p.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want an error about %s, got %v", want, err)
		}
	}
}
