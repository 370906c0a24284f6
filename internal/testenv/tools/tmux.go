package tools

import (
	"fmt"
	"os/exec"
)

// Tmux returns the path of tmux, the terminal of the tests; its error says how to
// install it.
func Tmux() (path string, err error) {
	if path, err = exec.LookPath("tmux"); err != nil {
		return "", fmt.Errorf("tmux is not installed: %w; %s", err, mend)
	}
	return path, nil
}
