package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// interrupts turns signals into what a command can follow: the first SIGINT,
// SIGTERM or SIGHUP asks it to stop feeding new work, the second one to stop at once.
// A third one ends the program where it is, should something not heed the second:
// a file system that hangs. That is as safe as a kill.
type interrupts struct {
	// stop is closed by the first signal.
	stop    chan struct{}
	signals chan os.Signal
	cancel  context.CancelFunc
	ended   chan struct{}
}

func catchInterrupts(stderr io.Writer) (context.Context, *interrupts) {
	ctx, cancel := context.WithCancel(context.Background())
	i := &interrupts{stop: make(chan struct{}), signals: make(chan os.Signal, 2), cancel: cancel, ended: make(chan struct{})}
	// A reader that has gone away (| head) is no reason to stop a migration.
	signal.Ignore(syscall.SIGPIPE)
	signal.Notify(i.signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	go i.follow(stderr)
	return ctx, i
}

func (i *interrupts) follow(stderr io.Writer) {
	defer close(i.ended)
	if _, ok := <-i.signals; !ok {
		return
	}
	fmt.Fprintln(stderr, "kedge: interrupted: finishing what is in flight (once more to stop at once)")
	close(i.stop)
	if _, ok := <-i.signals; !ok {
		return
	}
	i.cancel()
	if _, ok := <-i.signals; ok {
		os.Exit(exitInterrupted)
	}
}

// release ends the watching.
func (i *interrupts) release() {
	signal.Stop(i.signals)
	close(i.signals)
	<-i.ended
	i.cancel()
}

// asked says whether the first signal has come.
func (i *interrupts) asked() bool {
	select {
	case <-i.stop:
		return true
	default:
		return false
	}
}
