package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"github.com/kedge/kedge/cmd/kedge/internal/completion"
)

// places are the program's commands, from their definitions.
func places(t *testing.T) (*kong.Application, []completion.Place) {
	t.Helper()
	parser, err := kong.New(&cli{}, kong.Name("kedge"), kong.Description(description), kong.Vars{"version": "v0.0.0", "drivers": "db,s3", "maxFailures": "1"})
	if err != nil {
		t.Fatal(err)
	}
	list := completion.Places(parser.Model.Node)
	if len(list) < 15 || list[0].Path != "" || len(list[0].Flags) < 8 {
		t.Fatalf("%d commands", len(list))
	}
	return parser.Model, list
}

// Every command and every flag is in every script.
func TestCompletionsNameEverything(t *testing.T) {
	t.Parallel()
	_, list := places(t)
	for shell, script := range completion.Scripts {
		script := script(list)
		flag := map[string]string{"bash": "--", "zsh": "--", "fish": "-l "}[shell]
		for _, p := range list {
			if p.Path != "" && !strings.Contains(script, "'"+p.Path+"'") {
				t.Errorf("%s: no command %s", shell, p.Path)
			}
			for _, f := range p.Flags {
				if !strings.Contains(script, flag+f.Long) {
					t.Errorf("%s: no flag --%s of %q", shell, f.Long, p.Path)
				}
			}
			for _, word := range p.Words() {
				if !strings.Contains(script, word) {
					t.Errorf("%s: no argument %s of %q", shell, word, p.Path)
				}
			}
		}
		if strings.Contains(script, "'man'") {
			t.Errorf("%s: the hidden command man is named", shell)
		}
	}
}

// completionScript writes what the program prints for a shell.
func completionScript(t *testing.T, shell, name string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), name)
	write(t, path, kedge(t, "completion", shell).want(t, exitDone).stdout)
	return path
}

// What the printed script completes is asked of bash itself.
func TestBashCompletes(t *testing.T) {
	t.Parallel()
	script := completionScript(t, "bash", "kedge.bash")
	if out, err := exec.Command("bash", "-n", script).CombinedOutput(); err != nil {
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
		out, err := exec.Command("bash", append([]string{"-c", ask, "bash", script}, test.words...)...).CombinedOutput()
		if err != nil {
			t.Fatalf("%q: %v\n%s", test.words, err, out)
		}
		if got := strings.Fields(string(out)); !slices.Equal(got, test.want) {
			t.Errorf("%q: completes %q, want %q", test.words, got, test.want)
		}
	}
}

// The others are asked as well: of what zsh completes on a terminal, and of what
// fish says it would.
func TestZshAndFishComplete(t *testing.T) {
	t.Parallel()
	zsh, fish := completionScript(t, "zsh", "_kedge"), completionScript(t, "fish", "kedge.fish")
	for _, test := range []struct {
		line string // the last word is being typed
		want []string
	}{
		{"kedge mig", []string{"migrate"}},
		{"kedge --quiet list-", []string{"list-drivers", "list-migrations"}},
		{"kedge objectstorage che", []string{"check"}},
		{"kedge objectstorage migrate --nodel", []string{"--nodelete"}},
		{"kedge migrate --no-exclude-u", []string{"--no-exclude-uploads"}},
		{"kedge config ", []string{"example", "explain"}},
		{"kedge config example s", []string{"s3", "swift"}},
		{"kedge completion z", []string{"zsh"}},
		{"kedge migrate --output ", []string{"json", "text"}},
	} {
		for shell, ask := range map[string]*exec.Cmd{
			"zsh":  exec.CommandContext(t.Context(), "zsh", "-f", "testdata/completes.zsh", filepath.Dir(zsh), test.line),
			"fish": exec.CommandContext(t.Context(), "fish", "--no-config", "-c", `source $argv[1]; complete -C $argv[2] | cut -f 1`, fish, test.line),
		} {
			ask.Env = append(os.Environ(), "HOME="+home(t), "XDG_CONFIG_HOME="+home(t), "XDG_DATA_HOME="+home(t), "TERM=xterm")
			out, err := ask.CombinedOutput()
			if err != nil {
				t.Fatalf("%s, %q: %v\n%s", shell, test.line, err, out)
			}
			got := strings.Fields(string(out))
			slices.Sort(got)
			if !slices.Equal(got, test.want) {
				t.Errorf("%s, %q: completes %q, want %q", shell, test.line, got, test.want)
			}
		}
	}
}
