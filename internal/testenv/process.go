package testenv

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// process is a server's child process. It dies with the test binary.
type process struct {
	name  string
	log   string // the file that has what it printed
	pid   int
	alive context.Context // cancelled when it has ended and err is set
	end   context.CancelFunc
	err   error
}

// startProcess starts cmd in a process group of its own, with what it prints
// going to the file log, which is begun anew.
func startProcess(name string, cmd *exec.Cmd, log string) (*process, error) {
	out, err := os.OpenFile(log, os.O_WRONLY|os.O_CREATE|os.O_APPEND|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	defer out.Close()
	cmd.Stdout, cmd.Stderr = out, out
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true
	dieWithParent(cmd.SysProcAttr)

	p := &process{name: name, log: log}
	p.alive, p.end = context.WithCancel(context.Background())
	started := make(chan error)
	go p.own(cmd, started)
	if err := <-started; err != nil {
		p.end()
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	return p, nil
}

// own starts the process and waits for its end. It keeps its thread all the
// while: the kernel sends the parent-death signal when the thread that forked
// ends, not when the process does, and Go ends idle threads as it likes.
func (p *process) own(cmd *exec.Cmd, started chan<- error) {
	runtime.LockOSThread()
	if err := cmd.Start(); err != nil {
		runtime.UnlockOSThread()
		started <- err
		return
	}
	p.pid = cmd.Process.Pid
	started <- nil
	p.err = cmd.Wait()
	runtime.UnlockOSThread()
	p.end()
}

// exited says whether the process has ended.
func (p *process) exited() bool {
	return p.alive.Err() != nil
}

// stopGrace is how long a process may take to end when asked to.
const stopGrace = 20 * time.Second

// stop asks the process to end by sig and waits; one that does not is killed
// with its group.
func (p *process) stop(sig syscall.Signal) {
	if p.exited() {
		return
	}
	// A process that ended just now is no error; nobody else can have its id,
	// as it is waited for only in own.
	_ = syscall.Kill(p.pid, sig)
	select {
	case <-p.alive.Done():
	case <-time.After(stopGrace):
		_ = syscall.Kill(-p.pid, syscall.SIGKILL)
		<-p.alive.Done()
	}
}

// tailBytes is how much of a log is shown.
const tailBytes = 4 << 10

// tail returns the end of what the process printed.
func (p *process) tail() string {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-tailBytes):])
}

// portTaken says whether the process complained that its port is in use.
func (p *process) portTaken() bool {
	text := bytes.ToLower([]byte(p.tail()))
	return bytes.Contains(text, []byte("already in use")) || bytes.Contains(text, []byte("could not bind"))
}
