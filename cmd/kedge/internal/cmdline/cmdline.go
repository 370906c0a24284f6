// Package cmdline reads the program's arguments before they are parsed, and writes
// the commands that kedge suggests.
//
// Both know how to hide the password in a database's URL.
package cmdline

import (
	"os"
	"strings"
	"unsafe"

	"github.com/alecthomas/kong"

	"github.com/kedge/kedge/config"
)

// Take gives the program's arguments and masks the passwords of
// database URLs where the process list shows them. What os.Args points to is
// the process's own argument memory, which the kernel reads for
// /proc/PID/cmdline and ps.
func Take() []string {
	args := make([]string, 0, len(os.Args))
	for _, arg := range os.Args[1:] {
		args = append(args, strings.Clone(arg))
		memory := unsafe.Slice(unsafe.StringData(arg), len(arg))
		for _, secret := range config.SecretsIn(arg) {
			for i := secret[0]; i < secret[1]; i++ {
				memory[i] = '*'
			}
		}
	}
	return args
}

// WithoutEmptyConnect drops a --db-connect whose value was left out, as in
// "--db-connect migrate source.yaml dest.yaml": Anchore's documentation has such
// lines, and a shell makes them of --db-connect ${db} where db is not set. The
// database is then the configuration's. A command's name is never a database.
func WithoutEmptyConnect(parser *kong.Kong, args []string) []string {
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
