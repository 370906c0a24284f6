package main

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/kedge/kedge/internal/testenv"
	"github.com/kedge/kedge/pipeline/progress"
)

// What stands in a view, line by line, in its order; the table of stages only
// where there is room.
var (
	barLine = regexp.MustCompile(`^ *(\d+\.\d)% \[[-=>]*\] (?:about (\S+) left|time left not known yet|stopping)$`)
	below   = slices.Concat([]*regexp.Regexp{
		regexp.MustCompile(`^Migration task 1, db -> localfs, \S+ so far$`),
		regexp.MustCompile(`^interrupted: finishing what is in flight$`),
		regexp.MustCompile(`^(\d+ of \d+ documents, \S+ \S+ of \S+ \S+|\d+ documents done, .*; how many there are is being counted)$`),
		regexp.MustCompile(`^\S+ documents/s \(average \S+\), \S+ \S+/s \(average \S+ \S+/s\)$`),
		regexp.MustCompile(`^stage        in work   queued    busy( +documents   a batch takes)?$`),
	}, stageLines(), []*regexp.Regexp{
		regexp.MustCompile(`^operations in flight: source \d+ of \d+, destination \d+ of \d+$`),
		regexp.MustCompile(`^[a-z]+ is the limit: .*$`),
		regexp.MustCompile(`^\d+ retries, (none failed|\d+ failed: .*)$`),
	})
	// above is what a migration prints beside its view.
	above = regexp.MustCompile(`^(Migration (from|to):|  .*|Migration task 1(:| begins with counting) .*|Resuming .*|Checkpoint: .*\.checkpoint|` +
		`time=\S+ level=WARN msg="document failed" .* class=wrong-digest reason="the catalog's digest is wrong, the payload's is [0-9a-f]{32} \(\d+ bytes\)"|` +
		`\^?C?kedge: interrupted: finishing what is in flight \(once more to stop at once\))$`)
)

// stageLines are the lines of the table of stages.
func stageLines() (lines []*regexp.Regexp) {
	for s := progress.StageFetch; s < progress.StageFinish; s++ {
		lines = append(lines, regexp.MustCompile(`^`+s.String()+`  +\d+ of \d+ +\d+ +\d+%  [#.]{20}( +\d+   \S+)?$`))
	}
	return lines
}

// sighting is a view as it was seen.
type sighting struct {
	at      time.Time
	percent float64
	left    time.Duration // negative where it was not told
	lines   []string      // the whole view
}

// look looks at the terminal until it finds a view that is not just being drawn,
// and fails the test for anything that is broken.
func look(t *testing.T, term *testenv.Terminal, columns int) (seen sighting, found bool) {
	t.Helper()
	text := term.Text()
	if strings.Join(term.Text(), "\n") != strings.Join(text, "\n") {
		return seen, false
	}
	at := slices.IndexFunc(text, barLine.MatchString)
	if at < 0 {
		return seen, false
	}
	if slices.ContainsFunc(text[at+1:], barLine.MatchString) {
		t.Fatalf("there are two views, or what is left of one:\n%s", strings.Join(text, "\n"))
	}
	for _, line := range text[:at] {
		if line != "" && !above.MatchString(line) {
			t.Fatalf("above the view stands %q:\n%s", line, strings.Join(text, "\n"))
		}
	}
	match := barLine.FindStringSubmatch(text[at])
	seen = sighting{at: time.Now(), left: -1, lines: text[at:]}
	var err error
	if seen.percent, err = strconv.ParseFloat(match[1], 64); err == nil && match[2] != "" {
		seen.left, err = time.ParseDuration(match[2])
	}
	if err != nil {
		t.Fatal(err)
	}
	checkView(t, seen.lines, columns)
	return seen, true
}

