package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kedge/kedge/cmd/kedge/internal/manual"
)

// Every command has a page, and every flag is in its command's page or, where
// all commands take it, in the program's.
func TestManPagesNameEverything(t *testing.T) {
	t.Parallel()
	model, _ := places(t)
	// A minus sign, which a word may be copied with.
	roff := func(s string) string { return strings.ReplaceAll(s, "-", `\-`) }
	pages := map[string]string{}
	for _, p := range manual.Pages(model, manual.Build{Version: "v1.2.3", Date: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}) {
		pages[p.Name] = p.Text
		if !strings.HasPrefix(p.Text, `.TH "`) || !strings.Contains(p.Text, `"2026-01-02" "kedge v1.2.3"`) {
			t.Errorf("%s: no title: %.80s", p.Name, p.Text)
		}
	}
	for _, leaf := range model.Leaves(true) {
		name := strings.TrimPrefix(leaf.Path(), "objectstorage ")
		page, there := pages["kedge-"+strings.ReplaceAll(name, " ", "-")]
		if !there {
			t.Errorf("no page of %s", name)
		}
		if !strings.Contains(pages["kedge"], roff(name)) {
			t.Errorf("kedge(1) does not name %s", name)
		}
		for _, f := range leaf.Flags {
			if !strings.Contains(page, roff("--"+f.Name)) {
				t.Errorf("kedge %s: --%s is not in its page", name, f.Name)
			}
		}
	}
	for _, f := range model.Flags {
		if !strings.Contains(pages["kedge"], roff("--"+f.Name)) {
			t.Errorf("--%s is not in kedge(1)", f.Name)
		}
	}
	for _, want := range []string{".SH EXIT STATUS", ".TP\n0\nall done\n", ".TP\n130\ninterrupted"} {
		if !strings.Contains(pages["kedge"], want) {
			t.Errorf("kedge(1) lacks %q", want)
		}
	}
}

func TestManCommand(t *testing.T) {
	t.Parallel()
	folder := filepath.Join(t.TempDir(), "man1")
	kedge(t, "man", "--directory", folder).want(t, exitDone)
	page, err := os.ReadFile(filepath.Join(folder, "kedge.1"))
	if err != nil {
		t.Fatal(err)
	}
	if o := kedge(t, "man").want(t, exitDone); o.stdout != string(page) {
		t.Error("kedge man prints another page than it writes")
	}
	pages, err := filepath.Glob(filepath.Join(folder, "kedge*.1"))
	if err != nil || len(pages) < 13 {
		t.Errorf("only %q (%v)", pages, err)
	}
}
