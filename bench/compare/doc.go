// Package compare measures kedge against other programs that copy the same
// documents between the same servers, in one run: see docs/performance.md.
// "make bench" runs it.
//
// It measures child processes: their time from start to end, their CPU time and
// the peak of their memory. Contestants take turns within a round. The table has
// the median of the rounds.
package compare