// checkView fails the test unless the lines are those of a view, in their order,
// and each fits into the columns.
func checkView(t *testing.T, lines []string, columns int) {
	t.Helper()
	next := 0
	for i, line := range lines {
		if len(line) > columns {
			t.Errorf("a line is longer than %d columns: %q", columns, line)
		}
		if i == 0 {
			continue
		}
		cut, shortened := strings.CutSuffix(line, "~")
		for next < len(below) && !below[next].MatchString(line) && !(shortened && len(line) == columns-1 && strings.HasPrefix(cut, "operations")) {
			next++
		}
		if next == len(below) {
			t.Fatalf("line %d of the view is broken: %q\n%s", i, line, strings.Join(lines, "\n"))
		}
		next++
	}
}

// inTerminal starts the program in a terminal, between two looks at the
// terminal's modes, which are printed.
func inTerminal(t *testing.T, columns, lines int, environment []string, args ...string) *testenv.Terminal {
	t.Helper()
	environment = append(environment, "HOME="+home(t), "XDG_STATE_HOME=")
	// tmux itself says what the terminal is.
	script := `trap : INT; TERM=${KEDGE_TERM:-$TERM}; echo "  $(stty -g)"; "$0" "$@"; status=$?; echo "  $(stty -g)"; exit $status`
	return testenv.NewTerminal(t, columns, lines, environment, append([]string{"sh", "-c", script, binary}, args...)...)
}

// child is the process id of the program that inTerminal started.
func child(t *testing.T, term *testenv.Terminal) int {
	t.Helper()
	shell := term.Process()
	list, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", shell))
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(list)))
	if err != nil {
		t.Fatalf("the shell's children are %q", list)
	}
	return pid
}

// breakSome gives some documents digests that their payloads do not have.
func breakSome(t *testing.T, db *sql.DB, documents ...int) {
	t.Helper()
	for _, n := range documents {
		if _, err := db.ExecContext(t.Context(), `UPDATE archive_metadata SET digest = 'wrong' WHERE "archiveId" = ?`, fmt.Sprintf("document-%d", n)); err != nil {
			t.Fatal(err)
		}
	}
}

// leaves waits for the program's end and checks what it leaves behind.
func leaves(t *testing.T, term *testenv.Terminal, exit int) []string {
	t.Helper()
	term.Await("the program's end", func() bool { _, over := term.Ended(); return over })
	text := term.Text()
	if status, _ := term.Ended(); status != exit {
		t.Errorf("exit status %d, want %d", status, exit)
	}
	if text[0] != text[len(text)-1] {
		t.Errorf("the terminal's modes were %q before and are %q now", text[0], text[len(text)-1])
	}
	if slices.ContainsFunc(text, barLine.MatchString) {
		t.Errorf("of the view something is left:\n%s", strings.Join(text, "\n"))
	}
	return text
}

