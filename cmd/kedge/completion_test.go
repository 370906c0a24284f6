package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

// places are the program's commands, from their definitions.
func places(t *testing.T) (*kong.Application, []commandPlace) {
	t.Helper()
	parser, err := kong.New(&cli{}, kong.Name("kedge"), kong.Description(description), kong.Vars{"version": "v0.0.0", "drivers": "db,s3", "maxFailures": "1"})
	if err != nil {
		t.Fatal(err)
	}
	list := commandPlaces(parser.Model.Node)
	if len(list) < 15 || list[0].path != "" || len(list[0].flags) < 8 {
		t.Fatalf("%d commands", len(list))
	}
	return parser.Model, list
}

// Every command and every flag is in every script.
func TestCompletionsNameEverything(t *testing.T) {
	_, list := places(t)
	for shell, script := range map[string]string{"bash": bashCompletion(list), "zsh": zshCompletion(list), "fish": fishCompletion(list)} {
		flag := map[string]string{"bash": "--", "zsh": "--", "fish": "-l "}[shell]
		for _, p := range list {
			if p.path != "" && !strings.Contains(script, "'"+p.path+"'") {
				t.Errorf("%s: no command %s", shell, p.path)
			}
			for _, f := range p.flags {
				if !strings.Contains(script, flag+f.long) {
					t.Errorf("%s: no flag --%s of %q", shell, f.long, p.path)
				}
			}
			for _, word := range p.words() {
				if !strings.Contains(script, word) {
					t.Errorf("%s: no argument %s of %q", shell, word, p.path)
				}
			}
		}
		if strings.Contains(script, "'man'") {
			t.Errorf("%s: the hidden command man is named", shell)
		}
	}
}

// What the printed script completes is asked of bash itself.
func TestBashCompletes(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Log("there is no bash here: its script is not tried")
		return
	}
	script := filepath.Join(t.TempDir(), "kedge.bash")
	printed := kedge(t, "completion", "bash").want(t, exitDone).stdout
	if err := os.WriteFile(script, []byte(printed), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(bash, "-n", script).CombinedOutput(); err != nil {
		t.Fatalf("bash -n: %v\n%s", err, out)
	}
	for _, test := range []struct {
		words []string // the last one is being typed
		want  []string
	}{
		{[]string{"kedge", "mig"}, []string{"migrate"}},
		{[]string{"kedge", "--quiet", "list-"}, []string{"list-migrations", "list-drivers"}},
		{[]string{"kedge", "objectstorage", "che"}, []string{"check"}},
		{[]string{"kedge", "objectstorage", "migrate", "--nodel"}, []string{"--nodelete"}},
		{[]string{"kedge", "migrate", "--no-exclude-u"}, []string{"--no-exclude-uploads"}},
		{[]string{"kedge", "config", ""}, []string{"explain", "example"}},
		{[]string{"kedge", "config", "example", "s"}, []string{"s3", "swift"}},
		{[]string{"kedge", "completion", "z"}, []string{"zsh"}},
		{[]string{"kedge", "migrate", "--output", ""}, []string{"text", "json"}},
		{[]string{"kedge", "migrate", "--output", "=", "j"}, []string{"json"}},
		{[]string{"kedge", "migrate", "--output", "="}, []string{"text", "json"}},
		{[]string{"kedge", "migrate", ""}, nil}, // files
		{[]string{"kedge", "ma"}, nil},
	} {
		ask := `source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _kedge; printf '%s\n' "${COMPREPLY[@]}"`
		out, err := exec.Command(bash, append([]string{"-c", ask, "bash", script}, test.words...)...).CombinedOutput()
		if err != nil {
			t.Fatalf("%q: %v\n%s", test.words, err, out)
		}
		if got := strings.Fields(string(out)); !slices.Equal(got, test.want) {
			t.Errorf("%q: completes %q, want %q", test.words, got, test.want)
		}
	}
}
