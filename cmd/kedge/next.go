package main

import (
	"fmt"
	"slices"

	"github.com/kedge/kedge/cmd/kedge/internal/ending"
	"github.com/kedge/kedge/cmd/kedge/internal/summary"
	"github.com/kedge/kedge/config"
	"github.com/kedge/kedge/pipeline"
	"github.com/kedge/kedge/pipeline/tree"
)

// nextSteps says what is to be done after a migration that ended with err.
func (c *migrateCommand) nextSteps(a *app, r pipeline.Result, err error) []string {
	switch {
	case ending.IsInterrupted(err):
		return []string{"Run the same command again: it goes on where it was."}
	case err != nil && r.Failed == 0 && len(r.Elsewhere) == 0:
		return []string{"Mend what stopped it.", "Run the same command again: it goes on where it was."}
	}
	var steps []string
	if r.Failed > 0 {
		steps = append(steps, "Look at what stays behind, below, and mend what can be mended: docs/troubleshooting.md has each reason.",
			"Run the same command again: it tries these documents once more.")
	}
	if len(r.Elsewhere) > 0 && c.Elsewhere == string(pipeline.ElsewhereReport) {
		steps = append(steps, "Decide about the documents elsewhere: move them with --elsewhere=move, or leave them with --elsewhere=ignore.")
	}
	steps = append(steps,
		"Read every document where the catalog says, and check it: "+c.verify(a),
		"Give the services the new configuration, and start them.")
	if c.NoDelete {
		steps = append(steps, "The source still holds its data (--nodelete). When all is well, delete it: "+c.purge(a))
	}
	if c.NoDelete && r.Record != "" {
		return append(steps, "To go back in seconds, as long as that is there: "+c.rollBack(a))
	}
	return append(steps, "To go back, exchange the two files: "+c.goBack(a))
}

// nextCommands are commands for what comes next.
type nextCommands []summary.Suggestion

func (l *nextCommands) add(purpose, command string) {
	*l = append(*l, summary.Suggestion{Purpose: purpose, Command: command})
}

// suggestions are the commands for what comes after a run that ended so.
func (c *migrateCommand) suggestions(a *app, r pipeline.Result, err error) (list nextCommands) {
	if err != nil || r.Interrupted {
		list.add("go on where it was", c.goOn(a))
		list.add("or go back: move everything to the source again", c.goBack(a))
		return list
	}
	if r.Failed > 0 {
		list.add("try the documents again that stayed behind, when what can be mended is mended", c.goOn(a))
	}
	if len(r.Elsewhere) > 0 && c.Elsewhere != string(pipeline.ElsewhereMove) {
		list.add("move the documents that are elsewhere too", c.moveElsewhere(a))
	}
	list.add("read every document at its new place", c.verify(a))
	if c.NoDelete {
		list.add("delete what --nodelete left at the source, when all is well", c.purge(a))
	}
	if c.NoDelete && r.Record != "" {
		list.add("go back in seconds, as long as that is there", c.rollBack(a))
		return list
	}
	list.add("go back: move everything to the source again", c.goBack(a))
	return list
}

// planCommands are the commands for what comes after a plan.
func (c *migrateCommand) planCommands(a *app, destination *config.File) (list nextCommands) {
	checkSource, checkDestination := c.checks(a)
	if _, err := destination.Database(); err != nil && a.globals.DBConnect == "" {
		checkDestination += " --db-connect=URL"
	}
	list.add("try the source, with a test document", checkSource)
	list.add("try the destination, with a test document", checkDestination)
	list.add("migrate; the same command resumes it after an interruption", c.goOn(a))
	list.add("read every document at its new place", c.verify(a))
	if c.NoDelete {
		list.add("delete what --nodelete leaves at the source, when all is well", c.purge(a))
		list.add("go back in seconds, as long as that is there", c.rollBack(a))
	}
	list.add("go back: move everything to the source again", c.goBack(a))
	return list
}

