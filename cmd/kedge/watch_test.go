package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"io"
	"maps"
	"math"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/kedge/kedge/bench"
	"github.com/kedge/kedge/cmd/kedge/internal/observe"
	"github.com/kedge/kedge/internal/testenv"
)

// listening starts a run with --listen and gives the live page's URL.
func listening(t *testing.T, args ...string) (cmd *exec.Cmd, url string) {
	t.Helper()
	cmd = command(t, append(args, "--listen=127.0.0.1:0")...)
	stderr, err := os.Create(filepath.Join(t.TempDir(), "stderr"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stderr.Close() })
	cmd.Stderr = stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool {
		text, err := os.ReadFile(stderr.Name())
		if err != nil {
			t.Fatal(err)
		}
		found := regexp.MustCompile(`msg="serving progress" url=(\S+)`).FindSubmatch(text)
		if found != nil {
			url = string(found[1])
		}
		return found != nil
	})
	return cmd, url
}

// fetched gives what a URL answers.
func fetched(t *testing.T, url string) string {
	t.Helper()
	response, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// progressAt asks a run for its progress.
func progressAt(t *testing.T, url string) (p observe.Progress) {
	t.Helper()
	if err := json.Unmarshal([]byte(fetched(t, url+"progress")), &p); err != nil {
		t.Fatal(err)
	}
	return p
}

// progressOrEnd is progressAt for a run that may end at any moment; its state is
// then empty.
func progressOrEnd(url string) (p observe.Progress) {
	if response, err := http.Get(url + "progress"); err == nil {
		defer response.Body.Close()
		_ = json.NewDecoder(response.Body).Decode(&p) // what is cut off is an end too
	}
	return p
}

// looked is what a page shows.
type looked struct {
	Title                string
	State                string
	Moved, Total, Failed int64
	Plots                int // those with a line, a surface or a bar
	Width, Window        float64
	Paper                string
	Connection           string
}

// lookAtPage reads a page as a visitor sees it.
func lookAtPage(t *testing.T, b *testenv.Browser) (l looked) {
	t.Helper()
	b.Evaluate(t, `
		const value = (id) => Number(document.getElementById(id)?.dataset.value ?? -1);
		const drawn = (svg) => Array.from(svg.querySelectorAll("path.line, path.area, path.mark")).some((path) => path.getTotalLength() > 0);
		return {
			Title: document.title, State: document.querySelector(".state").textContent,
			Moved: value("moved"), Total: value("total"), Failed: value("failed"),
			Plots: Array.from(document.querySelectorAll("figure svg")).filter(drawn).length,
			Width: document.documentElement.scrollWidth, Window: innerWidth,
			Paper: getComputedStyle(document.body).backgroundColor,
			Connection: document.getElementById("connection")?.textContent ?? "",
		};`, &l)
	return l
}

// looks looks at a page in two widths, light and dark, and keeps pictures of two
// of these for the documentation where KEDGE_SCREENSHOTS is set.
func looks(t *testing.T, b *testenv.Browser, name string) {
	t.Helper()
	paper := make(map[bool]string)
	for _, width := range []int{1280, 360} {
		for _, dark := range []bool{false, true} {
			b.Show(t, width, 900, dark)
			l := lookAtPage(t, b)
			if l.Width > l.Window || math.Abs(l.Window-float64(width)) > 1 {
				t.Errorf("%s at %d pixels is %g wide in a window of %g", name, width, l.Width, l.Window)
			}
			paper[dark] = l.Paper
			if os.Getenv("KEDGE_SCREENSHOTS") != "" && dark == (width < 600) {
				picture(t, b, fmt.Sprintf("%s-%s-%d", name, map[bool]string{false: "light", true: "dark"}[dark], width), width, dark)
			}
		}
	}
	if paper[false] == paper[true] {
		t.Errorf("%s is %s both light and dark", name, paper[false])
	}
	b.Show(t, 1280, 900, false)
}

// picture keeps a picture of the page.
func picture(t *testing.T, b *testenv.Browser, name string, width int, dark bool) {
	t.Helper()
	var height int
	b.Evaluate(t, `return document.documentElement.scrollHeight`, &height)
	b.Show(t, width, min(height, 1900), dark)
	folder := filepath.Join("..", "..", "docs", "images")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, name+".png"), small(t, b.Screenshot(t)), 0o644); err != nil {
		t.Fatal(err)
	}
}

