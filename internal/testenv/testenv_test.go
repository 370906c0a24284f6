package testenv

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestMain(m *testing.M) { os.Exit(Main(m)) }

// helperVariable makes the test binary play the part of one that is killed.
const helperVariable = "KEDGE_TESTENV_HELPER"

// TestHelper starts every server, tells their processes, and waits to be
// killed. By itself it does nothing: it is one half of TestServersDieWithParent.
func TestHelper(t *testing.T) {
	if os.Getenv(helperVariable) == "" {
		return
	}
	fmt.Println("folder", environmentOf(t).folder)
	fmt.Println("pid", NewPostgres(t, PostgresOptions{}).process.pid)
	for _, s := range S3Servers(t) {
		fmt.Println("pid", s.process.pid)
	}
	fmt.Println("ready")
	_, _ = io.Copy(io.Discard, os.Stdin) // until killed, or the other half ends
}

func TestServersDieWithParent(t *testing.T) {
	folder, pids, kill := startHelper(t)
	for _, pid := range pids {
		if ended(pid) {
			t.Fatalf("process %d has ended before the kill", pid)
		}
	}
	kill()
	for _, pid := range pids {
		if !endsSoon(pid) {
			t.Errorf("process %d lives on after its parent was killed", pid)
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}

	if _, err := os.Stat(folder); err != nil {
		t.Fatal("folder of the killed parent:", err)
	}
	removeAbandoned(filepath.Dir(folder))
	if _, err := os.Stat(folder); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("folder of the killed parent is still there: %s (%v)", folder, err)
	}
	if _, err := os.Stat(environmentOf(t).folder); err != nil {
		t.Error("our own folder was taken for an abandoned one:", err)
	}
}

// startHelper runs TestHelper in another process until its servers answer.
func startHelper(t *testing.T) (folder string, pids []int, kill func()) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestHelper$")
	cmd.Env = append(os.Environ(), helperVariable+"=1")
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	kill = func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		_ = stdin.Close()
	}
	t.Cleanup(kill)

	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		word, value, _ := strings.Cut(lines.Text(), " ")
		switch word {
		case "folder":
			folder = value
		case "pid":
			var pid int
			if _, err := fmt.Sscan(value, &pid); err != nil {
				t.Fatal(err)
			}
			pids = append(pids, pid)
		case "ready":
			if len(pids) != 3 || folder == "" {
				t.Fatalf("helper has processes %v in %q; want three", pids, folder)
			}
			return folder, pids, kill
		default:
			t.Log("helper:", lines.Text())
		}
	}
	t.Fatal("the helper ended early:", lines.Err())
	return "", nil, nil
}

// endsSoon waits, bounded, until a process has ended.
func endsSoon(pid int) bool {
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if ended(pid) {
			return true
		}
	}
	return false
}

// ended says whether a process has ended; one that nobody waits for (an
// orphan's new parent may be slow) has.
func ended(pid int) bool {
	if errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
		return true
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return errors.Is(err, os.ErrNotExist)
	}
	_, state, _ := strings.Cut(string(stat), ") ")
	return strings.HasPrefix(state, "Z")
}

func TestProcessThatFailsShowsItsLastWords(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	p, err := startProcess("failing", exec.Command("/bin/sh", "-c", "echo no disk >&2; exit 3"), log)
	if err != nil {
		t.Fatal(err)
	}
	err = awaitReady(p, func(context.Context) error { return errors.New("no answer") })
	if err == nil || !strings.Contains(err.Error(), "no disk") || !strings.Contains(err.Error(), "exit status 3") {
		t.Errorf("error is %v; want the exit status and what the process said", err)
	}
}

func TestTakenPortIsTriedAgain(t *testing.T) {
	taken, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	s := NewVersityGW(t)
	s.Stop(t)
	free := s.port
	s.port = taken.Addr().(*net.TCPAddr).Port
	s.URL = "http://" + s.address()
	if err := s.start(); !errors.Is(err, errPortTaken) {
		t.Errorf("start on a taken port: %v; want errPortTaken", err)
	}
	s.port = free
	s.URL = "http://" + s.address()
	s.Start(t)

	calls := 0
	err = onFreePort(func(int) error {
		if calls++; calls < 3 {
			return fmt.Errorf("a server: %w", errPortTaken)
		}
		return nil
	})
	if err != nil || calls != 3 {
		t.Errorf("onFreePort made %d calls and returned %v; want 3 and nil", calls, err)
	}
}
