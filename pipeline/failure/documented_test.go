package failure

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// Every class of failures is told of in a row of its own, also those that package tree
// adds.
func TestTroubleshootingNamesEveryClassOfFailures(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "troubleshooting.md"))
	if err != nil {
		t.Fatal(err)
	}
	classes := 0
	err = filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			return err
		}
		for name, class := range classesOf(f) {
			classes++
			if class == "" || !strings.Contains(string(text), "\n| `"+class+"` | ") {
				t.Errorf("docs/troubleshooting.md has no row for %s, %q", name, class)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if classes < 18 {
		t.Errorf("only %d classes were found in the source", classes)
	}
}

// classesOf gives the constants of a file that are classes, with their words.
func classesOf(f *ast.File) map[string]string {
	classes := make(map[string]string)
	for _, decl := range f.Decls {
		g, ok := decl.(*ast.GenDecl)
		if !ok || g.Tok != token.CONST {
			continue
		}
		for _, spec := range g.Specs {
			v := spec.(*ast.ValueSpec)
			if !strings.HasPrefix(v.Names[0].Name, "Class") || len(v.Values) == 0 {
				continue
			}
			word := ""
			if b, ok := v.Values[0].(*ast.BasicLit); ok {
				word, _ = strconv.Unquote(b.Value)
			}
			classes[v.Names[0].Name] = word
		}
	}
	return classes
}
