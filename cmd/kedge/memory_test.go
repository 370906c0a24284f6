package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/kedge/kedge/bench"
	"github.com/kedge/kedge/internal/testenv"
)

// peakBytes runs a migration and says how much memory it had at its peak.
func peakBytes(t *testing.T, args ...string) int64 {
	t.Helper()
	cmd := started(t, args...)
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	// Not the rusage of the ended process: its peak counts that of the process
	// that started it, from before the exec.
	var peak int64
	for {
		select {
		case err := <-ended:
			if err != nil {
				t.Fatalf("%v\n%s", err, log(cmd))
			}
			return peak
		case <-time.After(20 * time.Millisecond):
			peak = max(peak, highWater(cmd.Process.Pid))
		}
	}
}

// highWater is the most memory that a process has had so far, in bytes; 0 when
// it has ended.
func highWater(pid int) int64 {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	var kilobytes int64
	if _, err := fmt.Sscan(rest, &kilobytes); err != nil {
		return 0
	}
	return kilobytes << 10
}

// TestMemoryDoesNotGrowWithTheNumberOfDocuments compares a migration with one of
// ten times as many documents. KEDGE_TEST_DOCUMENTS=200000 makes it as large as
// an installation.
func TestMemoryDoesNotGrowWithTheNumberOfDocuments(t *testing.T) {
	testenv.Alone(t, "it compares peaks of memory")
	const most = 150 << 20
	documents := 15000
	if n, err := strconv.Atoi(os.Getenv("KEDGE_TEST_DOCUMENTS")); err == nil {
		documents = n
	}
	minio := testenv.MinIO(t)
	for _, to := range []func() place{
		func() place { return localfsPlace(archiveRoot(t)) },
		func() place { return s3Place(minio, minio.Bucket(t), "") },
	} {
		var peaks [2]int64
		name := ""
		for i, n := range []int{documents / 10, documents} {
			s := seedDB(t, bench.Workload{Documents: n, MedianBytes: 2 << 10, MaxBytes: 1 << 20, Seed: 21})
			from, to := dbPlace(s.url), to()
			name = to.name
			peaks[i] = peakBytes(t, "migrate", "--dontask", "--quiet", from.config(t, s.url, compression{}), to.config(t, s.url, compression{true, 100}))
			if moved := execute(t, s.url, `SELECT FROM archive_metadata WHERE content_url NOT LIKE 'db://%'`); moved != int64(n) {
				t.Errorf("db -> %s: %d of %d documents moved", name, moved, n)
			}
		}
		t.Logf("db -> %s: peak %d MiB with %d documents, %d MiB with %d", name, peaks[0]>>20, documents/10, peaks[1]>>20, documents)
		if peaks[1] > most {
			t.Errorf("db -> %s: peak of %d MiB, at most %d are allowed", name, peaks[1]>>20, most>>20)
		}
		// The smaller one may end before the collector has settled.
		if peaks[1] > peaks[0]*3/2+(16<<20) {
			t.Errorf("db -> %s: the peak grew from %d to %d MiB with ten times the documents", name, peaks[0]>>20, peaks[1]>>20)
		}
	}
}
