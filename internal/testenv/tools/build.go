package tools

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

// Install builds the program unless it is there already, and returns its path.
// What the go command prints goes to out. Several processes may call it at once:
// one builds and the others wait.
func (t Tool) Install(ctx context.Context, root string, out io.Writer) (string, error) {
	path, err := t.path(root)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return "", fmt.Errorf("install %s: %w", t.Name, err)
	}
	lock, err := os.OpenFile(path+".lock", os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return "", fmt.Errorf("install %s: %w", t.Name, err)
	}
	defer lock.Close() // gives the lock back
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return "", fmt.Errorf("install %s: lock: %w", t.Name, err)
	}
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	fmt.Fprintln(out, "building", path)
	if err := t.build(ctx, root, path, out); err != nil {
		return "", fmt.Errorf("install %s: %w", t.Name, err)
	}
	return path, nil
}

// build compiles the program to path, which gets all of it or nothing.
func (t Tool) build(ctx context.Context, root, path string, out io.Writer) error {
	unfinished := path + ".unfinished"
	cmd := exec.CommandContext(ctx, "go", "build", "-mod=readonly", "-trimpath", "-ldflags", "-s -w", "-o", unfinished, t.Package)
	cmd.Dir = t.folder(root)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("go build %s: %w", t.Package, err)
	}
	return os.Rename(unfinished, path)
}