// small makes a picture smaller: of its colours it keeps the 200 most frequent.
func small(t *testing.T, shot []byte) []byte {
	t.Helper()
	full, err := png.Decode(bytes.NewReader(shot))
	if err != nil {
		t.Fatal(err)
	}
	counts := make(map[color.Color]int)
	for y := range full.Bounds().Dy() {
		for x := range full.Bounds().Dx() {
			counts[full.At(x, y)]++
		}
	}
	colours := slices.SortedFunc(maps.Keys(counts), func(a, b color.Color) int { return counts[b] - counts[a] })
	few := image.NewPaletted(full.Bounds(), colours[:min(len(colours), 200)])
	draw.Draw(few, few.Bounds(), full, image.Point{}, draw.Src)
	var out bytes.Buffer
	if err := (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&out, few); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// quiet wants the browser to have asked for nothing but what lies below a URL,
// and to have complained of nothing.
func quiet(t *testing.T, b *testenv.Browser, below string) {
	t.Helper()
	requests := b.Requests(t)
	if len(requests) == 0 {
		t.Errorf("%s: the browser has asked for nothing", below)
	}
	for _, url := range requests {
		if !strings.HasPrefix(url, below) {
			t.Errorf("%s asks for %s", below, url)
		}
	}
	for _, said := range b.Complaints(t) {
		t.Errorf("%s: the browser says %s", below, said)
	}
}

// A migration is followed in a browser from its middle to its end, and its
// report looked at: both show what /progress and the result say, ask for nothing
// from elsewhere, fit a telephone, are light or dark, and hold no secret.
func TestLivePageAndReportInABrowser(t *testing.T) {
	testenv.Alone(t, "a browser needs both cores")
	const password = "p4ge-s3cret"
	s := seedDB(t, bench.Workload{Documents: 1500, MedianBytes: 12 << 10, MaxBytes: 1 << 20, Sigma: 1.4, Noise: 0.3, Seed: 5})
	execute(t, s.url, `DELETE FROM archive_document WHERE "archiveId" IN (SELECT "archiveId" FROM archive_metadata ORDER BY bucket, "archiveId" LIMIT 7)`)
	execute(t, s.url, `UPDATE archive_metadata SET digest = md5('another') WHERE "archiveId" IN (SELECT "archiveId" FROM archive_metadata ORDER BY bucket DESC, "archiveId" LIMIT 3)`)
	url := strings.Replace(s.url, "postgres@", "postgres:"+password+"@", 1)
	minio := testenv.MinIO(t)
	to, report := s3Place(minio, minio.Bucket(t), "anchore"), filepath.Join(t.TempDir(), "report.html")
	cmd, page := listening(t, "migrate", "--dontask", "--output=json", "--report="+report, "--max-ops=0,110", "--memory=16",
		dbPlace(url).config(t, url, compression{}), to.config(t, url, compression{true, 8}))
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()

	b := testenv.NewBrowser(t)
	b.Show(t, 1280, 900, false)
	b.Open(t, page)
	var seen looked
	waitFor(t, func() bool { seen = lookAtPage(t, b); return seen.Moved > seen.Total/3 && seen.Plots == 6 })
	before := progressAt(t, page)
	waitFor(t, func() bool { seen = lookAtPage(t, b); return seen.Moved >= before.Documents.Moved })
	after := progressAt(t, page)
	if seen.Moved > after.Documents.Moved || seen.Total != after.Documents.Total || seen.Failed > after.Documents.Failed || !strings.HasSuffix(seen.Title, "% kedge migrate") {
		t.Errorf("the page shows %+v, between\n%+v and\n%+v", seen, before, after)
	}
	if after.State != observe.Running || seen.State != "running" {
		t.Errorf("it is over before it was looked at: %s, %s", after.State, seen.State)
	}
	everything := fetched(t, page) + fetched(t, page+"progress") + fetched(t, page+"metrics") + fetched(t, page+"healthz")
	looks(t, b, "live")

	<-ended
	var result resultJSON
	if err := json.Unmarshal(cmd.Stdout.(*bytes.Buffer).Bytes(), &result); err != nil || cmd.ProcessState.ExitCode() != exitDocuments {
		t.Fatalf("exit status %d, %v", cmd.ProcessState.ExitCode(), err)
	}
	waitFor(t, func() bool { seen = lookAtPage(t, b); return seen.State == "failed" })
	if seen.Moved != result.Moved || seen.Failed != result.Failed || result.Failed != 10 || !strings.Contains(seen.Connection, "The run is over") {
		t.Errorf("at the end the page shows %+v, and the result is %+v", seen, result)
	}
	quiet(t, b, page)

	b.Open(t, "file://"+report)
	seen = lookAtPage(t, b)
	if seen.Moved != result.Moved || seen.Total != result.Documents || seen.Failed != result.Failed || seen.State != "failed" || seen.Plots != 9 {
		t.Errorf("the report shows %+v, and the result is %+v", seen, result)
	}
	looks(t, b, "report")
	quiet(t, b, "file://"+report)
	text, err := os.ReadFile(report)
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{password, minio.SecretKey} {
		if strings.Contains(everything+string(text), secret) {
			t.Errorf("%s is shown", secret)
		}
	}
}

// What cannot be shown or written ends the command before it has begun.
func TestWatchingThatCannotBegin(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	path, db := sqliteInstallation(t, 100)
	url := "sqlite:///" + path
	root := archiveRoot(t)
	source, destination := place{driver: "db"}.config(t, url, compression{}), localfsPlace(root).config(t, url, compression{})
	for flag, complaint := range map[string]string{
		"--listen=" + taken.Addr().String():                    "cannot serve at " + taken.Addr().String(),
		"--listen=everywhere":                                  "no address to listen on",
		"--report=" + filepath.Join(root, "nowhere", "a.html"): "cannot write",
		"--report=" + t.TempDir():                              "is no file",
	} {
		for _, command := range []string{"migrate", "purge"} {
			o := kedge(t, command, "--dontask", flag, source, destination).want(t, exitFailed)
			if !strings.Contains(o.stderr, complaint) || strings.Count(o.stderr, "\n") != 1 {
				t.Errorf("%s %s says %s", command, flag, o.stderr)
			}
		}
	}
	var tasks, moved int
	if err := db.QueryRowContext(t.Context(), `SELECT (SELECT count(*) FROM tasks), (SELECT count(*) FROM archive_metadata WHERE content_url LIKE 'file:%')`).Scan(&tasks, &moved); err != nil || tasks+moved > 0 {
		t.Errorf("%d tasks and %d documents moved (%v)", tasks, moved, err)
	}
	// An interrupted run leaves a report too.
	report := filepath.Join(t.TempDir(), "report.html")
	cmd, page := listening(t, "migrate", "--dontask", "--max-ops=5", "--report="+report, source, destination)
	waitFor(t, func() bool { return progressAt(t, page).State == observe.Running })
	for range 2 { // the second one stops at once
		if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
			t.Fatal(err)
		}
		waitFor(t, func() bool { return progressOrEnd(page).State != observe.Running })
	}
	_ = cmd.Wait() // its exit status is looked at
	text, err := os.ReadFile(report)
	if err != nil || cmd.ProcessState.ExitCode() != exitInterrupted {
		t.Fatalf("exit status %d, %v", cmd.ProcessState.ExitCode(), err)
	}
	if !strings.Contains(string(text), `<span class="state interrupted">`) || !strings.Contains(string(text), "Run the same command again") {
		t.Errorf("the report says\n%s", text)
	}
}

// A registry's migration is seen from afar too, and leaves a report.
func TestRegistryWatched(t *testing.T) {
	t.Parallel()
	source, report := t.TempDir(), filepath.Join(t.TempDir(), "report.html")
	shelve(t, source, 150)
	files := int64(countFiles(t, source))
	cmd, page := listening(t, "migrate", "--nodelete", "--output=json", "--report="+report, "--max-ops=0,150",
		storageConfig(t, testenv.RegistryFilesystem(source)), storageConfig(t, testenv.RegistryFilesystem(t.TempDir())))
	var p observe.Progress
	waitFor(t, func() bool { p = progressAt(t, page); return p.Documents.Moved > 0 })
	if p.Unit != "files" || p.Phase == "" || p.Source.Driver == "" || p.Destination.Operations == 0 || p.Documents.Moved > files {
		t.Errorf("it shows %+v", p)
	}
	if body := fetched(t, page); !strings.Contains(body, "Files a second") || strings.Contains(body, "ZgotmplZ") {
		t.Errorf("the page is\n%s", body)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(report)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`<span class="state complete">`, fmt.Sprintf(`id="moved" data-value="%d"`, files), "kedge migrate", "The source still holds its data"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the report lacks %s", want)
		}
	}
}
