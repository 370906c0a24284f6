package main

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/kedge/kedge/internal/testenv"
	"github.com/kedge/kedge/internal/testenv/faults"
)

// wireCase is a fault of a store, and what becomes of a migration that meets it.
type wireCase struct {
	name string
	// What is wrong: with the line, with connections, with requests. Every
	// fault must be met.
	line     faults.Line
	breaks   []*faults.Break
	faults   []*faults.Fault
	readBack bool // --verify=readback
	noDigest bool // rows have no digest
	// maxFailures is --max-failures; 0 is so many that it is never reached.
	maxFailures int

	exit int
	// class is the reason for which documents fail; "" where the run gave up.
	class string
	// all says that every document fails, atDestination that those that fail are
	// moved and their sources left.
	all, atDestination bool
	// sources says that those that are moved may leave their sources.
	sources bool
	least   time.Duration // what the run takes at the least
}

// Requests of S3 and Swift, as events of a fault. The probe at a run's start is
// none: what it meets ends the run before anything is done.
func about(method string, more ...func(*http.Request) bool) func(*http.Request) bool {
	return func(r *http.Request) bool {
		if r.Method != method || strings.Contains(r.URL.Path, "kedge-probe") || !strings.Contains(r.URL.Path, "sha256:") {
			return false
		}
		for _, m := range more {
			if !m(r) {
				return false
			}
		}
		return true
	}
}

func ofPart(r *http.Request) bool  { return r.URL.Query().Has("partNumber") }
func notPart(r *http.Request) bool { return !ofPart(r) }

// completes says whether a request completes an upload in parts, deletesMany
// whether it is DeleteObjects.
func completes(r *http.Request) bool {
	return r.Method == http.MethodPost && r.URL.Query().Has("uploadId")
}
func deletesMany(r *http.Request) bool {
	return r.Method == http.MethodPost && (r.URL.Query().Has("delete") || r.URL.Query().Has("bulk-delete"))
}

func anyOf(list ...func(*http.Request) bool) func(*http.Request) bool {
	return func(r *http.Request) bool {
		for _, is := range list {
			if is(r) {
				return true
			}
		}
		return false
	}
}

func fault(rule faults.Rule, on func(*http.Request) bool, do faults.Effect) []*faults.Fault {
	return []*faults.Fault{{Rule: rule, On: on, Do: do}}
}

func breaks(rule faults.Rule, bytes int64, how faults.Way) []*faults.Break {
	return []*faults.Break{{Rule: rule, Bytes: bytes, How: how}}
}

var (
	wirePut = about(http.MethodPut, notPart)
	wireGet = about(http.MethodGet)
)

// toStore are the faults of a destination.
func toStore() []wireCase {
	return []wireCase{
		{name: "latency and jitter", line: faults.Line{Latency: time.Millisecond, Jitter: 3 * time.Millisecond}},
		{name: "bandwidth", line: faults.Line{BytesPerSecond: 8 << 20}},
		{name: "connections reset in mid-body", breaks: breaks(faults.Rule{After: 2, Every: 5}, 20_000, faults.Reset)},
		{name: "outage for a while", breaks: at("PUT /", faults.Rule{After: 40, Most: 1}, 0, faults.Outage(100*time.Millisecond))},
		{name: "outage for good", breaks: at("PUT /", faults.Rule{After: 40, Most: 1}, 0, faults.Outage(0)), exit: exitDocuments, class: "put-failed", sources: true},
		{name: "black holes", breaks: breaks(faults.Rule{After: 3, Most: 3}, 5_000, faults.Silence)},
		{name: "500 for a while", faults: fault(faults.Rule{Most: 40}, wirePut, faults.Answer(500, "InternalError", ""))},
		{name: "503 for a while", faults: fault(faults.Rule{Every: 3, Most: 60}, about(http.MethodPut), faults.Answer(503, "ServiceUnavailable", ""))},
		{name: "SlowDown for a while", faults: fault(faults.Rule{Most: 40}, wirePut, faults.Answer(503, "SlowDown", ""))},
		{name: "SlowDown with Retry-After", faults: fault(faults.Rule{Most: 5}, wirePut, faults.Answer(503, "SlowDown", "2")), least: 2 * time.Second},
		{name: "503 from now on", faults: fault(faults.Rule{After: 40}, wirePut, faults.Answer(503, "SlowDown", "")), exit: exitDocuments, class: "put-failed"},
		{name: "503 always", faults: fault(faults.Rule{}, about(http.MethodPut), faults.Answer(503, "SlowDown", "")), maxFailures: 20, exit: exitDocuments},
		{name: "requests reset in mid-body", faults: fault(faults.Rule{Every: 7}, about(http.MethodPut), faults.ResetRequest(700))},
		{name: "wrong ETags", faults: fault(faults.Rule{Every: 3}, wirePut, faults.WrongETag)},
		{name: "wrong ETags everywhere", faults: fault(faults.Rule{}, anyOf(wirePut, wireGet, about(http.MethodHead), completes), faults.WrongETag)},
		{name: "corrupted on the way there", faults: fault(faults.Rule{Every: 10}, wirePut, faults.CorruptedRequest), exit: exitDocuments, class: "put-failed"},
		{name: "corrupted when read back", readBack: true, faults: fault(faults.Rule{Every: 10}, wireGet, faults.Corrupted), exit: exitDocuments, class: "not-proven"},
		{name: "truncated when read back", readBack: true, faults: fault(faults.Rule{Every: 5}, wireGet, faults.Truncated)},
		{name: "answers lost", faults: fault(faults.Rule{Every: 5}, about(http.MethodPut), faults.Lost)},
		{name: "every answer lost", faults: fault(faults.Rule{}, wirePut, faults.Lost), maxFailures: 20, exit: exitDocuments},
		{name: "answers never come", faults: fault(faults.Rule{After: 5, Every: 20, Most: 4}, about(http.MethodPut), faults.Unanswered)},
		{name: "requests never arrive", faults: fault(faults.Rule{After: 5, Every: 20, Most: 4}, about(http.MethodPut), faults.Swallowed)},
	}
}

