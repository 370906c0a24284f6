package main

import (
	"crypto/md5"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

const control = `Package: kedge
Version: %s
Architecture: %s
Maintainer: The kedge authors <kedge@kedge.invalid>
Installed-Size: %d
Recommends: ca-certificates
Section: admin
Priority: optional
Description: moves an Anchore installation's archive between storage backends
 Moves the documents of an Anchore installation's archive between database,
 files, Amazon S3 and OpenStack Swift, and the storage of a registry between
 files and S3. An interrupted migration is resumed by the same command.
`

// debianPackage makes the package of a platform with dpkg-deb.
func (r *release) debianPackage(work string, t target, binary []byte, documents []file) error {
	files, err := debianFiles(binary, documents, r.license, r.readme)
	if err != nil {
		return err
	}
	version := debianVersion(r.version)
	var sums strings.Builder
	size := 0
	for _, f := range files {
		fmt.Fprintf(&sums, "%x  %s\n", md5.Sum(f.data), f.path)
		size += (len(f.data) + 1023) / 1024
	}
	files = append(files,
		file{"DEBIAN/control", 0o644, []byte(fmt.Sprintf(control, version, t.arch, size))},
		file{"DEBIAN/md5sums", 0o644, []byte(sums.String())})
	root := filepath.Join(work, "deb-"+t.String())
	if err := r.lay(root, files); err != nil {
		return err
	}
	result := filepath.Join(r.out, fmt.Sprintf("kedge_%s_%s.deb", version, t.arch))
	cmd := exec.Command("dpkg-deb", "--root-owner-group", "--uniform-compression", "-Zxz", "--threads-max=1", "--build", root, result)
	cmd.Env = append(os.Environ(), fmt.Sprintf("SOURCE_DATE_EPOCH=%d", r.date.Unix()))
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("dpkg-deb: %w\n%s", err, out)
	}
	return nil
}

// debianFiles are the package's files in the places of the Debian policy.
func debianFiles(binary []byte, documents []file, license, readme []byte) ([]file, error) {
	files := []file{
		{"usr/bin/kedge", 0o755, binary},
		{"usr/share/doc/kedge/copyright", 0o644, license},
		{"usr/share/doc/kedge/README.md", 0o644, readme},
	}
	places := map[string]string{
		completionFiles["bash"]: "usr/share/bash-completion/completions/kedge",
		completionFiles["zsh"]:  "usr/share/zsh/vendor-completions/_kedge",
		completionFiles["fish"]: "usr/share/fish/vendor_completions.d/kedge.fish",
	}
	for _, d := range documents {
		if page, isPage := strings.CutPrefix(d.path, manFolder); isPage {
			packed, err := gzipped(d.data)
			if err != nil {
				return nil, err
			}
			files = append(files, file{"usr/share/man/man1/" + page + ".gz", 0o644, packed})
			continue
		}
		place, known := places[strings.TrimPrefix(d.path, completionFolder)]
		if !known {
			return nil, fmt.Errorf("a package has no place for %s", d.path)
		}
		files = append(files, file{place, 0o644, d.data})
	}
	sortFiles(files)
	return files, nil
}

// lay writes files below a folder, all with the release's time.
func (r *release) lay(root string, files []file) error {
	for _, f := range files {
		path := filepath.Join(root, filepath.FromSlash(f.path))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, f.data, f.mode); err != nil {
			return err
		}
		if err := os.Chmod(path, f.mode); err != nil { // whatever the umask is
			return err
		}
	}
	return filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err == nil && e.IsDir() {
			err = os.Chmod(path, 0o755)
		}
		if err != nil {
			return err
		}
		return os.Chtimes(path, r.date, r.date)
	})
}

// debianVersion is the version in Debian's spelling: without the "v"; v1.2.0-rc1
// comes before 1.2.0, v1.2.0-3-gabcdef0 (git describe) after it. What does not
// begin with a number comes before every version.
func debianVersion(version string) string {
	number := strings.TrimPrefix(version, "v")
	if number == "" || number[0] < '0' || number[0] > '9' || !strings.Contains(number, ".") {
		return "0~" + debianWord(number)
	}
	base, rest, found := strings.Cut(number, "-")
	switch {
	case !found:
		return debianWord(base)
	case rest != "" && rest[0] >= '0' && rest[0] <= '9', rest == "dirty":
		return debianWord(base) + "+" + debianWord(rest)
	}
	return debianWord(base) + "~" + debianWord(rest)
}

// debianWord keeps what may stand in a version; "-" would begin a revision.
func debianWord(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= '0' && r <= '9', r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r == '.', r == '+', r == '~':
			return r
		}
		return '.'
	}, s)
}
