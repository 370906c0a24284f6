package compare

import (
	"cmp"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"
)

// Report is what was found out.
type Report struct {
	Options Options
	Began   time.Time
	// Load is the system's load average before the run: what else was going on.
	Load      string
	Scenarios []*Result
}

// Result is that of one scenario.
type Result struct {
	Name      string
	Documents int
	// Bytes is the length of all documents together.
	Bytes int64
	// Contestants are in the order of the table.
	Contestants []*Series
}

// Series is what one contestant took, round by round.
type Series struct {
	Name         string
	contestant   contestant
	measurements []measurement
}

func newReport(o Options) *Report {
	load := "unknown"
	if text, err := os.ReadFile("/proc/loadavg"); err == nil {
		load = strings.Join(strings.Fields(string(text))[:3], ", ")
	}
	return &Report{Options: o, Began: time.Now(), Load: load}
}

// save writes the report to the wanted file, if one is wanted.
func (r *Report) save() error {
	if r.Options.Out == "" {
		return nil
	}
	return os.WriteFile(r.Options.Out, []byte(r.Markdown()), 0o644)
}

func (r *Result) add(c contestant, m measurement) {
	for _, s := range r.Contestants {
		if s.Name == c.name {
			s.measurements = append(s.measurements, m)
			return
		}
	}
	r.Contestants = append(r.Contestants, &Series{Name: c.name, contestant: c, measurements: []measurement{m}})
}

// sort puts the contestants into the order of their kinds, and those of one
// kind into that of their names.
func (r *Result) sort() {
	slices.SortStableFunc(r.Contestants, func(a, b *Series) int {
		return cmp.Or(cmp.Compare(a.contestant.kind, b.contestant.kind), cmp.Compare(a.contestant.clients, b.contestant.clients),
			cmp.Compare(a.Name, b.Name))
	})
}

// spread is the least, the middle and the greatest of some values.
type spread struct{ least, median, greatest float64 }

func (s *Series) spread(value func(m measurement) float64) spread {
	values := make([]float64, 0, len(s.measurements))
	for _, m := range s.measurements {
		values = append(values, value(m))
	}
	slices.Sort(values)
	n := len(values)
	return spread{values[0], (values[(n-1)/2] + values[n/2]) / 2, values[n-1]}
}

// noise is how far least and greatest lie apart, in percent of the median.
func (s spread) noise() float64 { return 100 * (s.greatest - s.least) / s.median }

// Markdown is the report as a table.
func (r *Report) Markdown() string {
	var out strings.Builder
	fmt.Fprintf(&out, "Measured on %s, kedge %s, with `make bench%s`. %s\n\n", r.Began.UTC().Format("2006-01-02"), r.Options.Version, r.arguments(), machine())
	if len(r.Options.Kedge) > 1 {
		for i, command := range r.Options.Kedge {
			fmt.Fprintf(&out, "kedge %c is `%s`.\n", 'A'+i, strings.Join(command, " "))
		}
		out.WriteString("\n")
	}
	fmt.Fprintf(&out, "Medians of %d interleaved rounds, with the least and the greatest. PostgreSQL with fsync %s.\n\n",
		r.Options.Rounds, map[bool]string{true: "on", false: "off"}[r.Options.Durable])
	out.WriteString("| scenario | client | documents/s (min–max) | MB/s | client CPU, us/document | peak memory, MiB | kedge is |\n|---|---|---:|---:|---:|---:|---:|\n")
	worst := 0.0
	for _, s := range r.Scenarios {
		worst = max(worst, s.rows(&out))
	}
	fmt.Fprintf(&out, "\nThe machine's noise: within one client's rounds the rates lay up to %.0f%% of the median apart. Load average before the run: %s.\n", worst, r.Load)
	return out.String()
}

// rows writes the rows of a scenario and gives the greatest noise among them.
func (r *Result) rows(out *strings.Builder) (worst float64) {
	rate := func(m measurement) float64 { return float64(r.Documents) / m.wall.Seconds() }
	cpu := func(m measurement) float64 { return m.cpu.Seconds() * 1e6 / float64(r.Documents) }
	peak := func(m measurement) float64 { return float64(m.peak) / (1 << 20) }
	var first float64
	for i, s := range r.Contestants {
		rates := s.spread(rate)
		worst = max(worst, rates.noise())
		name, ratio := "", "-"
		if i == 0 {
			first = rates.median
			name = fmt.Sprintf("%s: %d documents, %s", r.Name, r.Documents, megabytes(r.Bytes))
		} else {
			ratio = fmt.Sprintf("%.2fx", first/rates.median)
		}
		fmt.Fprintf(out, "| %s | %s | %s (%s–%s) | %.1f | %.0f | %.0f | %s |\n", name, s.Name,
			number(rates.median), number(rates.least), number(rates.greatest),
			rates.median*float64(r.Bytes)/float64(r.Documents)/1e6, s.spread(cpu).median, s.spread(peak).greatest, ratio)
	}
	return worst
}

// number is a rate with three digits that count.
func number(x float64) string {
	if x < 100 {
		return fmt.Sprintf("%.3g", x)
	}
	return fmt.Sprintf("%.0f", x)
}

func megabytes(n int64) string { return fmt.Sprintf("%.1f MB", float64(n)/1e6) }

// arguments are those of make that were given.
func (r *Report) arguments() string {
	var words strings.Builder
	for _, name := range []string{"COUNT", "ROUNDS", "ONLY", "CLIENTS", "FSYNC"} {
		if value := os.Getenv(name); value != "" {
			fmt.Fprintf(&words, " %s=%s", name, value)
		}
	}
	return words.String()
}

// machine tells of the machine, on which the servers ran too.
func machine() string {
	text := fmt.Sprintf("Clients and servers on one machine: %d CPUs", runtime.NumCPU())
	if model := field("/proc/cpuinfo", "model name"); model != "" {
		text += " (" + model + ")"
	}
	if memory := field("/proc/meminfo", "MemTotal"); memory != "" {
		text += ", memory " + memory
	}
	return text + fmt.Sprintf(", %s, %s.", runtime.GOOS, runtime.Version())
}

// field finds a line "name: value" in a file of /proc.
func field(path, name string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(text)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
