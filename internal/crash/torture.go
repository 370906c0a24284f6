//go:build torture

// Package crash lets the torture harness end the process at named points, and
// break it on purpose to prove that the harness notices. It does so only in a build
// with the tag torture. In any other build the functions are empty.
package crash

import (
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
)

// KEDGE_CRASH_AT=NAME:N kills the process (SIGKILL) when it comes to the point
// for the N-th time; KEDGE_MUTATE=NAME,NAME switches faults on.
var (
	point, after = parse(os.Getenv("KEDGE_CRASH_AT"))
	mutations    = strings.Split(os.Getenv("KEDGE_MUTATE"), ",")
	hits         atomic.Int64
)

func parse(s string) (string, int64) {
	name, count, _ := strings.Cut(s, ":")
	n, err := strconv.ParseInt(count, 10, 64)
	if err != nil {
		n = 1
	}
	return name, n
}

// Point ends the process if it is the point where that is asked for.
func Point(name string) {
	if name != point || hits.Add(1) != after {
		return
	}
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {} // not one step more
}

// Mutated says whether a named fault has been switched on.
func Mutated(name string) bool {
	for _, m := range mutations {
		if m == name {
			return true
		}
	}
	return false
}
