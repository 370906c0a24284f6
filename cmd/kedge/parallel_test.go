package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestEveryTestIsParallelOrMarked keeps the tests of this package from waiting for
// each other: most of their time they wait for servers and timeouts. The few that
// must run alone say why.
func TestEveryTestIsParallelOrMarked(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	fileSet := token.NewFileSet()
	for _, name := range files {
		file, err := parser.ParseFile(fileSet, name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, declaration := range file.Decls {
			f, ok := declaration.(*ast.FuncDecl)
			if ok && f.Recv == nil && isTest(f.Name.Name) && !begins(f, "Parallel", "Alone") {
				t.Errorf("%s: %s must begin with t.Parallel(), or with testenv.Alone and why it cannot", fileSet.Position(f.Pos()), f.Name.Name)
			}
		}
	}
}

func isTest(name string) bool {
	return strings.HasPrefix(name, "Test") && name != "TestMain"
}

// begins says whether a function's first statement calls one of these methods or
// functions of a package.
func begins(f *ast.FuncDecl, names ...string) bool {
	if len(f.Body.List) == 0 {
		return false
	}
	statement, ok := f.Body.List[0].(*ast.ExprStmt)
	if !ok {
		return false
	}
	call, ok := statement.X.(*ast.CallExpr)
	if !ok {
		return false
	}
	called, ok := call.Fun.(*ast.SelectorExpr)
	return ok && slices.Contains(names, called.Sel.Name)
}
