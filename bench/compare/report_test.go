package compare

import (
	"context"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestMarkdown(t *testing.T) {
	r := newReport(Options{Rounds: 3, Kedge: [][]string{{"bin/kedge"}}, Version: "v1"})
	result := &Result{Name: "localfs-s3/minio", Documents: 1000, Bytes: 4_000_000}
	for round, seconds := range []float64{1, 4, 2} {
		wall := time.Duration(seconds * float64(time.Second))
		// In another order each round.
		for i := range 3 {
			switch (i + round) % 3 {
			case 0:
				result.add(contestant{name: "bare client, 32", kind: ceiling, clients: 32}, measurement{wall: wall / 2, cpu: time.Second / 10, peak: 20 << 20})
			case 1:
				result.add(contestant{name: "kedge", kind: kedge}, measurement{wall: wall, cpu: time.Second / 5, peak: int64(30+round) << 20})
			case 2:
				result.add(contestant{name: "rclone", kind: rclone}, measurement{wall: 3 * wall, cpu: time.Second, peak: 80 << 20})
			}
		}
	}
	result.sort()
	r.Scenarios = []*Result{result}
	text := r.Markdown()
	rows := []string{
		"| localfs-s3/minio: 1000 documents, 4.0 MB | kedge | 500 (250–1000) | 2.0 | 200 | 32 | - |",
		"|  | rclone | 167 (83.3–333) | 0.7 | 1000 | 80 | 3.00x |",
		"|  | bare client, 32 | 1000 (500–2000) | 4.0 | 100 | 20 | 0.50x |",
	}
	if !strings.Contains(text, strings.Join(rows, "\n")) {
		t.Errorf("the rows are not\n%s\nin\n%s", strings.Join(rows, "\n"), text)
	}
	if !strings.Contains(text, "up to 150% of the median") {
		t.Errorf("the noise is not told in\n%s", text)
	}
}

func TestContestants(t *testing.T) {
	files, objects, rows := &site{remote: "/a"}, &site{remote: "d:b", endpoint: "http://x/b"}, &site{}
	o := Options{Kedge: [][]string{{"k"}}, Rclone: "r", Ceiling: "c", Clients: []int{8, 32}}
	for _, test := range []struct {
		from, to *site
		want     string
	}{
		{files, objects, "kedge; rclone; rclone 32; bare client, 8; bare client, 32"},
		{objects, files, "kedge; rclone; rclone 32"},
		{rows, files, "kedge"},
		{rows, rows, "kedge"},
	} {
		var names []string
		for _, c := range o.contestants(test.from, test.to) {
			names = append(names, c.name)
		}
		if got := strings.Join(names, "; "); got != test.want {
			t.Errorf("contestants are %s, want %s", got, test.want)
		}
	}
	o.Kedge, o.Rclone = [][]string{{"k"}, {"k2", "--workers", "8"}}, ""
	if all := o.contestants(files, files); len(all) != 2 || all[0].name != "kedge A" || all[1].name != "kedge B" || len(all[1].command) != 3 {
		t.Errorf("contestants are %v", all)
	}
}

func TestFromEnvironment(t *testing.T) {
	for name, value := range map[string]string{
		"KEDGE": "bin/old, /x/kedge --workers 8", "CEILING": "bin/ceiling", "COUNT": "2000", "ROUNDS": "", "ONLY": "localfs-s3, db", "CLIENTS": "8,32", "RCLONE": "off", "FSYNC": "", "OUT": "",
	} {
		t.Setenv(name, value)
	}
	o, err := FromEnvironment("/root")
	if err != nil {
		t.Fatal(err)
	}
	if o.Count != 2000 || o.Rounds != 3 || o.Rclone != "" || o.Ceiling != "/root/bin/ceiling" || !o.Durable || !slices.Equal(o.Clients, []int{8, 32}) ||
		len(o.Kedge) != 2 || o.Kedge[0][0] != "/root/bin/old" || !slices.Equal(o.Kedge[1], []string{"/x/kedge", "--workers", "8"}) {
		t.Errorf("options are %+v", o)
	}
	for name, want := range map[string]bool{"localfs-s3/minio": true, "db2-localfs": true, "s3-swift": false} {
		if o.wanted(name) != want {
			t.Errorf("%s is wanted: %t", name, !want)
		}
	}
	for name, value := range map[string]string{"ROUNDS": "0", "CLIENTS": "x", "KEDGE": ""} {
		t.Run(name, func(t *testing.T) {
			t.Setenv(name, value)
			if _, err := FromEnvironment("/root"); err == nil {
				t.Error("no error")
			}
		})
	}
}

func TestScaled(t *testing.T) {
	for _, test := range []struct{ documents, count, want int }{{20000, 0, 20000}, {20000, 2000, 2000}, {5000, 2000, 500}, {6, 2000, 2}} {
		s := small
		s.workload.Documents = test.documents
		if got := s.scaled(test.count).workload.Documents; got != test.want {
			t.Errorf("%d documents for COUNT=%d are %d, want %d", test.documents, test.count, got, test.want)
		}
	}
}

// TestMeasure measures a child that takes known memory and CPU time.
func TestMeasure(t *testing.T) {
	if os.Getenv("KEDGE_MEASURED_CHILD") != "" {
		memory := make([]byte, 64<<20)
		for i := 0; i < len(memory); i += 4096 {
			memory[i]++
		}
		// All of it is in use for longer than the time between two looks.
		for began, i := time.Now(), 0; time.Since(began) < 500*time.Millisecond; i++ {
			memory[i*4096%len(memory)]++
		}
		return
	}
	ballast := make([]byte, 256<<20) // a fork's memory is not the child's
	for i := 0; i < len(ballast); i += 4096 {
		ballast[i] = 1
	}
	m, err := measure(context.Background(), append(os.Environ(), "KEDGE_MEASURED_CHILD=1"), []string{os.Args[0], "-test.run=^TestMeasure$"})
	if err != nil {
		t.Fatal(err)
	}
	if m.wall < 300*time.Millisecond || m.cpu <= 0 || m.peak < 64<<20 || m.peak > 200<<20 {
		t.Errorf("%+v", m)
	}
	if _, err := measure(context.Background(), nil, []string{"/bin/sh", "-c", "echo went wrong; exit 3"}); err == nil || !strings.Contains(err.Error(), "went wrong") {
		t.Errorf("a child that fails: %v", err)
	}
	if ballast[0] != 1 {
		t.Error("ballast")
	}
}

// TestTurn checks that in each round everyone has his turn, that each round begins
// with another one, and that nobody is always behind the same other one.
func TestTurn(t *testing.T) {
	const contestants = 4
	behind := map[int]map[int]bool{}
	for round := range contestants {
		var order []int
		for i := range contestants {
			order = append(order, turn(i, round, contestants))
		}
		if order[0] != round {
			t.Errorf("round %d begins with %d", round, order[0])
		}
		for i := 1; i < contestants; i++ {
			if behind[order[i]] == nil {
				behind[order[i]] = map[int]bool{}
			}
			behind[order[i]][order[i-1]] = true
		}
		slices.Sort(order)
		if !slices.Equal(order, []int{0, 1, 2, 3}) {
			t.Errorf("round %d: %v", round, order)
		}
	}
	for one, others := range behind {
		if len(others) < 2 {
			t.Errorf("%d is always behind the same: %v", one, others)
		}
	}
}
