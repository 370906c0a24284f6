package observe

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestReport(t *testing.T) {
	r := Record(func() Progress { return moment(1) })
	defer r.Close()
	for n := range int64(30) {
		r.mu.Lock()
		r.history.add(moment(n))
		r.mu.Unlock()
	}
	last := moment(30)
	last.State, last.Reason = Failed, "3 documents stay behind"
	r.End(last)
	folder := t.TempDir()
	path := filepath.Join(folder, "report.html")
	if err := CheckReport(path); err != nil {
		t.Fatal(err)
	}
	report := Report{Progress: last, From: "db at " + hostile, To: "s3://b/", Ended: last.At, Next: []string{"Run it again."}, Configuration: "secret_key: ***",
		Groups: []Group{{"put-failed", 3, []Example{{hostile, "put", "no room"}}}}, Elsewhere: []Elsewhere{{"s3://old/", 4, 5}}}
	for range 2 { // the second one takes the first one's place
		if err := WriteReport(path, report, r); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"3 documents stay behind", "Run it again.", "secret_key: ***", "no room", "… and 2 more", "s3://old/", "&lt;script&gt;", "Documents by size", "25.0% of the size", "Operations by time taken"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the report lacks %q", want)
		}
	}
	if n := strings.Count(string(text), "<svg"); n != 9 {
		t.Errorf("it has %d plots", n)
	}
	for _, never := range []string{"<script", "src=", "url(", "@import", "nothing to show", "ZgotmplZ", "NaN"} {
		if strings.Contains(string(text), never) {
			t.Errorf("the report has %s", never)
		}
	}
	entries, err := os.ReadDir(folder)
	if err != nil || len(entries) != 1 {
		t.Errorf("%d files are there beside the report (%v)", len(entries)-1, err)
	}
}

func TestReportsThatCannotBeWritten(t *testing.T) {
	folder := t.TempDir()
	if err := CheckReport(filepath.Join(folder, "no", "report.html")); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "--report: cannot write") {
		t.Errorf("no folder: %v", err)
	}
	if err := CheckReport(folder); err == nil || !strings.Contains(err.Error(), "is no file") {
		t.Errorf("a folder: %v", err)
	}
	if entries, err := os.ReadDir(folder); err != nil || len(entries) > 0 {
		t.Errorf("%d files are left (%v)", len(entries), err)
	}
}
