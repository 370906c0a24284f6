package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"strings"
	"testing"
	"time"
)

var when = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func TestParse(t *testing.T) {
	r, err := parse([]string{"-version", "v1", "-commit", "abc", "-date", "2026-01-02T04:04:05+01:00", "-targets", "linux/arm64, darwin/arm64"})
	if err != nil {
		t.Fatal(err)
	}
	if !r.date.Equal(when) || len(r.targets) != 2 || r.targets[1].String() != "darwin-arm64" {
		t.Errorf("%+v", r)
	}
	for _, args := range [][]string{
		{"-commit", "abc", "-date", "2026-01-02T04:04:05Z"},
		{"-version", "a/b", "-commit", "abc", "-date", "2026-01-02T04:04:05Z"},
		{"-version", "v1", "-commit", "abc"},
		{"-version", "v1", "-commit", "abc", "-date", "2026-01-02T04:04:05Z", "-targets", "linux"},
	} {
		if _, err := parse(args); err == nil {
			t.Errorf("%q is taken", args)
		}
	}
}

func TestTarball(t *testing.T) {
	files := []file{{"man/man1/kedge.1", 0o644, []byte("page")}, {"kedge", 0o755, []byte("binary")}}
	first, err := tarball("kedge-v1", files, when)
	if err != nil {
		t.Fatal(err)
	}
	second, err := tarball("kedge-v1", []file{files[1], files[0]}, when)
	if err != nil || !bytes.Equal(first, second) {
		t.Errorf("the order of the files changes the archive (%v)", err)
	}
	var got []string
	unpacked := unpack(t, first, func(h *tar.Header, data []byte) {
		if !h.ModTime.Equal(when) || h.Uid != 0 || h.Gid != 0 {
			t.Errorf("%s: %v, %d:%d", h.Name, h.ModTime, h.Uid, h.Gid)
		}
		got = append(got, fmt.Sprintf("%s %o %s", h.Name, h.Mode, data))
	})
	if !unpacked.ModTime.IsZero() || unpacked.Name != "" {
		t.Error("the gzip header holds a name or a time")
	}
	want := "kedge-v1/ 755 |kedge-v1/kedge 755 binary|kedge-v1/man/ 755 |kedge-v1/man/man1/ 755 |kedge-v1/man/man1/kedge.1 644 page"
	if strings.Join(got, "|") != want {
		t.Errorf("got %q", got)
	}
}

// unpack calls each with what a tar.gz archive holds, and gives gzip's header.
func unpack(t *testing.T, archive []byte, each func(h *tar.Header, data []byte)) gzip.Header {
	t.Helper()
	unpacked, err := gzip.NewReader(bytes.NewReader(archive))
	if err != nil {
		t.Fatal(err)
	}
	for r := tar.NewReader(unpacked); ; {
		h, err := r.Next()
		if err == io.EOF {
			return unpacked.Header
		}
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		each(h, data)
	}
}

func TestComponents(t *testing.T) {
	r := &release{version: "v1.2.0", commit: "abc", date: when}
	info := &debug.BuildInfo{GoVersion: "go1.26.8", Settings: []debug.BuildSetting{{Key: "GOOS", Value: "linux"}},
		Deps: []*debug.Module{
			{Path: "go.example/Z", Version: "v2.0.0+incompatible", Sum: "h1:x"},
			{Path: "go.example/a", Version: "v1.0.0", Replace: &debug.Module{Path: "go.example/b", Version: "v1.0.1"}},
		}}
	info.Main.Path = "github.com/kedge/kedge"
	text, err := r.componentsOf(info, [32]byte{1, 2, 3})
	if err != nil {
		t.Fatal(err)
	}
	var b bom
	if err := json.Unmarshal(text, &b); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range b.Components {
		got = append(got, c.URL)
	}
	if want := "pkg:golang/go.example/b@v1.0.1 pkg:golang/go.example/z@v2.0.0%2Bincompatible pkg:golang/std@1.26.8"; strings.Join(got, " ") != want {
		t.Errorf("got  %s\nwant %s", strings.Join(got, " "), want)
	}
	// The pattern of CycloneDX's schema.
	if !regexp.MustCompile(`^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`).MatchString(b.SerialNumber) {
		t.Error(b.SerialNumber)
	}
	if b.Metadata.Timestamp != "2026-01-02T03:04:05Z" || b.Metadata.Component.Version != "v1.2.0" || len(b.Dependencies[0].DependsOn) != 3 {
		t.Errorf("%+v", b)
	}
}