// fromStore are the faults of a source.
func fromStore() []wireCase {
	return []wireCase{
		{name: "latency and jitter", line: faults.Line{Latency: time.Millisecond, Jitter: 3 * time.Millisecond}},
		{name: "bandwidth", line: faults.Line{BytesPerSecond: 8 << 20}},
		{name: "connections reset in mid-body", breaks: breaks(faults.Rule{After: 2, Every: 5}, 20_000, faults.Reset)},
		{name: "outage for a while", breaks: at("GET /", faults.Rule{After: 40, Most: 1}, 0, faults.Outage(100*time.Millisecond))},
		{name: "outage for good", breaks: at("GET /", faults.Rule{After: 40, Most: 1}, 0, faults.Outage(0)), exit: exitDocuments, class: "fetch-failed", sources: true},
		{name: "black holes", breaks: breaks(faults.Rule{After: 3, Most: 3}, 5_000, faults.Silence)},
		{name: "500 for a while", faults: fault(faults.Rule{Most: 40}, wireGet, faults.Answer(500, "InternalError", ""))},
		{name: "SlowDown for a while", faults: fault(faults.Rule{Most: 40}, wireGet, faults.Answer(503, "SlowDown", ""))},
		{name: "SlowDown with Retry-After", faults: fault(faults.Rule{Most: 5}, wireGet, faults.Answer(503, "SlowDown", "2")), least: 2 * time.Second},
		{name: "503 from now on", faults: fault(faults.Rule{After: 40}, wireGet, faults.Answer(503, "SlowDown", "")), exit: exitDocuments, class: "fetch-failed"},
		{name: "503 always", faults: fault(faults.Rule{}, wireGet, faults.Answer(503, "SlowDown", "")), maxFailures: 20, exit: exitDocuments},
		{name: "truncated", faults: fault(faults.Rule{Every: 5}, wireGet, faults.Truncated)},
		{name: "truncated always", faults: fault(faults.Rule{}, wireGet, faults.Truncated), exit: exitDocuments, class: "fetch-failed", all: true},
		{name: "answers reset in mid-body", faults: fault(faults.Rule{Every: 5}, wireGet, faults.ResetAnswer(2<<20))},
		{name: "wrong ETags", faults: fault(faults.Rule{}, anyOf(wireGet, about(http.MethodHead)), faults.WrongETag)},
		{name: "corrupted", faults: fault(faults.Rule{Every: 10}, wireGet, faults.Corrupted), exit: exitDocuments, class: "wrong-digest"},
		{name: "every one corrupted", faults: fault(faults.Rule{}, wireGet, faults.Corrupted), exit: exitDocuments, class: "wrong-digest", all: true},
		{name: "corrupted, and rows without digest", noDigest: true, faults: fault(faults.Rule{}, wireGet, faults.Corrupted), exit: exitDocuments, class: "wrong-digest", all: true},
		{name: "answers never come", faults: fault(faults.Rule{After: 5, Every: 20, Most: 4}, wireGet, faults.Unanswered)},
	}
}

func TestFaultsOfAnS3Destination(t *testing.T) {
	testenv.Alone(t, "it looks for goroutines that are left behind")
	cases := append(toStore(),
		wireCase{name: "wrong ETags of parts", faults: fault(faults.Rule{Every: 2}, about(http.MethodPut, ofPart), faults.WrongETag), exit: exitDocuments, class: "put-failed"},
		wireCase{name: "an upload's completion lost", faults: fault(faults.Rule{Most: 2}, completes, faults.Lost)},
		wireCase{name: "an upload's completion truncated", faults: fault(faults.Rule{Most: 2}, completes, faults.Truncated)},
		wireCase{name: "an upload's completion refused", faults: fault(faults.Rule{Most: 2}, completes, faults.Answer(503, "SlowDown", ""))},
	)
	minio := testenv.MinIO(t)
	database := emptyInstallation(t)
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			w := seedWired(t, database, dbPlace(database), s3Place(minio, minio.Bucket(t), "p/"))
			w.meet(c, minio.URL, false)
		})
	}
}