// A migration on a terminal that is resized twice while documents fail: at no
// moment anything is broken, the bar does not go back, and what is left is told
// rightly.
func TestLiveView(t *testing.T) {
	testenv.Alone(t, "it watches a view that is drawn anew all the time")
	const documents, rate = 640, 100
	broken := []int{3, 100, 250, 400, 555}
	path, db := sqliteInstallation(t, documents)
	breakSome(t, db, broken...)
	to := localfsPlace(archiveRoot(t))
	url := "sqlite:///" + path
	columns := 80
	// A document is put and read back.
	term := inTerminal(t, columns, 24, []string{"NO_COLOR="}, "migrate", "--dontask", "--nodelete", "--memory=16", fmt.Sprintf("--max-ops=0,%d", rate),
		place{driver: "db"}.config(t, url, compression{}), to.config(t, url, compression{}))
	var seen []sighting
	limit, coloured := false, false
	for over := false; !over; {
		if s, found := look(t, term, columns); found {
			if len(seen) > 0 && s.percent < seen[len(seen)-1].percent {
				t.Fatalf("the bar stood at %v%%, and then at %v%%", seen[len(seen)-1].percent, s.percent)
			}
			seen = append(seen, s)
			coloured = coloured || term.Coloured()
			if !term.Cursor() {
				if _, over := term.Ended(); !over {
					t.Error("the cursor is hidden")
				}
			}
			shown := strings.Join(s.lines, "\n")
			limit = limit || strings.Contains(shown, fmt.Sprintf("is the limit: localfs is held back by --max-ops %d", rate))
			switch {
			case columns == 80 && s.percent >= 30:
				columns = 200
				term.Resize(columns, 50)
			case columns == 200 && s.percent >= 60:
				if !strings.Contains(shown, "a batch takes") {
					t.Errorf("at %d columns the view has no more to tell:\n%s", columns, shown)
				}
				columns = 60
				term.Resize(columns, 20)
			}
			// Until it is drawn again, the terminal shows the old view in its own way.
			term.Await("the new size", func() bool { return widestBar(term.Text()) < columns })
		}
		_, over = term.Ended()
	}
	end := time.Now()
	text := strings.Join(leaves(t, term, exitDocuments), "\n")
	if columns != 60 || !limit || !coloured || len(seen) < 20 {
		t.Errorf("the view was seen %d times, at last with %d columns; the limit was named: %v; there were colours: %v", len(seen), columns, limit, coloured)
	}
	for _, line := range strings.Split(text, "\n") {
		if strings.HasPrefix(line, "operations in flight") {
			t.Errorf("of the view there is left: %q", line)
		}
	}
	for _, n := range broken {
		if !regexp.MustCompile(fmt.Sprintf(`(?m)^time=\S+ level=WARN msg="document failed" document=.*document-%d.* bytes\)"$`, n)).MatchString(text) {
			t.Errorf("no whole line tells of document %d:\n%s", n, text)
		}
	}
	if !regexp.MustCompile(`(?m)^  moved +635 of 640 documents$`).MatchString(text) {
		t.Errorf("it ends with\n%s", text)
	}
	told := 0
	for _, s := range seen {
		really := end.Sub(s.at)
		if s.percent < 10 || really < 3*time.Second {
			continue
		}
		told++
		// It is told in whole seconds, and seen a little later.
		if off := (s.left - really).Abs(); s.left < 0 || off > really/5+time.Second {
			t.Errorf("at %v%% %v was left, and the view said %v", s.percent, really, s.left)
		}
	}
	if told < 10 {
		t.Errorf("only %d views tell what is left", told)
	}
	if t.Failed() {
		t.Logf("the last view:\n%s", strings.Join(seen[len(seen)-1].lines, "\n"))
	}
}

// widestBar is how long the bar is, 0 if there is none.
func widestBar(lines []string) (columns int) {
	for _, line := range lines {
		if barLine.MatchString(line) {
			columns = max(columns, len(line))
		}
	}
	return columns
}

// The first Ctrl-C drains, and the terminal is left as it was. SIGUSR1 tells the
// status above the view. Nothing is coloured where NO_COLOR is set.
func TestLiveViewIsInterrupted(t *testing.T) {
	testenv.Alone(t, "it watches a view that is drawn anew all the time")
	path, _ := sqliteInstallation(t, 640)
	url := "sqlite:///" + path
	term := inTerminal(t, 200, 50, []string{"NO_COLOR=1"}, "migrate", "--dontask", "--nodelete", "--memory=16", "--workers=1", "--max-ops=0,200",
		place{driver: "db"}.config(t, url, compression{}), localfsPlace(archiveRoot(t)).config(t, url, compression{}))
	coloured := false
	term.Await("documents that were moved", func() bool {
		coloured = coloured || term.Coloured()
		s, found := look(t, term, 200)
		return found && s.percent > 1
	})
	if err := syscall.Kill(child(t, term), syscall.SIGUSR1); err != nil {
		t.Fatal(err)
	}
	status := regexp.MustCompile(`(?m)^\d+\.\d% done, .*\nMigration task 1, db -> localfs, .*\n\d+ of 640 documents, .*$`)
	term.Await("the status", func() bool { return status.MatchString(strings.Join(term.Text(), "\n")) })
	term.Type("C-c")
	text := strings.Join(leaves(t, term, exitInterrupted), "\n")
	if !strings.Contains(text, "kedge: interrupted: finishing what is in flight") || !strings.Contains(text, "interrupted; run the same command again to go on") {
		t.Errorf("it ends with\n%s", text)
	}
	if coloured {
		t.Errorf("there are colours in spite of NO_COLOR")
	}
}

