package tools

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
)

// Where Debian's packages put Chromium and the program that drives it.
const (
	chromium     = "/usr/bin/chromium"
	chromeDriver = "/usr/bin/chromedriver"
)

// Browser returns the paths of Chromium and of ChromeDriver; its error says how
// to install what is missing.
func Browser() (browser, driver string, err error) {
	for _, path := range []string{chromium, chromeDriver} {
		if _, err := os.Stat(path); err != nil {
			return "", "", fmt.Errorf("the browser Chromium is not installed: %w; %s", err, mend)
		}
	}
	return chromium, chromeDriver, nil
}

// Promtool returns the path of Prometheus's promtool; its error says how to
// install it.
func Promtool() (string, error) {
	path, err := promtoolPath()
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("promtool is not installed: %w; %s", err, mend)
	}
	return path, nil
}

func promtoolPath() (string, error) {
	cache, err := cacheFolder()
	if err != nil {
		return "", err
	}
	return filepath.Join(cache, "promtool"), nil
}

// installPromtool takes promtool out of Debian's package prometheus, which is
// not installed: it would start a server.
func installPromtool(ctx context.Context, out io.Writer) error {
	path, err := promtoolPath()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("install promtool: %w", err)
	}
	folder, err := os.MkdirTemp(filepath.Dir(path), "prometheus-")
	if err != nil {
		return fmt.Errorf("install promtool: %w", err)
	}
	defer os.RemoveAll(folder)
	for _, command := range [][]string{
		{"apt-get", "download", "prometheus"},
		{"sh", "-c", "dpkg-deb --fsys-tarfile prometheus_*.deb | tar -x ./usr/bin/promtool"},
	} {
		cmd := exec.CommandContext(ctx, command[0], command[1:]...)
		cmd.Dir, cmd.Stdout, cmd.Stderr = folder, out, out
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("install promtool, on Debian or a relative: %q: %w", command, err)
		}
	}
	return os.Rename(filepath.Join(folder, "usr", "bin", "promtool"), path)
}
