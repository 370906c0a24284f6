//go:build compare

package compare

import (
	"cmp"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/kedge/kedge/internal/testenv"
	"github.com/kedge/kedge/internal/testenv/tools"
)

func TestMain(m *testing.M) { os.Exit(testenv.Main(m)) }

func options(t *testing.T) Options {
	t.Helper()
	root, err := tools.Root()
	if err != nil {
		t.Fatal(err)
	}
	o, err := FromEnvironment(root)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func TestCompare(t *testing.T) { fmt.Print("\n", Run(t, options(t)).Markdown()) }

// TestScale resumes migrations of as many rows as ROWS says, "100000,10000000".
func TestScale(t *testing.T) {
	o := options(t)
	fmt.Println("| rows | first document after | documents/s at first | documents/s | peak memory, MiB | checkpoint, MiB |\n|---:|---:|---:|---:|---:|---:|")
	for round := range o.Rounds {
		for _, rows := range strings.Split(os.Getenv("ROWS"), ",") {
			n, err := strconv.Atoi(rows)
			if err != nil {
				t.Fatal(err)
			}
			t.Run(fmt.Sprintf("%d/%d", round+1, n), func(t *testing.T) {
				r := Resume(t, o, n)
				fmt.Printf("| %d | %.2f s | %.0f | %.0f | %d | %.1f |\n", r.Rows, r.First.Seconds(), r.Early, r.Rate, r.PeakBytes>>20, float64(r.CheckpointBytes)/(1<<20))
			})
		}
	}
}

// TestCutover measures how long Anchore stands still for as many rows as ROWS says, from
// FROM (db, localfs) to TO (a site).
func TestCutover(t *testing.T) {
	o := options(t)
	from, to := cmp.Or(os.Getenv("FROM"), "db"), cmp.Or(os.Getenv("TO"), "versitygw")
	fmt.Println("| from, to | rows | copying | offline | deletion | rollback | peak memory, MiB | record, bytes a document |\n|---|---:|---:|---:|---:|---:|---:|---:|")
	for _, rows := range strings.Split(cmp.Or(os.Getenv("ROWS"), "100000"), ",") {
		n, err := strconv.Atoi(rows)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(rows, func(t *testing.T) {
			c := CutOver(t, o, from, to, n)
			fmt.Printf("| %s, %s | %d | %.1f s | %.2f s | %.1f s | %.2f s | %d | %d |\n", from, to, c.Rows, c.Copying.Seconds(), c.Offline.Seconds(),
				c.Deletion.Seconds(), c.Rollback.Seconds(), c.PeakBytes>>20, c.RecordBytes/int64(c.Rows))
		})
	}
}
