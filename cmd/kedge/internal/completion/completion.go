// Package completion writes the scripts with which shells complete kedge's
// command line.
//
// Places reads the commands from their definitions. The package makes each shell's
// script of that list, so that no command or flag can be missing from one.
package completion

import (
	"fmt"
	"strings"

	"github.com/alecthomas/kong"
)

// Scripts are the makers of the scripts, by shell.
var Scripts = map[string]func([]Place) string{"bash": Bash, "zsh": Zsh, "fish": Fish}

// Place is a place on the command line: the program itself or a command,
// with what may follow.
type Place struct {
	// Path are the commands up to here, such as "objectstorage migrate"; "" for
	// the program.
	Path     string
	help     string
	commands []Place // those that are right below, without their own
	// Flags are those that may stand here, in every spelling.
	Flags []Flag
	// arguments has the words that each argument may be; nil for one that is
	// anything, such as a file.
	arguments [][]string
}

// name is the last command of the path.
func (p Place) name() string { return p.Path[strings.LastIndexByte(p.Path, ' ')+1:] }

// Words are the words that may stand in the place of an argument; none where
// files may.
func (p Place) Words() (words []string) {
	for _, argument := range p.arguments {
		words = append(words, argument...)
	}
	return words
}

// Flag is one spelling of a flag.
type Flag struct {
	Long, short string // without dashes; short may be ""
	help        string
	takesValue  bool
	values      []string // what it may be; nil for anything
}

// Places lists the program and all its commands that are not hidden, each
// before those below it.
func Places(n *kong.Node) []Place {
	place := Place{Path: n.Path(), help: FirstSentence(n.Help), Flags: flagsOf(n)}
	for _, p := range n.Positional {
		var words []string
		if p.Enum != "" {
			words = p.EnumSlice()
		}
		place.arguments = append(place.arguments, words)
	}
	var below []Place
	for _, child := range n.Children {
		if child.Hidden {
			continue
		}
		inner := Places(child)
		place.commands = append(place.commands, Place{Path: inner[0].Path, help: inner[0].help})
		below = append(below, inner...)
	}
	return append([]Place{place}, below...)
}

// flagsOf lists the flags that a command takes, its own and those of what it
// belongs to, in every spelling.
func flagsOf(n *kong.Node) (flags []Flag) {
	for _, group := range n.AllFlags(true) {
		for _, f := range group {
			flag := Flag{Long: f.Name, help: FirstSentence(f.Help), takesValue: !f.IsBool() && !f.IsCounter()}
			if f.Short != 0 {
				flag.short = string(f.Short)
			}
			if f.Enum != "" {
				flag.values = f.EnumSlice()
			}
			flags = append(flags, flag)
			switch negated := f.Tag.Negatable; negated {
			case "":
			case "_":
				flags = append(flags, Flag{Long: "no-" + f.Name, help: "Not: " + flag.help})
			default:
				flags = append(flags, Flag{Long: negated, help: "Not: " + flag.help})
			}
		}
	}
	return flags
}

// FirstSentence is what fits behind a word in a list.
func FirstSentence(help string) string {
	help = strings.Join(strings.Fields(help), " ")
	for i := 0; i < len(help); i++ {
		if help[i] == '.' && (i+1 == len(help) || help[i+1] == ' ') {
			return help[:i]
		}
	}
	return help
}

// shellQuote is a word in single quotes, as bash and zsh take it.
func shellQuote(s string) string {
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// walkCase are the branches of a case statement that lead from place and word to
// the next place, in the syntax that bash and zsh share.
func walkCase(places []Place) string {
	var b strings.Builder
	for _, p := range places {
		for _, c := range p.commands {
			fmt.Fprintf(&b, "            %s) place=%s ;;\n", shellQuote(p.Path+"/"+c.name()), shellQuote(c.Path))
		}
	}
	return b.String()
}
