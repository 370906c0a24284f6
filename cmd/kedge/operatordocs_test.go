package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"github.com/kedge/kedge/config"
	"github.com/kedge/kedge/drivers/all"
	"github.com/kedge/kedge/internal/testenv"
)

func readText(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// sourceFiles calls each with every file of the program, tests left out.
func sourceFiles(t *testing.T, each func(path string, f *ast.File)) {
	t.Helper()
	root := filepath.Join("..", "..")
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && path != root && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata") {
			return fs.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err == nil {
			each(path, f)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func literal(e ast.Expr) string {
	if b, ok := e.(*ast.BasicLit); ok && b.Kind == token.STRING {
		text, _ := strconv.Unquote(b.Value)
		return text
	}
	return ""
}

var codeSpan = regexp.MustCompile("`([^`]+)`")

// Every message that is told of is one of the program's own.
func TestTroubleshootingTellsOfRealMessages(t *testing.T) {
	t.Parallel()
	var literals strings.Builder
	sourceFiles(t, func(_ string, f *ast.File) {
		ast.Inspect(f, func(n ast.Node) bool {
			if e, ok := n.(*ast.BasicLit); ok {
				literals.WriteString(literal(e) + "\n")
			}
			return true
		})
	})
	said := literals.String()
	foreign := []string{"unexpected argument", "503 SlowDown", "query_wait_timeout"} // kong's, a server's, PgBouncer's
	messages := 0
	for _, line := range strings.Split(readText(t, "../../docs/troubleshooting.md"), "\n") {
		cell, ok := strings.CutPrefix(line, "| `")
		if !ok {
			continue
		}
		cell, _, _ = strings.Cut("`"+cell, " | ")
		for _, span := range codeSpan.FindAllStringSubmatch(cell, -1) {
			messages++
			for _, part := range regexp.MustCompile(`…|\bN\b| \(2, 1\)`).Split(span[1], -1) {
				part = strings.Trim(part, " :,.;")
				for _, word := range foreign {
					part = strings.Trim(strings.ReplaceAll(part, word, ""), " ")
				}
				if !strings.Contains(said, part) {
					t.Errorf("kedge never says %q", part)
				}
			}
		}
	}
	if messages < 100 {
		t.Errorf("only %d messages were found", messages)
	}
}

// parseCommand fails the test unless the line is one that kedge takes; it gives
// what kedge makes of it.
func parseCommand(t *testing.T, args []string) cli {
	t.Helper()
	var c cli
	parser, err := kong.New(&c, kong.Vars{"version": "v0.0.0", "drivers": strings.Join(all.Names(), ","), "maxFailures": "1"}, kong.Writers(io.Discard, io.Discard), kong.Exit(func(int) {}))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parser.Parse(args); err != nil {
		t.Errorf("kedge %s: %v", strings.Join(args, " "), err)
	}
	return c
}

var commandLine = regexp.MustCompile("(?m)^ {4,}kedge ([^\n]+)$|`kedge ([^`]+)`")

// The commands of the documents for operators are ones that kedge takes.
func TestTheCommandsOfTheDocuments(t *testing.T) {
	t.Parallel()
	for path, least := range map[string]int{"../../docs/runbooks.md": 40, "../../docs/troubleshooting.md": 2, "../../contrib/README.md": 1, "../../README.md": 8, "../../docs/observing.md": 1} {
		lines := commandLine.FindAllStringSubmatch(readText(t, path), -1)
		complete := 0
		for _, m := range lines {
			args := strings.Fields(m[1] + m[2])
			if len(args) == 1 || slices.Contains(args, "--orphans") && len(args) == 2 || slices.Contains(args, "…") {
				continue // a command that is only named, or shown in part
			}
			complete++
			parseCommand(t, args)
		}
		if complete < least {
			t.Errorf("%s: only %d commands were found", path, complete)
		}
	}
}

// reads fails the test unless kedge takes the configuration.
func reads(t *testing.T, name, text string) {
	t.Helper()
	f, err := config.Parse(name, []byte(text))
	if err != nil {
		t.Error(err)
		return
	}
	f.Lookup = func(string) (string, bool) { return "value", true }
	if _, err := section(f, false); err != nil {
		t.Error(err)
	}
	if f.HasAnalysisArchive() {
		if _, err := section(f, true); err != nil {
			t.Error(err)
		}
	}
}

func TestTheConfigurationsOfTheRunbooks(t *testing.T) {
	t.Parallel()
	blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(readText(t, "../../docs/runbooks.md"), -1)
	if len(blocks) < 7 {
		t.Errorf("only %d configurations were found", len(blocks))
	}
	for i, block := range blocks {
		reads(t, "configuration "+strconv.Itoa(i+1), block[1])
	}
}

// The commands of a runbook, one after the other, on an installation.
func TestTheRunbooksAreFollowed(t *testing.T) {
	t.Parallel()
	book := readText(t, "../../docs/runbooks.md")
	toS3, toSplit, toOne := chapter(t, book, "From the database to S3"), chapter(t, book, "The analysis archive to S3"),
		chapter(t, book, "From the database and an S3 archive to one S3 bucket")
	files, swift := chapter(t, book, "From a filesystem to S3"), chapter(t, book, "From Swift to S3")
	united := func(r *pageRig) func(string) place { return everything(r.united) }
	// The documents are in the database at first.
	fromDatabase := func(r *pageRig) {
		r.config("before.yaml", pageDB)
		r.typed("kedge migrate --dontask before.yaml config.yaml", "").want(t, exitDone)
	}
	for _, c := range []struct {
		name                string
		config, destination string
		commands            []string
		before              func(r *pageRig) // what makes the installation the chapter's
		after               func(r *pageRig) func(string) place
	}{
		{"db to s3", toS3.blocks[0], toS3.blocks[1], toS3.commands, nil, united},
		{"db to db and s3, and back", toS3.blocks[0], toSplit.blocks[0], toSplit.commands, nil, func(r *pageRig) func(string) place { return everything(r.db) }},
		{"db and s3 to s3, and back", toSplit.blocks[0], toOne.blocks[0], toOne.commands, func(r *pageRig) {
			r.typed("kedge migrate --dontask --to-analysis-archive --bucket analysis_archive config.yaml config.yaml", "").want(t, exitDone)
		}, func(r *pageRig) func(string) place { return archived(r.archive, r.db) }},
		{"localfs to s3", files.blocks[0], toS3.blocks[1], files.commands, fromDatabase, united},
		{"swift to s3", swift.blocks[0], toS3.blocks[1], swift.commands, fromDatabase, united},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newPageRig(t, pageDocument{bucket: "analysis_archive", archiveID: "sha256:0873c923e00e0fd2ba78041bfb64a105e1ecb7678916d1f7776311e45bf5634b"})
			here := runbookPlaces(t)
			for name, text := range map[string]string{"config.yaml": c.config, "dest-config.yaml": c.destination} {
				r.config(name, here.Replace(strings.TrimPrefix(text, "services:\n  catalog:\n")))
			}
			if c.before != nil {
				c.before(r)
			}
			if len(c.commands) < 6 {
				t.Errorf("only %d commands", len(c.commands))
			}
			for _, command := range c.commands {
				o := r.typed(command, "y\n")
				if o.exit != exitDone {
					t.Fatalf("%s: exit status %d\n%s%s", command, o.exit, o.stdout, o.stderr)
				}
				if strings.HasPrefix(command, "kedge verify") && !strings.Contains(o.stdout, ": 0 are not well") {
					t.Errorf("%s: %s", command, o.stdout)
				}
			}
			r.are(c.after(r))
		})
	}
}

// runbookPlaces puts the test's servers and folders in the place of those that
// the runbooks name, and their secrets into the environment.
func runbookPlaces(t *testing.T) *strings.Replacer {
	t.Helper()
	minio, swift := testenv.MinIO(t), testenv.SwiftKeystone(t)
	setenv(t, "ANCHORE_OBJ_STORAGE_ACCESS_KEY", minio.AccessKey)
	setenv(t, "ANCHORE_OBJ_STORAGE_SECRET_KEY", minio.SecretKey)
	setenv(t, "OS_PASSWORD", swift.Key)
	return strings.NewReplacer("https://minio.example.com:9000", minio.URL, "bucket: anchorearchive", "bucket: newanchorebucket",
		"https://keystone.example.com:5000/v3", swift.AuthURL, "myusername", swift.User, "myproject", swift.Project,
		"os_project_domain_name: example.com", "os_project_domain_name: Default", "container: anchorearchive", "container: "+swift.Container(t),
		"/object_store", archiveRoot(t))
}

// runbook is a chapter of the runbooks: its configurations and its commands, in
// their order.
type runbook struct{ blocks, commands []string }

func chapter(t *testing.T, book, heading string) (b runbook) {
	t.Helper()
	_, text, found := strings.Cut(book, "\n## "+heading+"\n")
	if !found {
		t.Fatalf("no chapter %q", heading)
	}
	text, _, _ = strings.Cut(text, "\n## ")
	for _, m := range regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(text, -1) {
		b.blocks = append(b.blocks, m[1])
	}
	for _, m := range regexp.MustCompile(`(?m)^ {4}(kedge .+)$`).FindAllStringSubmatch(text, -1) {
		b.commands = append(b.commands, m[1])
	}
	return b
}

// Links within and between the documents lead somewhere.
func TestTheLinksOfTheDocuments(t *testing.T) {
	t.Parallel()
	link := regexp.MustCompile(`\]\(([^)\s]+)\)`)
	for _, path := range []string{"../../docs/runbooks.md", "../../docs/troubleshooting.md", "../../docs/progress.md", "../../contrib/README.md", "../../README.md", "../../docs/observing.md"} {
		for _, m := range link.FindAllStringSubmatch(readText(t, path), -1) {
			file, anchor, _ := strings.Cut(m[1], "#")
			target := path
			if file != "" {
				target = filepath.Join(filepath.Dir(path), file)
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s: %v", path, err)
				continue
			}
			if anchor != "" && !slices.Contains(anchors(readText(t, target)), anchor) {
				t.Errorf("%s: %s has no heading #%s", path, target, anchor)
			}
		}
	}
}

// anchors are a document's headings as links name them.
func anchors(text string) (list []string) {
	for _, line := range strings.Split(text, "\n") {
		if heading := strings.TrimLeft(line, "#"); heading != line {
			name := regexp.MustCompile(`[^a-z0-9 _-]`).ReplaceAllString(strings.ToLower(strings.TrimSpace(heading)), "")
			list = append(list, strings.ReplaceAll(name, " ", "-"))
		}
	}
	return list
}