// nextSteps says what is to be done after a purge that ended with err.
func (c *purgeCommand) nextSteps(err error) []string {
	switch {
	case err != nil:
		return []string{"Mend what can be mended, and run the same command again."}
	case c.DryRun:
		return []string{"Nothing was deleted (--dry-run). Without that flag the same command deletes."}
	default:
		return []string{"Nothing is left to do: the source holds nothing any more of what the destination holds."}
	}
}

// nextTreeSteps says what is to be done after a registry's migration that ended
// with err.
func (c *migrateCommand) nextTreeSteps(r tree.Result, err error) []string {
	switch {
	case err != nil || r.Failed > 0:
		return []string{"Mend what can be mended, and run the same command again: it goes on where it was."}
	case c.NoDelete:
		return []string{"The source still holds its data (--nodelete). Run the same command again before the registry changes over: it moves what has come since.",
			"Give the registry the new configuration.", "Without --nodelete, the same command empties the source when all is proved."}
	default:
		return []string{"Give the registry the new configuration, and start it.", fmt.Sprintf("Check everything: kedge verify %s", c.Destination)}
	}
}

// Names of the flags that the commands below are given again.
var (
	// sameDatabase are those with which every command finds the same database.
	sameDatabase = []string{"db-connect", "db-use-ssl", "db-retries", "db-timeout", "db-connect-timeout"}

	onlyNow    = []string{"dry-run", "output"}
	bothWays   = []string{"bucket", "workers", "memory", "max-failures", "give-up-after", "unreadable-keys", "verify", "dontask"}
	onEachSide = []string{"bucket", "workers", "memory", "give-up-after", "max-bandwidth", "max-ops"}
)

// goOn is this migration's command.
func (c *migrateCommand) goOn(a *app) string {
	keep := slices.DeleteFunc(a.line.Flags(), func(name string) bool { return slices.Contains(onlyNow, name) })
	return a.line.Command("migrate", keep, nil, c.Source, c.Destination)
}

// moveElsewhere is the command that also moves what is elsewhere.
func (c *migrateCommand) moveElsewhere(a *app) string {
	keep := slices.Concat(sameDatabase, bothWays, onEachSide, []string{"from-analysis-archive", "to-analysis-archive", "nodelete", "allow-volatile"})
	return a.line.Command("migrate", keep, []string{"--elsewhere=move"}, c.Source, c.Destination)
}

// goBack is the command of the migration back.
func (c *migrateCommand) goBack(a *app) string {
	return c.turned(a, "migrate", slices.Concat(sameDatabase, bothWays))
}

// rollBack is the command that goes back to what --nodelete has left at the source.
func (c *migrateCommand) rollBack(a *app) string {
	return c.turned(a, "rollback", slices.Concat(sameDatabase, bothWays, []string{"checkpoint"}))
}

// turned is a command from the destination to the source: sections and limits change
// their sides.
func (c *migrateCommand) turned(a *app, command string, keep []string) string {
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
	return a.line.Command(command, keep, more, c.Destination, c.Source)
}

// purge is the command that deletes what --nodelete leaves.
func (c *migrateCommand) purge(a *app) string {
	keep := slices.Concat(sameDatabase, onEachSide, []string{"from-analysis-archive", "to-analysis-archive", "dontask", "allow-volatile"})
	return a.line.Command("purge", keep, nil, c.Source, c.Destination)
}

// verify is the command that reads every document where it is then.
func (c *migrateCommand) verify(a *app) string { return c.moveFlags.verify(a, c.Destination) }

// verify is the command that reads every document where a configuration has it.
func (f *moveFlags) verify(a *app, configuration string) string {
	return a.line.Command("verify", slices.Concat(sameDatabase, []string{"bucket"}), nil, configuration)
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
	return a.line.Command("check", sameDatabase, from, c.Source), a.line.Command("check", sameDatabase, to, c.Destination)
}
