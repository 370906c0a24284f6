package tools

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
)

// createClusterConfig keeps Debian's package from making and starting a server
// of its own, which the tests have no use for.
const createClusterConfig = "/etc/postgresql-common/createcluster.conf"

// programs are what the tests run, and the packages that have them: what reads
// the manual and the completion scripts, makes the release, checks the unit, and mounts
// a bucket.
var programs = []struct{ name, pack string }{
	{"groff", "groff-base"},
	{"mandoc", "mandoc"},
	{"zsh", "zsh"},
	{"fish", "fish"},
	{"systemd-analyze", "systemd"},
	{"s3fs", "s3fs"},
}

// InstallPackages installs what the tests need of Debian's packages, unless it
// is there already: PostgreSQL, PgBouncer, OpenStack Swift, its client and Keystone (libraries only;
// nothing is started), Chromium with its driver and letters to write with,
// promtool, tmux, NTFS in user space, a C compiler for the race detector, and programs. That needs root.
// What apt-get prints goes to out.
func InstallPackages(ctx context.Context, out io.Writer) error {
	var missing []string
	if _, err := PostgresFolder(); err != nil {
		missing = append(missing, "postgresql")
		if err := writeIfAbsent(createClusterConfig, "create_main_cluster = false\n"); err != nil {
			return fmt.Errorf("before installing PostgreSQL: %w", err)
		}
	}
	if !hasCompiler() {
		missing = append(missing, "gcc", "libc6-dev")
	}
	if _, err := Swift(); err != nil {
		missing = append(missing, "python3-swift")
	}
	if _, err := SwiftClient(); err != nil {
		missing = append(missing, "python3-swiftclient")
	}
	if _, err := Keystone(); err != nil {
		missing = append(missing, "python3-keystone")
	}
	for _, program := range programs {
		if _, err := exec.LookPath(program.name); err != nil {
			missing = append(missing, program.pack)
		}
	}
	if _, _, err := NTFS(); err != nil {
		missing = append(missing, "ntfs-3g")
	}
	if _, err := Tmux(); err != nil {
		missing = append(missing, "tmux")
	}
	if _, err := PgBouncer(); err != nil {
		missing = append(missing, "pgbouncer")
	}
	if _, _, err := Browser(); err != nil {
		missing = append(missing, "chromium", "chromium-driver", "fonts-dejavu-core")
	}
	_, noPromtool := Promtool()
	if len(missing) == 0 && noPromtool == nil {
		return nil
	}
	if err := aptGet(ctx, out, "update"); err != nil {
		return err
	}
	if noPromtool != nil {
		if err := installPromtool(ctx, out); err != nil {
			return err
		}
	}
	if len(missing) == 0 {
		return nil
	}
	// A configuration file that is there already is kept without a question.
	install := []string{"install", "-y", "--no-install-recommends", "-o", "Dpkg::Options::=--force-confold"}
	return aptGet(ctx, out, append(install, missing...)...)
}

// hasCompiler says whether cgo finds a C compiler.
func hasCompiler() bool {
	for _, name := range []string{os.Getenv("CC"), "gcc", "clang"} {
		if name == "" {
			continue
		}
		if _, err := exec.LookPath(name); err == nil {
			return true
		}
	}
	return false
}

func aptGet(ctx context.Context, out io.Writer, args ...string) error {
	cmd := exec.CommandContext(ctx, "apt-get", args...)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("as root, on Debian or a relative: apt-get %q: %w", args, err)
	}
	return nil
}

func writeIfAbsent(path, text string) error {
	if os.Geteuid() != 0 {
		return nil // apt-get will say so
	}
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, []byte(text), 0o644)
}
