package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/alecthomas/kong"
)

// completionCommand prints a shell's completion script.
type completionCommand struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"Shell: ${enum}."`
}

// Help tells how to use what is printed.
func (c *completionCommand) Help() string {
	return `bash: kedge completion bash > /etc/bash_completion.d/kedge, or source <(kedge completion bash) in ~/.bashrc.
zsh: kedge completion zsh > DIRECTORY/_kedge, where DIRECTORY is in $fpath.
fish: kedge completion fish > ~/.config/fish/completions/kedge.fish.`
}

// Run prints the script.
func (c *completionCommand) Run(a *app, parsed *kong.Context) error {
	script := map[string]func([]commandPlace) string{"bash": bashCompletion, "zsh": zshCompletion, "fish": fishCompletion}[c.Shell]
	_, err := io.WriteString(a.stdout, script(commandPlaces(parsed.Model.Node)))
	return err
}

// commandPlace is a place on the command line: the program itself or a command,
// with what may follow.
type commandPlace struct {
	// path are the commands up to here, such as "objectstorage migrate"; "" for
	// the program.
	path     string
	help     string
	commands []commandPlace // those that are right below, without their own
	flags    []commandFlag
	// arguments has the words that each argument may be; nil for one that is
	// anything, such as a file.
	arguments [][]string
}

// name is the last command of the path.
func (p commandPlace) name() string { return p.path[strings.LastIndexByte(p.path, ' ')+1:] }

// words are the words that may stand in the place of an argument; none where
// files may.
func (p commandPlace) words() (words []string) {
	for _, argument := range p.arguments {
		words = append(words, argument...)
	}
	return words
}

// commandFlag is one spelling of a flag.
type commandFlag struct {
	long, short string // without dashes; short may be ""
	help        string
	takesValue  bool
	values      []string // what it may be; nil for anything
}

// commandPlaces lists the program and all its commands that are not hidden, each
// before those below it.
func commandPlaces(n *kong.Node) []commandPlace {
	place := commandPlace{path: pathOf(n), help: firstSentence(n.Help), flags: flagsOf(n)}
	for _, p := range n.Positional {
		var words []string
		if p.Enum != "" {
			words = p.EnumSlice()
		}
		place.arguments = append(place.arguments, words)
	}
	var below []commandPlace
	for _, child := range n.Children {
		if child.Hidden {
			continue
		}
		inner := commandPlaces(child)
		place.commands = append(place.commands, commandPlace{path: inner[0].path, help: inner[0].help})
		below = append(below, inner...)
	}
	return append([]commandPlace{place}, below...)
}

func pathOf(n *kong.Node) string {
	if n.Type == kong.ApplicationNode {
		return ""
	}
	return strings.TrimSpace(pathOf(n.Parent) + " " + n.Name)
}

// flagsOf lists the flags that a command takes, its own and those of what it
// belongs to, in every spelling.
func flagsOf(n *kong.Node) (flags []commandFlag) {
	for _, group := range n.AllFlags(true) {
		for _, f := range group {
			flag := commandFlag{long: f.Name, help: firstSentence(f.Help), takesValue: !f.IsBool() && !f.IsCounter()}
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
				flags = append(flags, commandFlag{long: "no-" + f.Name, help: "Not: " + flag.help})
			default:
				flags = append(flags, commandFlag{long: negated, help: "Not: " + flag.help})
			}
		}
	}
	return flags
}

// firstSentence is what fits behind a word in a list.
func firstSentence(help string) string {
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
func walkCase(places []commandPlace) string {
	var b strings.Builder
	for _, p := range places {
		for _, c := range p.commands {
			fmt.Fprintf(&b, "            %s) place=%s ;;\n", shellQuote(p.path+"/"+c.name()), shellQuote(c.path))
		}
	}
	return b.String()
}
