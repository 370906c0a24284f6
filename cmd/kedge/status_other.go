//go:build !unix

package main

// answerStatus does nothing: this system has no SIGUSR1.
func (a *app) answerStatus() (release func()) { return func() {} }
