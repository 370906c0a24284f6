package main

import (
	"go/ast"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Every field of a log record is told of in docs/progress.md.
func TestTheLogIsDocumented(t *testing.T) {
	t.Parallel()
	text := readText(t, "../../docs/progress.md")
	seen := 0
	known := func(path, name string) {
		if seen++; !strings.Contains(text, "`"+name+"`") {
			t.Errorf("%s logs %q, which docs/progress.md does not tell of", path, name)
		}
	}
	sourceFiles(t, func(path string, f *ast.File) {
		if !strings.Contains(filepath.ToSlash(path), "/cmd/kedge/") && !strings.Contains(filepath.ToSlash(path), "/pipeline/") {
			return
		}
		ast.Inspect(f, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			method, ok := call.Fun.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			switch on := method.X.(type) {
			case *ast.Ident:
				if on.Name == "slog" && slices.Contains([]string{"String", "Int64", "Float64", "Any"}, method.Sel.Name) && literal(call.Args[0]) != "" {
					known(path, literal(call.Args[0]))
				}
			case *ast.SelectorExpr:
				if on.Sel.Name == "log" || on.Sel.Name == "Log" {
					for _, name := range fieldsOf(call.Args) {
						known(path, name)
					}
				}
			}
			return true
		})
	})
	if seen < 30 {
		t.Errorf("only %d fields were found in the source", seen)
	}
}

// fieldsOf are the names of fields in a call of a logger: every second argument
// behind the message.
func fieldsOf(args []ast.Expr) (names []string) {
	message := slices.IndexFunc(args, func(e ast.Expr) bool {
		if _, made := e.(*ast.BinaryExpr); made {
			return true
		}
		call, made := e.(*ast.CallExpr)
		if made {
			f, selector := call.Fun.(*ast.SelectorExpr)
			return selector && f.Sel.Name == "Sprintf"
		}
		return literal(e) != ""
	})
	for i := message + 1; message >= 0 && i < len(args); i += 2 {
		names = append(names, literal(args[i]))
	}
	return names
}
