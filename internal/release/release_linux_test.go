package main

import (
	"archive/tar"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// What "make release" hands out, made and used as its receivers do.
func TestWhatIsHandedOut(t *testing.T) {
	first, second := twoReleases(t)
	t.Run("the same twice", func(t *testing.T) {
		sums := readFile(t, filepath.Join(first, sumsName))
		if again := readFile(t, filepath.Join(second, sumsName)); sums != again {
			t.Errorf("two releases of one commit:\n%s\n%s", sums, again)
		}
		if lines := strings.Count(sums, "\n"); lines != 4 {
			t.Errorf("%d files:\n%s", lines, sums)
		}
	})
	t.Run("archive", func(t *testing.T) { testArchive(t, first) })
	t.Run("container", func(t *testing.T) { testContainer(t, first) })
	t.Run("Debian package", func(t *testing.T) { testInstallation(t, first) })
	t.Run("components", func(t *testing.T) { testHandedOutComponents(t, first) })
}

const handedOutVersion = "v1.2.3-test"

// twoReleases makes a release here, and another one of a copy of the sources in
// another folder; it gives the folders of the results.
func twoReleases(t *testing.T) (first, second string) {
	source, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	elsewhere := filepath.Join(t.TempDir(), "a folder of another name")
	copySources(t, source, elsewhere)
	out := []string{filepath.Join(t.TempDir(), "first"), filepath.Join(t.TempDir(), "second")}
	for i, folder := range []string{source, elsewhere} {
		cmd := exec.CommandContext(t.Context(), "make", "release", "TARGETS=linux/"+runtime.GOARCH, "OUT="+out[i],
			"VERSION="+handedOutVersion, "COMMIT=0123456789abcdef", "DATE=2026-01-02T03:04:05Z")
		cmd.Dir = folder
		for _, variable := range os.Environ() { // what the make around this test says is not for this one
			if !strings.HasPrefix(variable, "MAKE") && !strings.HasPrefix(variable, "MFLAGS=") {
				cmd.Env = append(cmd.Env, variable)
			}
		}
		if said, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("make release: %v\n%s", err, said)
		}
	}
	return out[0], out[1]
}

// copySources copies the files that belong to the sources, but not what was
// built.
func copySources(t *testing.T, from, to string) {
	list := exec.Command("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	list.Dir = from
	names, err := list.Output()
	if err != nil {
		t.Fatalf("git ls-files: %v", err)
	}
	for name := range strings.SplitSeq(strings.TrimSuffix(string(names), "\x00"), "\x00") {
		info, err := os.Lstat(filepath.Join(from, name))
		if errors.Is(err, fs.ErrNotExist) || err == nil && !info.Mode().IsRegular() {
			continue // removed and not yet committed
		}
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(to, name), readFile(t, filepath.Join(from, name)), info.Mode().Perm())
	}
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func write(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

func handedOut(folder, ending string) string {
	return filepath.Join(folder, fmt.Sprintf("kedge-%s-linux-%s.%s", handedOutVersion, runtime.GOARCH, ending))
}

// run runs a program of the system and gives what it printed.
func runProgram(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
	return string(out)
}

// inside runs a program with a folder as its whole file system, as a user of its
// own, which needs no root.
func inside(t *testing.T, root string, user int, path string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), path, args...)
	cmd.Dir = "/"
	cmd.Env = []string{"HOME=/" + containerHome}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Chroot: root, Cloneflags: syscall.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: user, HostID: os.Geteuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: user, HostID: os.Getegid(), Size: 1}},
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q in %s: %v\n%s", path, args, root, err, out)
	}
	return string(out)
}

