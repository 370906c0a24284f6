package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/kedge/kedge/cmd/kedge/internal/ending"
	"github.com/kedge/kedge/cmd/kedge/internal/summary"
	"github.com/kedge/kedge/cmd/kedge/internal/watch"
	"github.com/kedge/kedge/pipeline"
	"github.com/kedge/kedge/pipeline/catalog/anchore"
)

// copyCommand copies documents while Anchore's services may run.
type copyCommand struct {
	Source      string `arg:"" name:"source.yaml" help:"Configuration of the store as it is, which the services use."`
	Destination string `arg:"" name:"dest.yaml" help:"Configuration of the store to copy to."`

	Follow      bool          `help:"Go on until interrupted (Ctrl-C, SIGTERM): look for what has changed again and again, and copy that. Ended so, with what is in flight finished and nothing failed, the exit status is 0."`
	FollowEvery time.Duration `default:"60s" placeholder:"DURATION" help:"With --follow: how long from the end of a round to the next (default ${default})."`

	moveFlags
}

// Help tells what the command does and does not do.
func (c *copyCommand) Help() string {
	return `Copies all documents and proves the copies, while Anchore's services run. A migrate between the same two stores, with the services stopped, then has only rows to change, and what has changed meanwhile to move. Run it as often as you like: it copies only what is new or changed.`
}

// Validate is called by kong.
func (c *copyCommand) Validate() error {
	if c.FollowEvery < time.Second {
		return errors.New("--follow-every: a time such as 10s or 5m, at least 1s")
	}
	return c.moveFlags.Validate()
}

// whileServicesRun says once what a copy does to a running installation.
const whileServicesRun = "Anchore's services may run meanwhile: nothing of theirs is changed or deleted. While it copies, kedge holds the migration lock, so that no migration runs beside it; between rounds of --follow it gives it back."

// Run copies.
func (c *copyCommand) Run(ctx context.Context, a *app, interrupted *interrupts) error {
	return c.carry(ctx, a, interrupted, errand{
		command: "copy", verb: "Copying", source: c.Source, destination: c.Destination,
		work: anchore.Work{KeepSource: true, Copy: true},
		consent: func() error {
			if !a.globals.Quiet {
				fmt.Fprintln(a.stderr, whileServicesRun)
			}
			return nil
		},
		create:  true,
		options: c.complete,
		conclude: func(_ sides, o pipeline.Options, r pipeline.Result, d *watch.Documents, err error) ([]string, error) {
			err = summary.Copying{
				Result: r, Course: d.Course(), Err: err, Follow: c.Follow, Elsewhere: o.Elsewhere, Next: c.suggestions(a, r, err),
			}.Conclude(a.results())
			return c.nextSteps(a, r, err), err
		},
	})
}

// complete adds what only copy has to the options of a run.
func (c *copyCommand) complete(o *pipeline.Options) {
	o.Job, o.KeepSource = pipeline.Copy, true
	if c.Follow {
		o.FollowEvery = c.FollowEvery
	}
}

// suggestions are the commands for what comes after a copy that ended so.
func (c *copyCommand) suggestions(a *app, r pipeline.Result, err error) (list nextCommands) {
	if err != nil || r.Interrupted && !c.Follow {
		list.add("go on where it was", c.again(a))
		return list
	}
	if r.Failed > 0 {
		list.add("try the documents again that could not be copied, when what can be mended is mended", c.again(a))
	}
	list.add("copy what has changed since, as often as you like", c.again(a))
	list.add("stop all services of Anchore, and cut over", c.cutOver(a))
	list.add("then give the services the new configuration and start them; later read every document at its new place", c.verify(a, c.Destination))
	return list
}

// nextSteps says what is to be done after a copy that ended with err.
func (c *copyCommand) nextSteps(a *app, r pipeline.Result, err error) []string {
	switch {
	case ending.IsInterrupted(err):
		return []string{"Run the same command again: it goes on where it was."}
	case err != nil && r.Failed == 0 && len(r.Elsewhere) == 0:
		return []string{"Mend what stopped it.", "Run the same command again: it goes on where it was."}
	}
	var steps []string
	if r.Failed > 0 {
		steps = append(steps, "Look at what could not be copied, below, and mend what can be mended: docs/troubleshooting.md has each reason.")
	}
	return append(steps,
		"Nothing has changed for Anchore: its rows name the source. Run the same command again as often as you like; it copies what is new or changed.",
		"To cut over, stop all services and run: "+c.cutOver(a),
		"When it says that Anchore can be started, give the services the new configuration and start them.")
}

// again is this copy's command.
func (c *copyCommand) again(a *app) string {
	keep := slices.DeleteFunc(a.line.Flags(), func(name string) bool { return slices.Contains(onlyNow, name) })
	return a.line.Command("copy", keep, nil, c.Source, c.Destination)
}

// cutOver is the command of the migration for which all this was copied. It keeps the
// sources, so that there is a way back in seconds.
func (c *copyCommand) cutOver(a *app) string {
	keep := slices.Concat(sameDatabase, bothWays, []string{"from-analysis-archive", "to-analysis-archive", "elsewhere", "max-bandwidth", "max-ops", "checkpoint"})
	return a.line.Command("migrate", keep, []string{"--nodelete"}, c.Source, c.Destination)
}
