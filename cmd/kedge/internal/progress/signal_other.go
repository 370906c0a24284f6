//go:build !unix

package progress

// AnswerSignals does nothing: this system has no SIGUSR1.
func (t *Teller) AnswerSignals() (release func()) { return func() {} }
