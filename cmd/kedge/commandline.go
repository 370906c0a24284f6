package main

import (
	"cmp"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/kedge/kedge/config"
)

// givenFlag is a flag of the command line, without its dashes.
type givenFlag struct {
	name   string
	values []string // one for each time; nil for a switch
}

// flagsGiven are the flags that stand in the command line, with their values as
// they were understood. The password in a database's URL is masked.
func (a *app) flagsGiven() (list []givenFlag) {
	if a.given == nil {
		return nil
	}
	for _, p := range a.given.Path {
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

// masked stands in place of a password.
const masked = "********"

// withoutPassword is a database's URL as it was given, but for the password.
func withoutPassword(url string) string {
	for _, secret := range slices.Backward(config.SecretsIn(url)) {
		url = url[:secret[0]] + masked + url[secret[1]:]
	}
	if strings.Contains(strings.ToLower(url), "password") {
		return "URL" // which has one in another place
	}
	return url
}

// databaseFlags are those with which every command finds the same database.
var databaseFlags = []string{"db-connect", "db-use-ssl", "db-retries", "db-timeout", "db-connect-timeout"}

// commandLine writes a command for a shell: those of the given flags that keep
// names, more flags, and the arguments.
func (a *app) commandLine(command string, keep, more []string, arguments ...string) string {
	words := []string{cmp.Or(a.program, kedgeName), command}
	for _, g := range a.flagsGiven() {
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

// names of the flags of migrate that the commands below are given again.
var (
	onlyNow    = []string{"dry-run", "output"}
	bothWays   = []string{"bucket", "workers", "memory", "max-failures", "give-up-after", "unreadable-keys", "verify", "dontask"}
	onEachSide = []string{"bucket", "workers", "memory", "give-up-after", "max-bandwidth", "max-ops"}
)

// goOn is this migration's command.
func (c *migrateCommand) goOn(a *app) string {
	var keep []string
	for _, g := range a.flagsGiven() {
		if name := strings.TrimPrefix(g.name, "no-"); !slices.Contains(onlyNow, name) {
			keep = append(keep, name)
		}
	}
	return a.commandLine("migrate", keep, nil, c.Source, c.Destination)
}

// moveElsewhere is the command that also moves what is elsewhere.
func (c *migrateCommand) moveElsewhere(a *app) string {
	keep := slices.Concat(databaseFlags, bothWays, onEachSide, []string{"from-analysis-archive", "to-analysis-archive", "nodelete"})
	return a.commandLine("migrate", keep, []string{"--elsewhere=move"}, c.Source, c.Destination)
}

// goBack is the command of the migration back: sections and limits change their
// sides.
func (c *migrateCommand) goBack(a *app) string {
	var more []string
	for _, f := range []struct {
		given bool
		flag  string
	}{
		{c.ToAnalysisArchive, "--from-analysis-archive"},
		{c.FromAnalysisArchive, "--to-analysis-archive"},
		{c.MaxBandwidth != bandwidths{}, "--max-bandwidth=" + bandwidths{c.MaxBandwidth[1], c.MaxBandwidth[0]}.String()},
		{c.MaxOps != operationRates{}, "--max-ops=" + operationRates{c.MaxOps[1], c.MaxOps[0]}.String()},
	} {
		if f.given {
			more = append(more, f.flag)
		}
	}
	return a.commandLine("migrate", slices.Concat(databaseFlags, bothWays), more, c.Destination, c.Source)
}

// purge is the command that deletes what --nodelete leaves.
func (c *migrateCommand) purge(a *app) string {
	keep := slices.Concat(databaseFlags, onEachSide, []string{"from-analysis-archive", "to-analysis-archive", "dontask"})
	return a.commandLine("purge", keep, nil, c.Source, c.Destination)
}

// verify is the command that reads every document where it is then.
func (c *migrateCommand) verify(a *app) string {
	return a.commandLine("verify", slices.Concat(databaseFlags, []string{"bucket"}), nil, c.Destination)
}

// checks are the commands that try both sides.
func (c *migrateCommand) checks(a *app) (source, destination string) {
	var from, to []string
	if c.FromAnalysisArchive {
		from = append(from, "--analysis-archive")
	}
	if c.ToAnalysisArchive {
		to = append(to, "--analysis-archive")
	}
	return a.commandLine("check", databaseFlags, from, c.Source), a.commandLine("check", databaseFlags, to, c.Destination)
}
