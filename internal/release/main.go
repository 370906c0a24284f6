// Command release builds what is handed out of kedge: static binaries in
// tar.gz archives with the manual and the shells' completions, Debian packages,
// the root file system of a container, a list of components (CycloneDX) of each
// binary, and SHA256SUMS. The same commit and the same Go give the same bytes, on
// any day and machine: the only time in them is the commit's.
package main

import (
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// release is what is to be built.
type release struct {
	version, commit string
	date            time.Time // of the commit
	targets         []target
	out             string // folder of the results; emptied first
	source          string // the module's folder
	license, readme []byte
}

// target is a platform.
type target struct{ os, arch string }

func (t target) String() string { return t.os + "-" + t.arch }

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	r, err := parse(args)
	if err != nil {
		return err
	}
	return r.build()
}

func parse(args []string) (*release, error) {
	r := &release{source: "."}
	flags := flag.NewFlagSet("release", flag.ContinueOnError)
	flags.StringVar(&r.version, "version", "", "version, such as v1.2.0")
	flags.StringVar(&r.commit, "commit", "", "the commit's hash")
	flags.StringVar(&r.out, "out", "bin/release", "folder of the results, which is emptied first")
	date := flags.String("date", "", "the commit's date, as RFC 3339 has it")
	targets := flags.String("targets", "linux/amd64,linux/arm64,darwin/arm64", "platforms")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	if r.version == "" || strings.ContainsAny(r.version, "/ \t") || r.commit == "" {
		return nil, errors.New("-version and -commit must be given")
	}
	when, err := time.Parse(time.RFC3339, *date)
	if err != nil {
		return nil, fmt.Errorf("-date: %w", err)
	}
	r.date = when.UTC()
	for _, name := range strings.Split(*targets, ",") {
		system, arch, found := strings.Cut(strings.TrimSpace(name), "/")
		if !found {
			return nil, fmt.Errorf("-targets: %q is no platform such as linux/amd64", name)
		}
		r.targets = append(r.targets, target{system, arch})
	}
	return r, nil
}

// build makes everything.
func (r *release) build() (err error) {
	if r.license, err = os.ReadFile(filepath.Join(r.source, "LICENSE")); err != nil {
		return err
	}
	if r.readme, err = os.ReadFile(filepath.Join(r.source, "README.md")); err != nil {
		return err
	}
	if err := r.emptyOut(); err != nil {
		return err
	}
	work, err := os.MkdirTemp("", "kedge-release-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	documents, err := r.documents(work)
	if err != nil {
		return err
	}
	for _, t := range r.targets {
		if err := r.buildTarget(work, t, documents); err != nil {
			return fmt.Errorf("%s: %w", t, err)
		}
	}
	return r.sums()
}

// emptyOut makes the folder of the results. It removes what an earlier release
// left there, and refuses a folder that holds anything else.
func (r *release) emptyOut() error {
	entries, err := os.ReadDir(r.out)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	for _, e := range entries {
		if !e.Type().IsRegular() || e.Name() != sumsName && !strings.HasPrefix(e.Name(), "kedge") {
			return fmt.Errorf("%s holds %s, which is no part of a release: empty it, or give another folder", r.out, e.Name())
		}
	}
	for _, e := range entries {
		if err := os.Remove(filepath.Join(r.out, e.Name())); err != nil {
			return err
		}
	}
	return os.MkdirAll(r.out, 0o755)
}

// buildTarget makes the binary of a platform and what it goes into.
func (r *release) buildTarget(work string, t target, documents []file) error {
	name := fmt.Sprintf("kedge-%s-%s", r.version, t)
	path, err := r.program(work, t)
	if err != nil {
		return err
	}
	binary, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if t.os == "linux" {
		if err := checkStatic(path); err != nil {
			return err
		}
	}
	components, err := r.components(path, binary)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(r.out, name+".cdx.json"), components, 0o644); err != nil {
		return err
	}
	files := append([]file{{"kedge", 0o755, binary}, {"LICENSE", 0o644, r.license}, {"README.md", 0o644, r.readme}}, documents...)
	archive, err := tarball(name, files, r.date)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(r.out, name+".tar.gz"), archive, 0o644); err != nil {
		return err
	}
	if t.os != "linux" {
		return nil
	}
	if err := r.rootfs(t, binary); err != nil {
		return err
	}
	return r.debianPackage(work, t, binary, documents)
}

const sumsName = "SHA256SUMS"

// sums writes the checksums of all results, as sha256sum prints and checks them.
func (r *release) sums() error {
	entries, err := os.ReadDir(r.out)
	if err != nil {
		return err
	}
	var lines []string
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(r.out, e.Name()))
		if err != nil {
			return err
		}
		lines = append(lines, fmt.Sprintf("%x  %s\n", sha256.Sum256(data), e.Name()))
	}
	slices.SortFunc(lines, func(a, b string) int { return strings.Compare(a[sha256.Size*2:], b[sha256.Size*2:]) })
	return os.WriteFile(filepath.Join(r.out, sumsName), []byte(strings.Join(lines, "")), 0o644)
}