// The archive has what it should, and its binary needs nothing around it.
func testArchive(t *testing.T, release string) {
	folder := t.TempDir()
	runProgram(t, "tar", "--extract", "--file", handedOut(release, "tar.gz"), "--directory", folder, "--strip-components", "1")
	for _, name := range []string{"LICENSE", "README.md", "man/man1/kedge.1", "man/man1/kedge-migrate.1", "completions/kedge.bash", "completions/_kedge", "completions/kedge.fish"} {
		if readFile(t, filepath.Join(folder, name)) == "" {
			t.Errorf("%s is empty", name)
		}
	}
	pages, err := filepath.Glob(filepath.Join(folder, "man/man1/kedge*.1"))
	if err != nil || len(pages) < 13 {
		t.Errorf("the manual has only %q (%v)", pages, err)
	}
	if said := runProgram(t, "mandoc", append([]string{"-T", "lint", "-W", "warning"}, pages...)...) + runProgram(t, "groff", append([]string{"-man", "-ww", "-T", "utf8", "-z"}, pages...)...); said != "" {
		t.Error(said)
	}
	if err := checkStatic(filepath.Join(folder, "kedge")); err != nil {
		t.Error(err)
	}
	empty := t.TempDir()
	if err := os.Rename(filepath.Join(folder, "kedge"), filepath.Join(empty, "kedge")); err != nil {
		t.Fatal(err)
	}
	if said := inside(t, empty, 0, "/kedge", "--version"); !strings.HasPrefix(said, "kedge "+handedOutVersion+" (commit 0123456789ab, 2026-01-02, go") {
		t.Error(said)
	}
	if said := inside(t, empty, 0, "/kedge", "list-drivers"); !strings.Contains(said, "localfs") {
		t.Error(said)
	}
}

