package cmdline

import (
	"cmp"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/kedge/kedge/config"
)

// Line is the command line as it was given.
type Line struct {
	// Program is the name that kedge was called by.
	Program string
	// Parsed is nil where none was.
	Parsed *kong.Context
}

// givenFlag is a flag of the command line, without its dashes.
type givenFlag struct {
	name   string
	values []string // one for each time; nil for a switch
}

// given are the flags that stand in the command line, with their values as
// they were understood. The password in a database's URL is masked.
func (l Line) given() (list []givenFlag) {
	if l.Parsed == nil {
		return nil
	}
	for _, p := range l.Parsed.Path {
		if p.Flag == nil || slices.ContainsFunc(list, func(g givenFlag) bool { return strings.TrimPrefix(g.name, "no-") == p.Flag.Name }) {
			continue
		}
		g := givenFlag{name: p.Flag.Name}
		switch v := p.Flag.Target; {
		case v.Kind() == reflect.Bool && v.Bool():
		case v.Kind() == reflect.Bool:
			g.name = "no-" + g.name
		case v.Type() == reflect.TypeFor[[]string]():
			g.values = v.Interface().([]string)
		default:
			g.values = []string{fmt.Sprint(v.Interface())}
		}
		if g.name == "db-connect" && len(g.values) == 1 {
			g.values = []string{withoutPassword(g.values[0])}
		}
		list = append(list, g)
	}
	return list
}

// Masked stands in place of a password.
const Masked = "********"

// withoutPassword is a database's URL as it was given, but for the password.
func withoutPassword(url string) string {
	for _, secret := range slices.Backward(config.SecretsIn(url)) {
		url = url[:secret[0]] + Masked + url[secret[1]:]
	}
	if strings.Contains(strings.ToLower(url), "password") {
		return "URL" // which has one in another place
	}
	return url
}

// Flags are the names of the given flags, without dashes and "no-".
func (l Line) Flags() (names []string) {
	for _, g := range l.given() {
		names = append(names, strings.TrimPrefix(g.name, "no-"))
	}
	return names
}

// Command writes a command for a shell: those of the given flags that keep
// names, more flags, and the arguments.
func (l Line) Command(command string, keep, more []string, arguments ...string) string {
	words := []string{cmp.Or(l.Program, Kedge), command}
	for _, g := range l.given() {
		if !slices.Contains(keep, strings.TrimPrefix(g.name, "no-")) {
			continue
		}
		if g.values == nil {
			words = append(words, "--"+g.name)
		}
		for _, v := range g.values {
			words = append(words, quoted("--"+g.name+"="+v))
		}
	}
	words = append(words, more...)
	if slices.ContainsFunc(arguments, func(s string) bool { return strings.HasPrefix(s, "-") }) {
		words = append(words, "--")
	}
	for _, s := range arguments {
		words = append(words, quoted(s))
	}
	return strings.Join(words, " ")
}

var plainWord = regexp.MustCompile(`^[A-Za-z0-9_@%+=:,./-]+$`)

// quoted writes a word for a shell.
func quoted(word string) string {
	if plainWord.MatchString(word) {
		return word
	}
	if name, value, ok := strings.Cut(word, "="); ok && strings.HasPrefix(name, "--") && plainWord.MatchString(name) {
		return name + "=" + quoted(value)
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
