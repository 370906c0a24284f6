package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/kedge/kedge/bench"
	"github.com/kedge/kedge/internal/testenv"
)

// failedIDs reads verify's JSON: archive id -> class, and the summary.
func failedIDs(t *testing.T, stdout string) (failures map[string]string, orphans []string, summary map[string]any) {
	t.Helper()
	failures = make(map[string]string)
	for line := range strings.Lines(stdout) {
		var x map[string]any
		if err := json.Unmarshal([]byte(line), &x); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		switch x["kind"] {
		case "failure":
			failures[x["archive_id"].(string)] = x["class"].(string)
		case "orphan":
			orphans = append(orphans, x["uri"].(string))
		case "summary":
			summary = x
		}
	}
	return failures, orphans, summary
}

// TestVerifyNamesExactlyWhatIsRotten audits an installation with rotten
// documents of every kind; migrate then moves all others, for the same reasons.
func TestVerifyNamesExactlyWhatIsRotten(t *testing.T) {
	t.Parallel()
	const documents, rotten = 4000, 200
	s := seedDB(t, bench.Workload{Documents: documents, MedianBytes: 4 << 10, Seed: 50})
	db, from, to := dbPlace(s.url), db2Place(s.url), localfsPlace(archiveRoot(t))
	source := from.config(t, s.url, compression{true, 2})
	kedge(t, "migrate", "--dontask", db.config(t, s.url, compression{}), source).want(t, exitDone)
	kedge(t, "verify", "--orphans", source).want(t, exitDone)

	broken := make(map[string]string)
	n := 0
	for i := range rotten {
		r := rots[i%len(rots)]
		for n++; r.class == "corrupt-zlib" && len(s.workload.Plain(n)) <= 2<<10; n++ {
		}
		id := s.workload.Key(n).ArchiveID
		for _, sql := range r.sql {
			execute(t, s.url, sql, id)
		}
		broken[id] = r.class
	}
	execute(t, s.url, `INSERT INTO object_storage ("userId", bucket, key, version, content) VALUES ('nobody', 'b', 'forgotten', '', 'x')`)

	o := kedge(t, "verify", "--orphans", "--output=json", source).want(t, exitDocuments)
	failures, orphans, summary := failedIDs(t, o.stdout)
	if len(failures) != rotten || fmt.Sprint(failures) != fmt.Sprint(broken) {
		for id, class := range broken {
			if failures[id] != class {
				t.Errorf("%s is %s, verify says %q", id, class, failures[id])
			}
		}
		t.Errorf("verify names %d documents, want exactly the %d broken ones", len(failures), rotten)
	}
	// What a row without a content_url once named is an orphan too.
	if !slices.Contains(orphans, "db2://nobody/b/forgotten") || len(orphans) != 1+rotten/len(rots)+1 && len(orphans) != 1+rotten/len(rots) {
		t.Errorf("orphans: %d, such as %q", len(orphans), orphans)
	}
	if summary["documents"] != float64(documents) || summary["failed"] != float64(rotten) {
		t.Errorf("summary: %v", summary)
	}
	if o := kedge(t, "verify", source).want(t, exitDocuments); !strings.Contains(o.stdout, fmt.Sprintf("%d are not well", rotten)) {
		t.Errorf("as text:\n%s", o.stdout)
	}

	var result resultJSON
	o = kedge(t, "migrate", "--dontask", "--output=json", source, to.config(t, s.url, compression{true, 2})).want(t, exitDocuments)
	if err := json.Unmarshal([]byte(o.stdout), &result); err != nil {
		t.Fatal(err)
	}
	if result.Moved != documents-rotten || result.Failed != rotten {
		t.Errorf("migrate moved %d and left %d", result.Moved, result.Failed)
	}
	classes := make(map[string]int64)
	for _, class := range broken {
		classes[class]++
	}
	for _, g := range result.Failures {
		if classes[g.Class] != g.Count {
			t.Errorf("migrate left %d as %s, verify named %d", g.Count, g.Class, classes[g.Class])
		}
	}
}

// An audit changes nothing, goes on where it was interrupted, and reads
// documents of every store that the configuration has.
func TestVerifyIsReadOnlyAndResumes(t *testing.T) {
	t.Parallel()
	s := seedDB(t, bench.Workload{Documents: 6000, Seed: 51})
	minio := testenv.MinIO(t)
	db, archive := dbPlace(s.url), s3Place(minio, minio.Bucket(t), "")
	both := writeConfig(t, s.url, db.section("object_store", compression{}), archive.section("analysis_archive", compression{}))
	kedge(t, "migrate", "--dontask", "--to-analysis-archive", "--bucket", "analysis_data", both, both).want(t, exitDone)
	before := catalogRows(t, s.url)

	cmd := started(t, "verify", "--max-bandwidth=4M", both) // some five seconds
	waitFor(t, func() bool {
		return execute(t, s.url, `SELECT FROM pg_stat_activity WHERE application_name LIKE 'kedge%' AND datname = current_database() AND query LIKE '%archive_metadata%'`) > 0
	})
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != exitInterrupted {
		t.Fatalf("exit status %d, want %d\n%s", code, exitInterrupted, log(cmd))
	}
	o := kedge(t, "verify", "--orphans", both).want(t, exitDone)
	if !strings.Contains(o.stdout, "6000 documents") || !strings.Contains(o.stdout, ": 0 are not well") {
		t.Errorf("resumed:\n%s", o.stdout)
	}
	o = kedge(t, "verify", "--sample", "5%", both).want(t, exitDone)
	var sampled int
	if _, err := fmt.Sscan(o.stdout, &sampled); err != nil || sampled < 150 || sampled > 450 {
		t.Errorf("a sample of 5%% checked %d documents (%v)", sampled, err)
	}
	// The archive's configuration alone cannot read what is in the database.
	o = kedge(t, "verify", archive.config(t, s.url, compression{})).want(t, exitDocuments)
	if !strings.Contains(o.stdout, "no-store") {
		t.Errorf("rows of another store:\n%.500s", o.stdout)
	}
	after := catalogRows(t, s.url)
	for id, r := range before {
		if *after[id].url != *r.url || *after[id].digest != *r.digest {
			t.Errorf("%s was changed", id)
		}
	}
}