// The container's file system belongs to whom it should, and a migration runs in
// it: there is no /etc/ssl, /proc or /dev.
func testContainer(t *testing.T, release string) {
	path := handedOut(release, "rootfs.tar.gz")
	var got []string
	unpack(t, []byte(readFile(t, path)), func(h *tar.Header, _ []byte) {
		got = append(got, fmt.Sprintf("%s %o %d:%d", h.Name, h.Mode, h.Uid, h.Gid))
	})
	want := []string{
		"tmp/ 1777 0:0", "var/ 755 0:0", "var/lib/ 755 0:0", "var/lib/kedge/ 700 65532:65532",
		"etc/ 755 0:0", "etc/group 644 0:0", "etc/passwd 644 0:0", "usr/ 755 0:0", "usr/bin/ 755 0:0",
		"usr/bin/anchore-enterprise-manager 777 0:0", "usr/bin/anchore-manager 777 0:0", "usr/bin/kedge 755 0:0",
		"usr/share/ 755 0:0", "usr/share/doc/ 755 0:0", "usr/share/doc/kedge/ 755 0:0", "usr/share/doc/kedge/copyright 644 0:0",
		"usr/share/kedge/ 755 0:0", "usr/share/kedge/anchore-enterprise.bash 644 0:0",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	checkDockerfile(t, release, got)
	root := t.TempDir()
	runProgram(t, "tar", "--extract", "--file", path, "--directory", root, "--no-same-owner")
	said := inside(t, root, containerUser, "/usr/bin/kedge", "demo")
	if !strings.Contains(said, "5000 documents read back, every byte as it was; nothing left at the source") {
		t.Error(said)
	}
	if left, err := os.ReadDir(filepath.Join(root, "tmp")); err != nil || len(left) > 0 {
		t.Errorf("the demonstration left %v (%v)", left, err)
	}
}

// checkDockerfile fails the test unless the image is made of a file of the
// release, and what it names is in there.
func checkDockerfile(t *testing.T, release string, paths []string) {
	t.Helper()
	text := readFile(t, filepath.Join("..", "..", "contrib", "docker", "Dockerfile"))
	lines := make(map[string]string)
	for line := range strings.Lines(text) {
		instruction, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		lines[instruction] = rest
	}
	added := strings.NewReplacer("${VERSION}", handedOutVersion, "${TARGETARCH}", runtime.GOARCH, " /", "").Replace(lines["ADD"])
	if added == "" || readFile(t, filepath.Join(release, added)) == "" {
		t.Errorf("%q is empty", added)
	}
	if lines["FROM"] != "scratch" || lines["USER"] != fmt.Sprintf("%d:%[1]d", containerUser) || lines["VOLUME"] != "/"+containerHome {
		t.Errorf("the image is another one than what the release is made for:\n%s", text)
	}
	entry := strings.Trim(lines["ENTRYPOINT"], `[]"`)
	if !slices.Contains(paths, strings.TrimPrefix(entry, "/")+" 755 0:0") || path.Dir(entry) != strings.TrimPrefix(strings.Fields(lines["ENV"])[0], "PATH=") {
		t.Errorf("ENTRYPOINT %s, ENV %s", lines["ENTRYPOINT"], lines["ENV"])
	}
}

// dpkg installs the package into a root of its own, and removes all of it.
func testInstallation(t *testing.T, release string) {
	root := t.TempDir()
	for _, name := range []string{"status", "available", "info/format"} {
		write(t, filepath.Join(root, "var/lib/dpkg", name), map[bool]string{true: "1\n"}[name == "info/format"], 0o644)
	}
	for _, name := range []string{"updates", "triggers", "parts"} {
		if err := os.MkdirAll(filepath.Join(root, "var/lib/dpkg", name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	before := below(t, root)
	dpkg := func(args ...string) string {
		return runProgram(t, "dpkg", append([]string{"--root", root, "--force-not-root", "--log", filepath.Join(t.TempDir(), "dpkg.log")}, args...)...)
	}
	dpkg("--install", filepath.Join(release, fmt.Sprintf("kedge_%s_%s.deb", debianVersion(handedOutVersion), runtime.GOARCH)))
	if said := dpkg("--verify", "kedge") + dpkg("--audit"); said != "" {
		t.Error(said)
	}
	if said := inside(t, root, 0, "/usr/bin/kedge", "--version"); !strings.Contains(said, handedOutVersion) {
		t.Error(said)
	}
	if said := runProgram(t, "mandoc", "-T", "utf8", "-W", "warning,stop", filepath.Join(root, "usr/share/man/man1/kedge-migrate.1.gz")); !strings.Contains(said, "--") {
		t.Error(said)
	}
	for _, name := range []string{"bash-completion/completions/kedge", "zsh/vendor-completions/_kedge", "fish/vendor_completions.d/kedge.fish"} {
		if !strings.Contains(readFile(t, filepath.Join(root, "usr/share", name)), "nodelete") {
			t.Errorf("%s completes nothing", name)
		}
	}
	dpkg("--purge", "kedge")
	for path := range below(t, root) {
		if !before[path] && !strings.HasPrefix(path, "var/lib/dpkg/") {
			t.Errorf("%s is left", path)
		}
	}
	if left := dpkg("--get-selections"); left != "" {
		t.Errorf("dpkg still knows of %s", left)
	}
}

func below(t *testing.T, root string) map[string]bool {
	t.Helper()
	found := make(map[string]bool)
	err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if err == nil {
			path, err = filepath.Rel(root, path)
			found[path] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// The list of components has what CycloneDX requires, names each once, and names
// every module that go.mod requires of the program.
func testHandedOutComponents(t *testing.T, release string) {
	text := readFile(t, handedOut(release, "cdx.json"))
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.DisallowUnknownFields()
	var b bom
	if err := decoder.Decode(&b); err != nil {
		t.Fatal(err)
	}
	if b.Format != "CycloneDX" || b.SpecVersion != "1.5" || b.Version < 1 {
		t.Errorf("bomFormat %q, specVersion %q, version %d", b.Format, b.SpecVersion, b.Version)
	}
	refs := make(map[string]bool)
	for _, c := range append(b.Components, b.Metadata.Component) {
		if c.Type == "" || c.Name == "" || c.Version == "" || c.Ref == "" || !regexp.MustCompile(`^pkg:golang/[a-z0-9./~_-]+@[^/+ ]+$`).MatchString(c.URL) {
			t.Errorf("%+v", c)
		}
		if refs[c.Ref] {
			t.Errorf("%s is there twice", c.Ref)
		}
		refs[c.Ref] = true
	}
	for _, d := range b.Dependencies {
		for _, ref := range append(d.DependsOn, d.Ref) {
			if !refs[ref] {
				t.Errorf("there is no component %s", ref)
			}
		}
	}
	for _, name := range []string{"std", "github.com/jackc/pgx/v5", "modernc.org/sqlite", "github.com/aws/aws-sdk-go-v2", "golang.org/x/crypto/x509roots/fallback"} {
		if !strings.Contains(text, `"name": "`+name+`"`) {
			t.Errorf("%s is not listed", name)
		}
	}
}
