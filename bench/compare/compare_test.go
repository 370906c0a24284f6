//go:build compare

package compare

import (
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