func TestDebianVersion(t *testing.T) {
	for version, want := range map[string]string{
		"v1.2.0": "1.2.0", "v1.2.0-rc1": "1.2.0~rc1", "v1.2.0-3-gabcdef0": "1.2.0+3.gabcdef0", "v1.2.0-dirty": "1.2.0+dirty",
		"5a5183f-dirty": "0~5a5183f.dirty", "unknown": "0~unknown", "v1.2.0-rc1_x": "1.2.0~rc1.x",
	} {
		if got := debianVersion(version); got != want {
			t.Errorf("debianVersion(%q) = %q, want %q", version, got, want)
		}
	}
}

// The same package twice, from files written at other times and under another
// umask's modes, is the same to the byte; dpkg-deb reads it.
func TestDebianPackage(t *testing.T) {
	documents := []file{{manFolder + "kedge.1", 0o644, []byte(".TH")}, {completionFolder + "kedge.bash", 0o644, nil}, {completionFolder + "_kedge", 0o644, nil}, {completionFolder + "kedge.fish", 0o644, nil}}
	var packages [2][]byte
	for i := range packages {
		r := &release{version: "v1.2.0", date: when, out: t.TempDir(), license: []byte("free"), readme: []byte("read")}
		if err := r.debianPackage(t.TempDir(), target{"linux", "arm64"}, []byte("binary"), documents); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(r.out, "kedge_1.2.0_arm64.deb")
		var err error
		if packages[i], err = os.ReadFile(path); err != nil {
			t.Fatal(err)
		}
		list, err := exec.Command("dpkg-deb", "--contents", path).Output()
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"-rwxr-xr-x root/root", "./usr/bin/kedge", "./usr/share/man/man1/kedge.1.gz", "./usr/share/bash-completion/completions/kedge", "./usr/share/doc/kedge/copyright"} {
			if !strings.Contains(string(list), want) {
				t.Errorf("no %q in\n%s", want, list)
			}
		}
	}
	if !bytes.Equal(packages[0], packages[1]) {
		t.Error("two packages of the same differ")
	}
}

// A folder that holds other things is not emptied.
func TestForeignFilesAreKept(t *testing.T) {
	r := &release{out: t.TempDir()}
	for _, name := range []string{"kedge-v1-linux-amd64.tar.gz", sumsName} {
		if err := os.WriteFile(filepath.Join(r.out, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.emptyOut(); err != nil {
		t.Fatal(err)
	}
	if left, _ := os.ReadDir(r.out); len(left) != 0 {
		t.Errorf("%v are left", left)
	}
	letter := filepath.Join(r.out, "letter.txt")
	if err := os.WriteFile(letter, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := r.emptyOut(); err == nil {
		t.Error("the folder was emptied")
	}
	if _, err := os.Stat(letter); err != nil {
		t.Error(err)
	}
}

func TestSums(t *testing.T) {
	r := &release{out: t.TempDir()}
	for _, name := range []string{"kedge-b", "kedge-a"} {
		if err := os.WriteFile(filepath.Join(r.out, name), []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.sums(); err != nil {
		t.Fatal(err)
	}
	check := exec.Command("sha256sum", "--check", "--strict", sumsName)
	check.Dir = r.out
	if out, err := check.CombinedOutput(); err != nil || string(out) != "kedge-a: OK\nkedge-b: OK\n" {
		t.Errorf("%v: %s", err, out)
	}
}

// The script of Anchore Enterprise's migration Job, with what BASH_ENV names in the
// image: kedge is what it calls, and a command that fails ends it.
func TestBashOfTheEnterpriseJob(t *testing.T) {
	kedge := []byte("#!/bin/sh\necho \"$(basename \"$0\") $*\"\ntest \"$2\" != fails\n")
	archive, err := rootfsOf(kedge, nil, when)
	if err != nil {
		t.Fatal(err)
	}
	image := t.TempDir()
	untar := exec.Command("tar", "--extract", "--gzip", "--directory", image, "--no-same-owner")
	untar.Stdin = bytes.NewReader(archive)
	if out, err := untar.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	run := func(bashEnv, script string) (string, error) {
		cmd := exec.Command("bash", "-c", script)
		cmd.Env = append(os.Environ(), "BASH_ENV="+bashEnv)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	file := filepath.Join(image, "usr/share/kedge/anchore-enterprise.bash")
	if out, err := run(file, "anchore-enterprise-manager objectstorage check\necho complete"); err != nil || out != "anchore-enterprise-manager objectstorage check\ncomplete\n" {
		t.Errorf("%v: %q", err, out)
	}
	if out, err := run(file, "anchore-manager objectstorage fails\necho complete"); err == nil || strings.Contains(out, "complete") {
		t.Errorf("the script went on behind a command that failed (%v): %q", err, out)
	}
	// In the Job's other containers there is no such file, which is no fault.
	if out, err := run(file+".none", "echo own"); err != nil || out != "own\n" {
		t.Errorf("%v: %q", err, out)
	}
}
