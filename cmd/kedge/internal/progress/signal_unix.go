//go:build unix

package progress

import (
	"os"
	"os/signal"
	"sync"
	"syscall"
)

// AnswerSignals prints the status whenever SIGUSR1 comes, until the returned
// function is called.
func (t *Teller) AnswerSignals() (release func()) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGUSR1)
	var answering sync.WaitGroup
	answering.Go(func() {
		for range signals {
			t.tellStatus()
		}
	})
	return func() {
		signal.Stop(signals)
		close(signals)
		answering.Wait()
	}
}
