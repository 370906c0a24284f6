package main

import (
	"debug/elf"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

// program is the program of a platform, built on first use.
func (r *release) program(work string, t target) (string, error) {
	path := filepath.Join(work, "kedge-"+t.String())
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	return path, r.compile(path, t)
}

// compile builds the program for a platform, without anything of this machine
// in it.
func (r *release) compile(path string, t target) error {
	path, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	ldflags := fmt.Sprintf("-s -w -buildid= -X main.version=%s -X main.commit=%s -X main.date=%s", r.version, r.commit, r.date.Format(time.RFC3339))
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags", ldflags, "-o", path, "./cmd/kedge")
	cmd.Dir = r.source
	// What the machine's environment says of flags and processors does not count.
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+t.os, "GOARCH="+t.arch, "GOFLAGS=-mod=readonly", "GOAMD64=v1", "GOARM64=v8.0", "GOEXPERIMENT=", "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w\n%s", err, out)
	}
	return nil
}

// checkStatic fails for a program that wants a loader or libraries.
func checkStatic(path string) error {
	f, err := elf.Open(path)
	if err != nil {
		return err
	}
	defer f.Close() // nothing was written
	if slices.ContainsFunc(f.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP }) {
		return fmt.Errorf("%s is not static: it names a program interpreter", filepath.Base(path))
	}
	if libraries, err := f.ImportedLibraries(); err == nil && len(libraries) > 0 {
		return fmt.Errorf("%s is not static: it wants %s", filepath.Base(path), strings.Join(libraries, ", "))
	}
	return nil
}

// The paths of the documents, in archives; a package puts them elsewhere.
const (
	manFolder        = "man/man1/"
	completionFolder = "completions/"
)

// completionFiles are the names of the completion scripts, as each shell looks
// for them.
var completionFiles = map[string]string{"bash": "kedge.bash", "zsh": "_kedge", "fish": "kedge.fish"}

// documents are the manual's pages and the completion scripts, made by the
// program itself: the one for this machine.
func (r *release) documents(work string) ([]file, error) {
	here, err := r.program(work, target{runtime.GOOS, runtime.GOARCH})
	if err != nil {
		return nil, err
	}
	folder := filepath.Join(work, "man1")
	if out, err := exec.Command(here, "man", "--directory", folder).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("kedge man: %w\n%s", err, out)
	}
	pages, err := os.ReadDir(folder)
	if err != nil {
		return nil, err
	}
	var documents []file
	for _, p := range pages {
		page, err := os.ReadFile(filepath.Join(folder, p.Name()))
		if err != nil {
			return nil, err
		}
		documents = append(documents, file{manFolder + p.Name(), 0o644, page})
	}
	for shell, name := range completionFiles {
		script, err := exec.Command(here, "completion", shell).Output()
		if err != nil {
			return nil, fmt.Errorf("kedge completion %s: %w", shell, err)
		}
		documents = append(documents, file{completionFolder + name, 0o644, script})
	}
	sortFiles(documents)
	return documents, nil
}
