package torture

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Points are the named crash points of a migration, in the order in which a
// document comes to them. "deleting" is reached only where the source's driver
// deletes payloads one by one.
var Points = []string{
	"probed", "started", "enumerated", "putting", "put", "verified", "committed", "deleting", "deleted", "journaled", "checkpointed", "closing", "told", "closed",
}

// The points of the other ways. A cutover and a rollback come to all of a
// migration's too, where documents are left to be moved.
var (
	copyPoints     = []string{"probed", "started", "enumerated", "putting", "put", "verified", "recorded", "checkpointed", "closing", "told", "closed"}
	cutoverPoints  = append([]string{"vanished", "startable", "recorded", "committed", "startable", "deleted"}, Points...)
	everyCutover   = []string{"started", "committed", "vanished", "startable", "deleting", "deleted", "closing", "told", "closed"}
	rollbackPoints = append([]string{"vanished", "startable", "recorded", "committed"}, Points...)
)

// hangs is how long a run may take before it counts as one that never ends.
const hangs = 4 * time.Minute

// disruption is what is done to a run.
type disruption struct {
	// point and nth: killed when it comes to the point for the nth time.
	point string
	nth   int
	// signals are sent after so long, one after the other.
	signals []syscall.Signal
	after   time.Duration
}

func (d disruption) String() string {
	switch {
	case d.point != "":
		return fmt.Sprintf("killed at %s:%d", d.point, d.nth)
	case len(d.signals) > 0:
		return fmt.Sprintf("%v after %s", d.signals, d.after)
	default:
		return "undisturbed"
	}
}

// draw draws a disruption: mostly one of the named points, otherwise an instant.
func draw(r *rand.Rand, documents int, points []string) disruption {
	d := disruption{after: time.Duration(10+r.IntN(400)) * time.Millisecond}
	switch n := r.IntN(100); {
	case n < 70:
		d.point, d.nth, d.after = points[r.IntN(len(points))], 1, 0
		switch d.point {
		case "probed", "started", "vanished", "startable":
		case "closing", "told", "closed":
			// Behind them the round is over: seldom.
			if r.IntN(3) > 0 {
				d.point = "put"
			}
		case "putting", "deleting":
			// Spread evenly over the magnitudes.
			d.nth = int(math.Exp(r.Float64() * math.Log(float64(documents))))
		case "checkpointed":
			d.nth = 1 + r.IntN(10)
		default:
			d.nth = 1 + r.IntN(4)
		}
	case n < 86:
		d.signals = []syscall.Signal{syscall.SIGKILL}
	case n < 91:
		d.signals = []syscall.Signal{syscall.SIGINT}
	case n < 94:
		d.signals = []syscall.Signal{syscall.SIGTERM}
	case n < 97:
		d.signals = []syscall.Signal{syscall.SIGINT, syscall.SIGINT}
	default:
		d.after = 0
	}
	return d
}

// outcome is how a run ended.
type outcome struct {
	killed bool
	exit   int // -1 when killed
	hung   bool
	output string // the end of it
}

// Exit statuses of kedge, as its --help tells them.
const (
	exitDone        = 0
	exitDocuments   = 2
	exitInterrupted = 130
)

// complete says that the run came to the migration's end.
func (o outcome) complete() bool { return o.exit == exitDone || o.exit == exitDocuments }

// child is a run under way.
type child struct {
	cmd    *exec.Cmd
	output output
	ended  chan struct{}
}

// output is what a child has said so far.
type output struct {
	mu   sync.Mutex
	said bytes.Buffer
	// awaited, if not "", is what the child is expected to say; heard is closed
	// when it has.
	awaited string
	heard   chan struct{}
}

// Write implements io.Writer.
func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	n, err := o.said.Write(b)
	last := o.said.Bytes()[max(0, o.said.Len()-len(b)-len(o.awaited)):]
	if o.awaited != "" && bytes.Contains(last, []byte(o.awaited)) {
		o.awaited = ""
		close(o.heard)
	}
	return n, err
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.said.String()
}

// start starts the program; environment is added to what this process has.
// awaited is said on the channel heard of its output.
func start(program string, environment, args []string, awaited string) (*child, error) {
	c := &child{cmd: exec.Command(program, args...), ended: make(chan struct{}), output: output{awaited: awaited, heard: make(chan struct{})}}
	c.cmd.Env = append(os.Environ(), environment...)
	c.cmd.Stdout, c.cmd.Stderr = &c.output, &c.output
	if err := c.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		defer close(c.ended)
		_ = c.cmd.Wait() // its status is read by wait
	}()
	return c, nil
}

// wait sends the signals and waits for the end. A run that does not end is
// ended with its stacks in the output.
func (c *child) wait(ctx context.Context, d disruption) (outcome, error) {
	for _, s := range d.signals {
		select {
		case <-c.ended:
		case <-ctx.Done():
		case <-time.After(d.after):
			if err := c.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
				return outcome{}, err
			}
		}
	}
	var o outcome
	select {
	case <-c.ended:
	case <-ctx.Done():
		_ = c.cmd.Process.Kill()
		<-c.ended
		return o, context.Cause(ctx)
	case <-time.After(hangs):
		o.hung = true
		_ = c.cmd.Process.Signal(syscall.SIGQUIT)
		<-c.ended
	}
	status, ok := c.cmd.ProcessState.Sys().(syscall.WaitStatus)
	// A signal that comes before the program has begun to catch it ends it too.
	o.killed = ok && status.Signaled() && (status.Signal() == syscall.SIGKILL || slices.Contains(d.signals, status.Signal()))
	o.exit = c.cmd.ProcessState.ExitCode()
	o.output = c.output.String()
	if limit := 6000; len(o.output) > limit && !o.hung {
		o.output = "…" + strings.ToValidUTF8(o.output[len(o.output)-limit:], "")
	}
	return o, nil
}
