package bench

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// Table writes the steps and what they say about --workers.
func (r *Result) Table(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "operation\tsize\tin flight\tdocuments/s\tMB/s\tp50\tp95\tp99\tmax\terrors\tCPU/document\t")
	for _, s := range r.Steps {
		fmt.Fprintln(t, s.row())
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := io.WriteString(w, r.advice())
	return err
}

func (s Step) row() string {
	begin := fmt.Sprintf("%s\t%s\t%d\t", s.Operation, FormatBytes(s.SizeBytes), s.Concurrency)
	if s.LeftOut != "" {
		return begin + "left out: " + s.LeftOut + "\t"
	}
	cells := []string{rate(s.PerSecond), "-", "-", "-", "-", "-", fmt.Sprint(s.Errors), "-"}
	if s.BytesPerSecond > 0 {
		cells[1] = fmt.Sprintf("%.1f", s.BytesPerSecond/1e6)
	}
	if s.Max > 0 {
		cells[2], cells[3], cells[4], cells[5] = latency(s.P50), latency(s.P95), latency(s.P99), latency(s.Max)
	}
	if s.CPU >= 0 {
		cells[7] = latency(s.CPU)
	}
	return begin + strings.Join(cells, "\t") + "\t"
}

// latency writes microseconds with the unit that suits them.
func latency(us float64) string {
	switch {
	case us < 1000:
		return fmt.Sprintf("%.0f us", us)
	case us < 10_000:
		return fmt.Sprintf("%.2f ms", us/1000)
	case us < 1e6:
		return fmt.Sprintf("%.0f ms", us/1000)
	default:
		return fmt.Sprintf("%.2f s", us/1e6)
	}
}

func rate(x float64) string {
	if x < 100 {
		return fmt.Sprintf("%.3g", x)
	}
	return fmt.Sprintf("%.0f", x)
}

// advice tells the knees, errors and what to give as --workers.
func (r *Result) advice() string {
	var out strings.Builder
	out.WriteString("\n")
	for _, op := range []Operation{Put, Stat, Get, Delete} {
		for _, size := range r.sizes(op) {
			if knee := Knee(r.of(op, size)); knee > 0 {
				fmt.Fprintf(&out, "%s of %s: within 5%% of the best rate from %d in flight\n", op, FormatBytes(size), knee)
			}
		}
	}
	if n := r.Recommended(Put); n > 0 {
		fmt.Fprintf(&out, "As a migration's destination: --workers %d\n", n)
	}
	if n := r.Recommended(Get); n > 0 {
		fmt.Fprintf(&out, "As a migration's source: --workers %d\n", n)
	}
	for _, s := range r.Steps {
		if s.FirstError != "" {
			fmt.Fprintf(&out, "%d errors in %s of %s with %d in flight, the first: %s\n", s.Errors, s.Operation, FormatBytes(s.SizeBytes), s.Concurrency, s.FirstError)
		}
	}
	return out.String()
}
