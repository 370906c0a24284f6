package compare

import (
	"fmt"
	"syscall"
	"testing"
	"time"
)

// Run compares, and fails the test where a contestant does not do its work. The
// report is whole also then, without what failed.
func Run(t *testing.T, o Options) *Report {
	report := newReport(o)
	r := newRig(t, o)
	for _, s := range scenarios {
		if !o.wanted(s.name) {
			continue
		}
		s.set = s.set.scaled(o.Count)
		t.Run(s.name, func(t *testing.T) { r.compare(t, s, report) })
		// After each scenario: a long run may be interrupted.
		if err := report.save(); err != nil {
			t.Fatal(err)
		}
	}
	if len(report.Scenarios) == 0 && !t.Failed() {
		t.Fatalf("no scenario begins with %q", o.Only)
	}
	return report
}

// compare runs one scenario.
func (r *rig) compare(t *testing.T, s scenario, report *Report) {
	tree := r.tree(s.set)
	from := r.source(t, s.from, tree)
	home := r.install(t, tree, from)
	result := &Result{Name: s.name, Documents: len(tree.documents), Bytes: tree.bytes}
	all := r.options.contestants(from, r.newSite(t, s.to, "destination"))
	for round := range r.options.Rounds {
		for i := range all {
			c := all[turn(i, round, len(all))]
			var m measurement
			ok := t.Run(fmt.Sprintf("%d/%s", round+1, c.name), func(t *testing.T) {
				to := r.newSite(t, s.to, "destination")
				m = (&trial{rig: r, scenario: s, tree: tree, from: from, to: to, home: home}).run(t, c)
			})
			if !ok {
				return
			}
			result.add(c, m)
			t.Logf("%-36s %-16s %9s documents/s %8.1f MB/s %7.0f us/document %5d MiB", s.name, c.name,
				number(float64(result.Documents)/m.wall.Seconds()), float64(result.Bytes)/m.wall.Seconds()/1e6,
				m.cpu.Seconds()*1e6/float64(result.Documents), m.peak>>20)
		}
	}
	result.sort()
	report.Scenarios = append(report.Scenarios, result)
}

// turn says which of so many contestants is the i-th of a round. Each round
// begins with another one, and every second one goes backwards: nobody is always
// behind the same other one, whose traces in the servers and the file system he
// would find.
func turn(i, round, contestants int) int {
	if round%2 == 1 {
		i = contestants - i
	}
	return (i + round) % contestants
}

// flush waits until the disk has all that was written, and a moment for the
// servers to come to rest.
func flush() {
	syscall.Sync()
	time.Sleep(300 * time.Millisecond)
}
