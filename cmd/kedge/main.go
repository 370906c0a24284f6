// Command kedge moves an Anchore installation's archive from one storage
// backend to another.
//
// The command line is in cli.go, what every command works with in app.go, and each
// command in a file of its name. The packages in internal make what kedge shows and
// prints.
package main

import (
	"context"
	"fmt"
	"os"

	// The certificate authorities that Mozilla trusts, for machines that have none
	// of their own: an image with nothing but kedge in it, an empty root directory.
	// Where the system has some, only those count.
	_ "golang.org/x/crypto/x509roots/fallback"

	"github.com/kedge/kedge/cmd/kedge/internal/cmdline"
)

func main() {
	os.Exit(run(cmdline.Program(), cmdline.Take()))
}

// run runs the command that the arguments name, and gives the exit status.
func run(program string, args []string) int {
	var c cli
	parsed, exited, err := parse(&c, program, args)
	if exited >= 0 {
		return exited
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", program, err)
		return exitFailed
	}
	paceGarbage()
	a := newApp(&c.globals, cmdline.Line{Program: program, Parsed: parsed})
	defer a.progress.AnswerSignals()()
	ctx, interrupts := catchInterrupts(a.stderr)
	defer interrupts.release()
	parsed.BindTo(ctx, (*context.Context)(nil))
	return a.status(parsed.Run(a, interrupts))
}
