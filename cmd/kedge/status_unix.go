//go:build unix

package main

import (
	"os"
	"os/signal"
	"sync"
	"syscall"
)

// answerStatus prints the status whenever SIGUSR1 comes, until the returned
// function is called.
func (a *app) answerStatus() (release func()) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGUSR1)
	var answering sync.WaitGroup
	answering.Go(func() {
		for range signals {
			a.tellStatus()
		}
	})
	return func() {
		signal.Stop(signals)
		close(signals)
		answering.Wait()
	}
}
