package compare

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Cutover is how long Anchore stands still where documents were copied before.
type Cutover struct {
	Rows    int
	Copying time.Duration // with the services running
	// Offline is from the start of migrate to its line that Anchore can be started,
	// Deletion what comes after that.
	Offline, Deletion time.Duration
	// Rollback is the way back in place.
	Rollback time.Duration
	// PeakBytes is the most resident memory of all commands, RecordBytes the length of
	// the record of copies.
	PeakBytes, RecordBytes int64
}

// CutOver makes an installation of so many tiny documents in driver db or localfs, and
// measures copy, migrate --nodelete with a hundredth changed in between, rollback, and
// migrate again with deletion.
func CutOver(tb testing.TB, o Options, from, to string, rows int) Cutover {
	tb.Helper()
	r := newRig(tb, o)
	url, _ := r.postgres.Golden(tb, "db")
	conn := connect(tb, url)
	defer conn.Close(context.WithoutCancel(tb.Context()))
	s := &scaled{tb: tb, conn: conn, rows: rows, folder: tb.TempDir()}
	s.fill()
	source, destination := r.newSite(tb, "db", ""), r.newSite(tb, to, "")
	c := cutting{scaled: s, program: o.Kedge[0], c: Cutover{Rows: rows}}
	c.from = configuration(tb, filepath.Join(s.folder, "source.yaml"), url, source)
	if from != "db" {
		made := r.newSite(tb, from, "")
		there := configuration(tb, filepath.Join(s.folder, "made.yaml"), url, made)
		c.run("migrate", c.from, there, "--dontask", "--checkpoint", filepath.Join(s.folder, "making"))
		c.from, source = there, made
	}
	c.to = configuration(tb, filepath.Join(s.folder, "destination.yaml"), url, destination)
	s.settle()
	c.c.Copying = c.run("copy", c.from, c.to, "--checkpoint", c.path())
	if info, err := os.Stat(c.path() + ".copies"); err == nil {
		c.c.RecordBytes = info.Size()
	}
	c.change(source)
	began := time.Now()
	c.c.Offline = c.startable(began, "--nodelete")
	mustBeAt(tb, url, destination.prefix, rows)
	c.c.Rollback = c.run("rollback", c.to, c.from, "--dontask", "--checkpoint", c.path())
	mustBeAt(tb, url, source.prefix, rows)
	began = time.Now()
	c.c.Deletion = -c.startable(began)
	c.c.Deletion += time.Since(began)
	mustBeAt(tb, url, destination.prefix, rows)
	return c.c
}

type cutting struct {
	*scaled
	program  []string
	from, to string
	c        Cutover
}

func (c *cutting) path() string { return filepath.Join(c.folder, "cutover") }

func (c *cutting) command(words ...string) []string {
	line := append([]string{c.program[0]}, words...)
	if words[0] == "migrate" {
		line = append(line, c.program[1:]...)
	}
	return append(line, "--progress", "none")
}

// run runs a command to its end.
func (c *cutting) run(words ...string) time.Duration {
	c.tb.Helper()
	m, err := measure(c.tb.Context(), environment(c.folder), c.command(words...))
	if err != nil {
		c.tb.Fatalf("%s: %v", words[0], err)
	}
	c.c.PeakBytes = max(c.c.PeakBytes, m.peak)
	return m.wall
}

// change changes a hundredth of the documents, as their service would: the payload, then
// the row.
func (c *cutting) change(at *site) {
	c.tb.Helper()
	if at.driver != "db" {
		return // the rows alone would make these documents rotten
	}
	for _, statement := range []string{
		`UPDATE archive_document SET jsondata = jsondata || ' ' WHERE right("archiveId", 2) = '00'`,
		`UPDATE archive_metadata m SET digest = md5(d.jsondata), size = length(d.jsondata), last_updated = extract(epoch FROM now())::int
			FROM archive_document d WHERE right(m."archiveId", 2) = '00' AND (d.bucket, d."archiveId", d."userId") = (m.bucket, m."archiveId", m."userId")`,
	} {
		if err := execute(c.tb, c.conn, statement); err != nil {
			c.tb.Fatal(err)
		}
	}
}

// startable runs migrate, and says after how long Anchore could be started.
func (c *cutting) startable(began time.Time, flags ...string) (offline time.Duration) {
	c.tb.Helper()
	line := c.command(append([]string{"migrate", c.from, c.to, "--dontask", "--checkpoint", c.path()}, flags...)...)
	cmd := exec.CommandContext(c.tb.Context(), line[0], line[1:]...)
	cmd.Env = environment(c.folder)
	read, write := io.Pipe()
	cmd.Stdout, cmd.Stderr = write, write
	if err := cmd.Start(); err != nil {
		c.tb.Fatal(err)
	}
	ended, peaks, told := make(chan struct{}), make(chan int64), make(chan string)
	go func() { peaks <- watchPeak(cmd.Process.Pid, ended) }()
	go func() {
		var all strings.Builder
		lines := bufio.NewScanner(read)
		for lines.Scan() {
			if strings.Contains(lines.Text(), "Anchore can be started now") && offline == 0 {
				offline = time.Since(began)
			}
			fmt.Fprintln(&all, lines.Text())
		}
		told <- all.String()
	}()
	err := cmd.Wait()
	close(ended)
	_ = write.Close()
	text := <-told
	c.c.PeakBytes = max(c.c.PeakBytes, <-peaks)
	if err != nil || offline == 0 {
		c.tb.Fatalf("migrate: %v\n%s", err, text[max(0, len(text)-4000):])
	}
	return offline
}
