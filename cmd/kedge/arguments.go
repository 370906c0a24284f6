package main

import (
	"os"
	"strings"
	"unsafe"

	"github.com/alecthomas/kong"
)

// takeArguments gives the program's arguments and masks the passwords of
// database URLs where the process list shows them. What os.Args points to is
// the process's own argument memory, which the kernel reads for
// /proc/PID/cmdline and ps.
func takeArguments() []string {
	args := make([]string, 0, len(os.Args))
	for _, arg := range os.Args[1:] {
		args = append(args, strings.Clone(arg))
		from, to := passwordIn(arg)
		if from < to {
			memory := unsafe.Slice(unsafe.StringData(arg), len(arg))
			for i := from; i < to; i++ {
				memory[i] = '*'
			}
		}
	}
	return args
}

// passwordIn finds the password of a URL, user:password@host; an empty range
// where there is none. SQLAlchemy takes the last "@" as the separator.
func passwordIn(arg string) (from, to int) {
	scheme := strings.Index(arg, "://")
	at := strings.LastIndexByte(arg, '@')
	if scheme < 0 || at < scheme+3 {
		return 0, 0
	}
	colon := strings.IndexByte(arg[scheme+3:at], ':')
	if colon < 0 {
		return 0, 0
	}
	return scheme + 3 + colon + 1, at
}

// withoutEmptyConnect drops a --db-connect whose value was left out, as in
// "--db-connect migrate source.yaml dest.yaml": Anchore's documentation has such
// lines, and a shell makes them of --db-connect ${db} where db is not set. The
// database is then the configuration's. A command's name is never a database.
func withoutEmptyConnect(parser *kong.Kong, args []string) []string {
	kept := make([]string, 0, len(args))
	for i, arg := range args {
		if arg == "--" {
			return append(kept, args[i:]...)
		}
		if arg != "--db-connect" || i+1 == len(args) || !isCommand(parser.Model.Node, args[i+1]) {
			kept = append(kept, arg)
		}
	}
	return kept
}

func isCommand(node *kong.Node, name string) bool {
	for _, child := range node.Children {
		if child.Name == name || isCommand(child, name) {
			return true
		}
	}
	return false
}
