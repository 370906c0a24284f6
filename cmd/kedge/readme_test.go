package main

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kedge/kedge/internal/testenv"
)

const readme = "../../README.md"

// between is the part of a text behind one mark and before the next other one.
func between(t *testing.T, text, from, to string) string {
	t.Helper()
	_, text, found := strings.Cut(text, from)
	if !found {
		t.Fatalf("there is no %q", from)
	}
	text, _, found = strings.Cut(text, to)
	if !found {
		t.Fatalf("there is no %q behind %q", to, from)
	}
	return text
}

// The README's two commands: "make test" is what every commit is checked with;
// "make demo" is run in a fresh clone, by somebody who has nothing but the
// modules, and prints what the README shows.
func TestTheReadmesTwoCommands(t *testing.T) {
	t.Parallel()
	chapter := between(t, readText(t, readme), "\n## Two commands\n", "\n## ")
	var commands []string
	for _, m := range regexp.MustCompile("(?m)^`([a-z ]+)` ").FindAllStringSubmatch(chapter, -1) {
		commands = append(commands, m[1])
	}
	if !slices.Equal(commands, []string{"make demo", "make test"}) {
		t.Fatalf("the commands are %q", commands)
	}
	if !strings.Contains(readText(t, "../../.ci/run"), "\nexec make test\n") {
		t.Error(".ci/run does not end with make test")
	}

	clone := filepath.Join(t.TempDir(), "kedge")
	if out, err := exec.CommandContext(t.Context(), "git", "clone", "--quiet", "../..", clone).CombinedOutput(); err != nil {
		t.Fatalf("git clone: %v\n%s", err, out)
	}
	bare := bareEnvironment(t)
	if out, err := inClone(t.Context(), clone, bare, "make build"); err != nil {
		t.Fatalf("make build: %v\n%s", err, out)
	}
	within, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	out, err := inClone(within, clone, bare, "make demo")
	if errors.Is(within.Err(), context.DeadlineExceeded) {
		t.Fatalf("make demo does not end\n%s", out)
	}
	if err != nil {
		t.Fatalf("make demo: %v\n%s", err, out)
	}
	if sample := indented(between(t, chapter, "`make demo` ", "\n`make test` ")); !sampleOf(sample).MatchString(out) {
		t.Errorf("the README shows\n%s\nmake demo prints\n%s", sample, out)
	}
}

// bareEnvironment is a home with nothing in it, and the modules as the module
// proxy hands them out. What was compiled is kept, to save time.
func bareEnvironment(t *testing.T) []string {
	t.Helper()
	env := []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "TMPDIR=" + t.TempDir(), "GOPROXY=off", "GOTOOLCHAIN=local"}
	for _, name := range []string{"GOMODCACHE", "GOCACHE"} {
		value, err := exec.CommandContext(t.Context(), "go", "env", name).Output()
		if err != nil {
			t.Fatalf("go env %s: %v", name, err)
		}
		env = append(env, name+"="+strings.TrimSpace(string(value)))
	}
	return env
}

func inClone(ctx context.Context, folder string, env []string, line string) (string, error) {
	cmd := exec.CommandContext(ctx, "sh", "-c", line)
	cmd.Dir, cmd.Env = folder, env
	cmd.WaitDelay = time.Second // make's children keep the output open
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// indented are the lines of a text that are shown as they are.
func indented(text string) string {
	var b strings.Builder
	for _, m := range regexp.MustCompile(`(?m)^(?: {4}(.*)|)$`).FindAllStringSubmatch(text, -1) {
		b.WriteString(m[1] + "\n")
	}
	return strings.Trim(b.String(), "\n") + "\n"
}

// sampleOf matches what looks like the sample: numbers and the folder may be
// others, and a line with nothing but an ellipsis is any lines.
func sampleOf(sample string) *regexp.Regexp {
	pattern := regexp.QuoteMeta(sample)
	pattern = regexp.MustCompile(`/tmp/kedge-demo-\d+`).ReplaceAllString(pattern, `\S+/kedge-demo-#`)
	pattern = regexp.MustCompile(`\d+(\\\.\d+)?`).ReplaceAllString(pattern, `#`)
	pattern = strings.ReplaceAll(pattern, "#", `\d+(\.\d+)?`)
	pattern = regexp.MustCompile(`(?m)^ *…\n`).ReplaceAllString(pattern, `(.*\n)*?`)
	return regexp.MustCompile(`(?m)^` + pattern)
}

// The README's migration, every command and the configuration as they stand
// there, on an installation.
func TestTheReadmesSixSteps(t *testing.T) {
	t.Parallel()
	chapter := between(t, readText(t, readme), "\n## A migration in six steps\n", "\n## ")
	minio := testenv.MinIO(t)
	setenv(t, "ANCHORE_OBJ_STORAGE_ACCESS_KEY", minio.AccessKey)
	setenv(t, "ANCHORE_OBJ_STORAGE_SECRET_KEY", minio.SecretKey)
	r := newPageRig(t)
	r.config("config.yaml", pageDB)
	bucket := r.united.raw.(objectStore).bucket
	section := strings.NewReplacer("https://minio.example.com:9000", minio.URL, "bucket: anchorearchive", "bucket: "+bucket).
		Replace(between(t, chapter, "   ```yaml\n", "   ```\n"))
	section = regexp.MustCompile(`(?m)^ {3}`).ReplaceAllString(section, "    ")

	steps := 0
	for _, part := range regexp.MustCompile(`(?m)^ {4,}(?:kedge|cp|mv) .+$|^\d\. `).FindAllString(chapter, -1) {
		command := strings.TrimSpace(part)
		if strings.HasSuffix(command, ".") {
			steps++
			continue
		}
		o := r.typed(command, "y\n").want(t, exitDone)
		switch {
		case strings.HasPrefix(command, "cp "):
			path := filepath.Join(r.folder, "dest-config.yaml")
			credentials, _, _ := strings.Cut(readText(t, path), "    object_store:\n")
			write(t, path, credentials+section)
		case strings.HasPrefix(command, "kedge migrate "):
			r.are(everything(r.united), r.db) // the source is kept
		case strings.HasPrefix(command, "kedge verify ") && !strings.Contains(o.stdout, ": 0 are not well"):
			t.Error(o.stdout)
		case strings.HasPrefix(command, "kedge list-migrations "):
			o.saysMigrations(t, "complete db s3 7 7")
		}
	}
	if steps != 6 {
		t.Errorf("%d steps", steps)
	}
	r.are(everything(r.united))

	back := regexp.MustCompile("The way back .*`(kedge migrate [^`]+)`").FindStringSubmatch(chapter)
	if back == nil {
		t.Fatal("the way back is not told")
	}
	r.typed(back[1], "y\n").want(t, exitDone)
	r.are(everything(r.db))
}

// The README's exit statuses are those of --help.
func TestTheReadmesExitStatuses(t *testing.T) {
	t.Parallel()
	beginning := regexp.MustCompile(`(?m)(\d+)(?: \| | )([a-z ]+)`)
	statuses := func(text string) (list []string) {
		for _, m := range beginning.FindAllStringSubmatch(text, -1) {
			list = append(list, m[1]+" "+strings.TrimSpace(m[2]))
		}
		return list
	}
	_, help, _ := strings.Cut(description, "Exit status: ")
	told := statuses(help)
	if len(told) != 5 {
		t.Errorf("--help tells of %q", told)
	}
	if table := statuses(between(t, readText(t, readme), "\n| status | meaning |\n", "\n## ")); !slices.Equal(table, told) {
		t.Errorf("the README tells of %q, --help of %q", table, told)
	}
}
