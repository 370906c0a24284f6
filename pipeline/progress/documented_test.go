package progress

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The documents name every stage, in the order of the way.
func TestTheStagesAreDocumented(t *testing.T) {
	var names, quoted []string
	for s := range stageCount {
		if s.String() == "" {
			t.Fatalf("stage %d has no name", s)
		}
		names = append(names, s.String())
		quoted = append(quoted, "`"+s.String()+"`")
	}
	way := "enumerate -> prepare -> " + strings.Join(names, " -> ") + " -> finish"
	for path, want := range map[string]string{
		"docs/architecture.md":  way,
		"pipeline/migration.go": way,
		"docs/output-json.md":   "| `failures[].examples[].stage` | string | where it failed: `enumerate`, " + strings.Join(quoted, ", ") + " |",
	} {
		if !strings.Contains(read(t, path), want) {
			t.Errorf("%s does not say %q", path, want)
		}
	}
	for path, row := range map[string]string{"docs/architecture.md": "\n| %s | ", "docs/progress.md": "\n    %s "} {
		rest := read(t, path)
		for _, name := range names {
			_, after, found := strings.Cut(rest, fmt.Sprintf(row, name))
			if !found {
				t.Errorf("%s has no line for %s where it belongs", path, name)
				continue
			}
			rest = after
		}
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", filepath.FromSlash(path)))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
