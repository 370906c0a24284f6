package testenv

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/kedge/kedge/internal/testenv/tools"
)

// Terminal is a terminal with a program in it: tmux, so that it behaves as
// terminals do when it is resized while lines are wrapped. Its methods must be
// called from the test's own goroutine.
type Terminal struct {
	tb     testing.TB
	tmux   string
	socket string
	server *process
}

// terminalConfig keeps what has scrolled away and what stands there when the
// program has ended, and leaves all lines to the program.
const terminalConfig = `set -g history-limit 100000
set -g remain-on-exit on
set -g remain-on-exit-format ""
set -g status off
set -g default-terminal screen-256color
set -g escape-time 0
`

// NewTerminal starts a program with its arguments in a terminal of so many
// columns and lines, with more environment variables ("NAME=value"). The
// terminal is gone at the test's end, and the program with it.
func NewTerminal(tb testing.TB, columns, lines int, environment []string, program ...string) *Terminal {
	tb.Helper()
	t, err := startTerminal(tb, environmentOf(tb))
	if err != nil {
		tb.Fatalf("testenv: %v", err)
	}
	args := []string{"new-session", "-d", "-x", strconv.Itoa(columns), "-y", strconv.Itoa(lines)}
	for _, variable := range environment {
		args = append(args, "-e", variable)
	}
	// Nothing is recorded by pipe-pane: with it tmux 3.3 does not always notice
	// that the program has ended.
	t.run(append(append(args, "--"), program...)...)
	return t
}

func startTerminal(tb testing.TB, env *environment) (*Terminal, error) {
	tmux, err := tools.Tmux()
	if err != nil {
		return nil, err
	}
	dir, err := env.serverFolder("tmux")
	if err != nil {
		return nil, err
	}
	config := filepath.Join(dir, "tmux.conf")
	if err := os.WriteFile(config, []byte(terminalConfig), 0o600); err != nil {
		return nil, err
	}
	t := &Terminal{tb: tb, tmux: tmux, socket: filepath.Join(dir, "socket")}
	// In the foreground, so that it dies with the test binary.
	cmd := exec.Command(tmux, "-D", "-S", t.socket, "-f", config)
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "TMUX=")
	p, err := startProcess("tmux", cmd, filepath.Join(dir, "log"))
	if err != nil {
		return nil, err
	}
	t.server = p
	tb.Cleanup(func() { p.stop(syscall.SIGTERM) })
	return t, awaitReady(p, func(ctx context.Context) error {
		return exec.CommandContext(ctx, tmux, "-N", "-S", t.socket, "show-options", "-g").Run()
	})
}

// run has tmux do something, and returns what it prints.
func (t *Terminal) run(args ...string) string {
	t.tb.Helper()
	out, err := exec.CommandContext(t.tb.Context(), t.tmux, append([]string{"-N", "-u", "-S", t.socket}, args...)...).CombinedOutput()
	if err != nil {
		t.tb.Fatalf("testenv: tmux %q: %v\n%s\nthe server has ended: %v %v, its last words:\n%s", args, err, out, t.server.exited(), t.server.err, t.server.tail())
	}
	return string(out)
}

// Text is what was printed since the start and still stands there, be it above
// the screen; a line that was too long for the screen is one.
func (t *Terminal) Text() []string {
	t.tb.Helper()
	return textLines(t.run("capture-pane", "-p", "-J", "-S", "-"))
}

// Coloured says whether anything on the screen has a colour, or is bold or dim.
func (t *Terminal) Coloured() bool {
	t.tb.Helper()
	return strings.Contains(t.run("capture-pane", "-p", "-e"), "\x1b[")
}

// textLines cuts off what is blank at the ends of lines and below the last one.
func textLines(text string) []string {
	lines := strings.Split(strings.TrimRight(text, " \n"), "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	return lines
}

// Resize makes the terminal so many columns wide and so many lines high.
func (t *Terminal) Resize(columns, lines int) {
	t.tb.Helper()
	t.run("resize-window", "-x", strconv.Itoa(columns), "-y", strconv.Itoa(lines))
}

// Type types keys, by tmux's names for them, such as C-c.
func (t *Terminal) Type(keys ...string) {
	t.tb.Helper()
	t.run(append([]string{"send-keys"}, keys...)...)
}

// Process is the process id of the program.
func (t *Terminal) Process() int {
	t.tb.Helper()
	pid, err := strconv.Atoi(t.show("#{pane_pid}"))
	if err != nil {
		t.tb.Fatal(err)
	}
	return pid
}

// Cursor says whether the cursor is shown; it is not when the program has ended.
func (t *Terminal) Cursor() (shown bool) {
	t.tb.Helper()
	return t.show("#{cursor_flag}") == "1"
}

// Ended says whether the program has ended, and its exit status.
func (t *Terminal) Ended() (status int, ended bool) {
	t.tb.Helper()
	told := t.show("#{pane_dead} #{pane_dead_status}")
	if told == "1" {
		// tmux 3.3 may miss the signal that its child has ended, and leaves it
		// unreaped: it is told again.
		_ = syscall.Kill(t.server.pid, syscall.SIGCHLD) // a server that is gone is noticed next time
	}
	if !strings.HasPrefix(told, "1 ") {
		return 0, false
	}
	status, err := strconv.Atoi(strings.TrimPrefix(told, "1 "))
	if err != nil {
		t.tb.Fatalf("testenv: the program ended with %q", told)
	}
	return status, true
}

func (t *Terminal) show(format string) string {
	t.tb.Helper()
	return strings.TrimSpace(t.run("display-message", "-p", format))
}

// Await asks again and again until it is so, for a minute.
func (t *Terminal) Await(what string, so func() bool) {
	t.tb.Helper()
	for deadline := time.Now().Add(time.Minute); !so(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.tb.Fatalf("waited in vain for %s; the terminal shows\n%s", what, strings.Join(t.Text(), "\n"))
		}
	}
}
