package main

import (
	"io"
	"os/exec"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"github.com/kedge/kedge/cmd/kedge/internal/cmdline"
)

// The commands for what comes next have the flags that were given, as far as
// they are theirs, and a shell takes them apart as they were.
func TestTheCommandsForWhatComesNext(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ given, goOn, goBack, purge, verify string }{
		{
			"plan a.yaml b.yaml",
			"kedge migrate a.yaml b.yaml", "kedge migrate b.yaml a.yaml", "kedge purge a.yaml b.yaml", "kedge verify b.yaml",
		},
		{
			"migrate --dry-run --output=json --nodelete --dontask --workers 3 --bucket x --bucket=y|z ../a/c.yaml 'b c.yaml'",
			"kedge migrate --nodelete --dontask --workers=3 --bucket=x --bucket='y|z' ../a/c.yaml 'b c.yaml'",
			"kedge migrate --dontask --workers=3 --bucket=x --bucket='y|z' 'b c.yaml' ../a/c.yaml",
			"kedge purge --dontask --workers=3 --bucket=x --bucket='y|z' ../a/c.yaml 'b c.yaml'",
			"kedge verify --bucket=x --bucket='y|z' 'b c.yaml'",
		},
		{
			"objectstorage --db-connect postgresql+pg8000://u:s3cret@h:5432/n --db-use-ssl plan --to-analysis-archive --max-bandwidth=2M,3M --max-ops 7 --checkpoint /x/y --elsewhere=move --give-up-after 90s it's.yaml b.yaml",
			"kedge migrate --db-connect='postgresql+pg8000://u:********@h:5432/n' --db-use-ssl --to-analysis-archive --max-bandwidth=2097152,3145728 --max-ops=7,7 --checkpoint=/x/y --elsewhere=move --give-up-after=1m30s 'it'\\''s.yaml' b.yaml",
			"kedge migrate --db-connect='postgresql+pg8000://u:********@h:5432/n' --db-use-ssl --give-up-after=1m30s --from-analysis-archive --max-bandwidth=3145728,2097152 --max-ops=7,7 b.yaml 'it'\\''s.yaml'",
			"kedge purge --db-connect='postgresql+pg8000://u:********@h:5432/n' --db-use-ssl --to-analysis-archive --max-bandwidth=2097152,3145728 --max-ops=7,7 --give-up-after=1m30s 'it'\\''s.yaml' b.yaml",
			"kedge verify --db-connect='postgresql+pg8000://u:********@h:5432/n' --db-use-ssl b.yaml",
		},
	} {
		var c cli
		parser, err := kong.New(&c, kong.Vars{"version": "v0.0.0", "drivers": "db", "maxFailures": "1"}, kong.Writers(io.Discard, io.Discard), kong.Exit(func(int) {}))
		if err != nil {
			t.Fatal(err)
		}
		parsed, err := parser.Parse(words(t, strings.ReplaceAll(strings.ReplaceAll(test.given, "it's", `"it's"`), "y|z", "'y|z'")))
		if err != nil {
			t.Fatal(err)
		}
		a := &app{globals: &c.globals, line: cmdline.Line{Parsed: parsed}}
		var m *migrateCommand
		for _, candidate := range []*migrateCommand{&c.Migrate, &c.Plan.migrateCommand, &c.Objectstorage.Plan.migrateCommand} {
			if candidate.Source != "" {
				m = candidate
			}
		}
		for command, want := range map[string]string{m.goOn(a): test.goOn, m.goBack(a): test.goBack, m.purge(a): test.purge, m.verify(a): test.verify} {
			if command != want {
				t.Errorf("%s:\ngot  %s\nwant %s", test.given, command, want)
			}
			parseCommand(t, words(t, command)[1:])
		}
	}
}

// words are what a shell makes of a line.
func words(t *testing.T, line string) []string {
	t.Helper()
	out, err := exec.Command("sh", "-c", `printf '%s\0' `+line).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
}