// Without a terminal, with one that can do nothing, and where it is asked for,
// there are plain lines, or none.
func TestPlainProgress(t *testing.T) {
	t.Parallel()
	path, db := sqliteInstallation(t, 640)
	breakSome(t, db, 7)
	url := "sqlite:///" + path
	args := []string{"migrate", "--dontask", "--nodelete", "--memory=16", "--max-ops=0,110",
		place{driver: "db"}.config(t, url, compression{}), localfsPlace(archiveRoot(t)).config(t, url, compression{})}
	term := inTerminal(t, 80, 24, []string{"KEDGE_TERM=dumb"}, append(args, "--log-format=json")...)
	// The same in a pipe, from another installation.
	path, _ = sqliteInstallation(t, 640)
	url = "sqlite:///" + path
	piped := started(t, append(args[:5:5], place{driver: "db"}.config(t, url, compression{}), localfsPlace(archiveRoot(t)).config(t, url, compression{}))...)
	if err := piped.Wait(); err != nil {
		t.Fatalf("%v\n%s", err, log(piped))
	}
	line := regexp.MustCompile(`(?m)^\d+ of 640 documents done \(\d+\.\d%\), \S+ MiB of \S+ MiB; now \S+/s, \S+ \S+/s; average \S+/s, \S+ \S+/s; about \d+\.?\d*s left; 0 retries; none failed(; \w+ is the limit: localfs .*)?$`)
	stderr := piped.Stderr.(*bytes.Buffer).String()
	if !line.MatchString(stderr) || strings.Contains(stderr, "\x1b") {
		t.Errorf("in a pipe there is no plain line, or more than that:\n%q", stderr)
	}

	text := leaves(t, term, exitDocuments)
	records := make(map[string]map[string]any)
	for _, line := range text {
		var record map[string]any
		if json.Unmarshal([]byte(line), &record) == nil {
			records[record["msg"].(string)] = record
		}
	}
	for message, fields := range map[string][]string{
		"document failed": {"time", "level", "document", "uri", "stage", "class", "reason"},
		"progress": {"time", "level", "documents_done", "documents_total", "bytes_done", "bytes_total", "documents_per_second", "bytes_per_second",
			"average_documents_per_second", "average_bytes_per_second", "seconds_left", "retries", "failed", "failures", "limit", "limit_reason", "waiting_for"},
	} {
		for _, field := range fields {
			if _, ok := records[message][field]; !ok {
				t.Errorf("the record %q has no field %s: %v", message, field, records[message])
			}
		}
	}
	if slices.ContainsFunc(text, func(line string) bool { return strings.Contains(line, "operations in flight") }) {
		t.Errorf("a terminal that can do nothing got a view:\n%s", strings.Join(text, "\n"))
	}

	path, _ = sqliteInstallation(t, 40)
	url = "sqlite:///" + path
	term = inTerminal(t, 80, 24, nil, "migrate", "--dontask", "--progress=none",
		place{driver: "db"}.config(t, url, compression{}), localfsPlace(archiveRoot(t)).config(t, url, compression{}))
	for _, line := range leaves(t, term, exitDone) {
		if strings.Contains(line, "documents done") || strings.Contains(line, "documents/s") {
			t.Errorf("in spite of --progress=none it says %q", line)
		}
	}
}