func TestFaultsOfAnS3Source(t *testing.T) {
	testenv.Alone(t, "it looks for goroutines that are left behind")
	cases := append(fromStore(),
		wireCase{name: "deletion refused for a while", faults: fault(faults.Rule{Most: 1}, deletesMany, faults.Answer(503, "SlowDown", ""))},
		wireCase{name: "deletion's answer lost", faults: fault(faults.Rule{Most: 1}, deletesMany, faults.Lost)},
		wireCase{name: "deletion's answer truncated", faults: fault(faults.Rule{Most: 1}, deletesMany, faults.Truncated)},
		wireCase{name: "deletion refused", faults: fault(faults.Rule{}, anyOf(deletesMany, about(http.MethodDelete)), faults.Answer(503, "SlowDown", "")),
			exit: exitDocuments, class: "source-not-deleted", all: true, atDestination: true},
	)
	minio := testenv.MinIO(t)
	database := emptyInstallation(t)
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			w := seedWired(t, database, s3Place(minio, minio.Bucket(t), "p/"), localfsPlace(archiveRoot(t)))
			w.meet(c, minio.URL, true)
		})
	}
}

// meet runs a migration whose source or destination, a server at this URL, is
// behind the fault, looks at what it has left, and runs it again without.
func (w *wired) meet(c wireCase, url string, source bool) {
	w.Helper()
	if c.noDigest {
		execute(w, w.database, `UPDATE archive_metadata SET digest = NULL, is_compressed = false`)
		for i := range w.documents {
			d := &w.documents[i]
			// A zlib stream proves itself: only plain documents are in question.
			d.noDigest, d.plain, d.compressed = true, d.payload, false
		}
	}
	front, err := faults.NewHTTP(url, wireSeed)
	if err != nil {
		w.Fatal(err)
	}
	defer front.Close()
	line, err := faults.NewTCP(strings.TrimPrefix(front.URL(), "http://"), wireSeed)
	if err != nil {
		w.Fatal(err)
	}
	defer line.Close()
	front.Public("http://" + line.Address())
	run := wireRun{from: w.from, to: w.to, database: w.database, readBack: c.readBack, maxFailures: c.maxFailures}
	if run.maxFailures == 0 {
		run.maxFailures = 10 * len(w.documents)
	}
	if source {
		run.from = behind(run.from, url, "http://"+line.Address())
	} else {
		run.to = behind(run.to, url, "http://"+line.Address())
	}
	line.Set(c.line)
	line.Inject(c.breaks...)
	front.Inject(c.faults...)
	end := w.migrate(run, front.Rest)
	w.judge(c, end)
	if err := line.Lift(); err != nil {
		w.Fatal(err)
	}
	front.Lift()
	if c.exit != exitDone {
		w.migrate(run, front.Rest).want(w, exitDone)
		w.checkComplete()
	}
}

// judge looks at what a run with a fault has left.
func (w *wired) judge(c wireCase, end wireEnd) {
	w.Helper()
	w.Logf("%v, exit status %d, %d moved", end.took.Round(time.Millisecond), end.exit, end.result.Moved)
	for _, f := range c.breaks {
		if f.Hits() == 0 {
			w.Error("the fault was not met: the test proves nothing")
		}
	}
	for _, f := range c.faults {
		if f.Hits() == 0 {
			w.Error("the fault was not met: the test proves nothing")
		}
	}
	if end.exit != c.exit {
		w.Errorf("exit status %d, want %d: %s %+v\n%s", end.exit, c.exit, end.result.Error, end.result.Failures, end.stderr)
	}
	if end.took < c.least {
		w.Errorf("it took %v, less than %v: the server was not waited for", end.took, c.least)
	}
	if c.exit == exitDone {
		w.checkComplete()
		return
	}
	left := w.check()
	w.checkTask("failed")
	switch {
	case c.class == "":
		if !strings.Contains(end.result.Error, "gave up after") {
			w.Errorf("the run does not say that it gave up: %q", end.result.Error)
		}
	case c.atDestination:
		if len(left) > 0 {
			w.Errorf("%d documents were not moved", len(left))
		}
		w.checkNamed(end, map[string][]wireDocument{c.class: w.documents})
	default:
		if len(left) == 0 || c.all && len(left) != len(w.documents) {
			w.Errorf("%d documents of %d were left: too few", len(left), len(w.documents))
		}
		sources := w.sources(left)
		if len(sources) > 0 && !c.sources {
			w.Errorf("%d documents that were moved are at the source too", len(sources))
		}
		w.checkNamed(end, map[string][]wireDocument{c.class: left, "source-not-deleted": sources})
	}
}
