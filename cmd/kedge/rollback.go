package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"github.com/kedge/kedge/cmd/kedge/internal/ending"
	"github.com/kedge/kedge/cmd/kedge/internal/summary"
	"github.com/kedge/kedge/cmd/kedge/internal/watch"
	"github.com/kedge/kedge/pipeline"
	"github.com/kedge/kedge/pipeline/catalog/anchore"
)

// rollbackCommand goes back to the store that a migration with --nodelete came from.
type rollbackCommand struct {
	New string `arg:"" name:"new.yaml" help:"Configuration of the store that was migrated to."`
	Old string `arg:"" name:"old.yaml" help:"Configuration of the store to go back to."`

	DontAsk bool `name:"dontask" help:"Do not ask for confirmation."`
	// A record that is only believed would go back to what somebody has purged since.
	TrustCopies string `enum:"auto,verify,list" default:"auto" placeholder:"HOW" help:"How to make sure that the old store still holds what the record says, as for migrate: auto, verify or list (default ${default})."`
	moveFlags
}

// Help tells what the command does and does not do.
func (c *rollbackCommand) Help() string {
	return `After migrate --nodelete the old store still has its payloads, and the record of copies says which. Rows of documents that have not changed since go back to them without moving a byte; documents written since are moved. Nothing is deleted at either store. The flags mean the new store by source, the old one by destination.`
}

// Run goes back.
func (c *rollbackCommand) Run(ctx context.Context, a *app, interrupted *interrupts) error {
	return c.carry(ctx, a, interrupted, errand{
		command: "rollback", verb: "Rollback", source: c.New, destination: c.Old,
		work:    anchore.Work{KeepSource: true},
		options: c.complete,
		ready: func(o pipeline.Options) error {
			if err := c.recorded(a, o); err != nil {
				return err
			}
			return confirm(a, c.DontAsk)
		},
		conclude: func(s sides, o pipeline.Options, r pipeline.Result, d *watch.Documents, err error) ([]string, error) {
			err = summary.Migration{
				Result: r, Course: d.Course(), Back: true, Err: err, NoDelete: true, Configuration: indent(redacted(s.destination)), Elsewhere: o.Elsewhere, Next: c.suggestions(a, r, err),
			}.Conclude(a.results())
			return c.nextSteps(a, r, err), err
		},
	})
}

// complete adds what only rollback has to the options of a run.
func (c *rollbackCommand) complete(o *pipeline.Options) {
	o.Job, o.KeepSource, o.Trust = pipeline.Rollback, true, trust(c.TrustCopies)
}

// recorded refuses where there is no record of what the old store still has.
func (c *rollbackCommand) recorded(a *app, o pipeline.Options) error {
	_, err := os.Stat(o.Record)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return &pipeline.RefusedError{Reason: fmt.Sprintf("there is no record of what %s still holds (%s): the migration to %s was run without --nodelete, or with another --checkpoint, or on another machine; the ordinary way back is %s",
			o.Destination.Place(), o.Record, o.Source.Place(), c.ordinary(a))}
	case err != nil:
		return fmt.Errorf("look for the record of copies: %w", err)
	}
	return nil
}

// suggestions are the commands for what comes after a rollback that ended so.
func (c *rollbackCommand) suggestions(a *app, r pipeline.Result, err error) (list nextCommands) {
	if err != nil || r.Interrupted {
		list.add("go on where it was", c.again(a))
		return list
	}
	if r.Failed > 0 {
		list.add("try the documents again that stayed behind, when what can be mended is mended", c.again(a))
	}
	list.add("read every document at its old place", c.verify(a, c.Old))
	list.add("delete what is left at the new store, when all is well", c.purgeNew(a))
	return list
}

// nextSteps says what is to be done after a rollback that ended with err.
func (c *rollbackCommand) nextSteps(a *app, r pipeline.Result, err error) []string {
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
	return append(steps, "Give the services the old configuration, and start them.",
		"Read every document where the catalog says, and check it: "+c.verify(a, c.Old),
		"The new store still holds its payloads. When all is well, delete them: "+c.purgeNew(a))
}

// again is this rollback's command.
func (c *rollbackCommand) again(a *app) string {
	keep := slices.DeleteFunc(a.line.Flags(), func(name string) bool { return slices.Contains(onlyNow, name) })
	return a.line.Command("rollback", keep, nil, c.New, c.Old)
}

// ordinary is the command of the migration back.
func (c *rollbackCommand) ordinary(a *app) string {
	keep := slices.Concat(sameDatabase, bothWays, onEachSide, []string{"from-analysis-archive", "to-analysis-archive", "elsewhere"})
	return a.line.Command("migrate", keep, nil, c.New, c.Old)
}

// purgeNew is the command that deletes what is left at the new store.
func (c *rollbackCommand) purgeNew(a *app) string {
	keep := slices.Concat(sameDatabase, onEachSide, []string{"from-analysis-archive", "to-analysis-archive", "dontask"})
	return a.line.Command("purge", keep, nil, c.New, c.Old)
}
