package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"time"

	"golang.org/x/term"

	"github.com/kedge/kedge/cmd/kedge/internal/summary"
	"github.com/kedge/kedge/cmd/kedge/internal/watch"
	"github.com/kedge/kedge/config"
	"github.com/kedge/kedge/drivers/all"
	"github.com/kedge/kedge/pipeline"
	"github.com/kedge/kedge/pipeline/catalog"
	"github.com/kedge/kedge/pipeline/catalog/anchore"
)

// migrateCommand moves documents.
type migrateCommand struct {
	Source      string `arg:"" name:"source.yaml" help:"Configuration of the store as it is."`
	Destination string `arg:"" name:"dest.yaml" help:"Configuration of the store to move to."`

	FromAnalysisArchive bool          `help:"Move from the source's analysis_archive instead of its object_store."`
	ToAnalysisArchive   bool          `help:"Move to the destination's analysis_archive instead of its object_store."`
	NoDelete            bool          `name:"nodelete" help:"Leave the source's data where it is."`
	DontAsk             bool          `name:"dontask" help:"Do not ask for confirmation."`
	DryRun              bool          `help:"Change nothing: only tell what would be moved, what would stay and why, how long that would take at least, and the commands to go on, to resume and to go back."`
	Bucket              []string      `sep:"none" placeholder:"NAME" help:"Only documents of this logical bucket of Anchore, such as analysis_archive; may be given several times."`
	Elsewhere           string        `enum:"report,ignore,move" default:"report" help:"What to do about documents that the catalog places neither in the source nor in the destination but in another place of the source's kind: report (and exit 2), ignore, move (default ${default})."`
	UnreadableKeys      string        `enum:"keep,move" default:"keep" help:"What to do about documents whose key Anchore could not read back at the destination: keep them at the source and report, or move (default ${default})."`
	Verify              string        `enum:"auto,readback" default:"auto" help:"How the destination proves what it holds: auto (by its own checksum, else by reading back), readback (always read back) (default ${default})."`
	Workers             int           `placeholder:"N" help:"Operations in flight at each side. By default kedge begins with what suits the driver and finds out what is best."`
	Memory              int64         `default:"64" placeholder:"MIB" help:"Budget for documents in memory, in MiB (default ${default})."`
	MaxFailures         int           `default:"${maxFailures}" placeholder:"N" help:"Stop when so many documents in a row failed because a store does not do its work (default ${default})."`
	GiveUpAfter         time.Duration `default:"30m" placeholder:"DURATION" help:"How long to wait for a store that is down (90s, 30m, 48h). The migration pauses, asks every few seconds, and goes on when there is an answer; after so long without one it stops, and the same command goes on later. 0: never pause (default ${default})."`
	Checkpoint          string        `placeholder:"PATH" help:"File that lets an interrupted migration go on. Default: in $XDG_STATE_HOME/kedge or ~/.local/state/kedge, named after the migration."`
	AllowVolatile       bool          `help:"Delete sources also where the destination or the database may not keep what it is given: tables that are UNLOGGED, a server with fsync or full_page_writes off, a file system in memory, of a container, or in user space. Without it such a place is refused, but with --nodelete."`
	Wait                bool          `help:"Wait while another migration holds the lock, instead of refusing."`

	sideLimits
	watch.Flags
	registryFlags
}

// Validate is called by kong.
func (c *migrateCommand) Validate() error {
	switch {
	case checkMemory(c.Memory) != nil:
		return checkMemory(c.Memory)
	case c.Workers < 0 || c.Workers > 1024:
		return errors.New("--workers: from 1 to 1024")
	case c.MaxFailures < 1:
		return errors.New("--max-failures: at least 1")
	}
	return checkPatience(c.GiveUpAfter)
}

const question = "Performing this operation requires *all* anchore-engine services to be stopped - proceed? (y/N)"

// Run migrates.
func (c *migrateCommand) Run(ctx context.Context, a *app, interrupted *interrupts) (err error) {
	if from, to, are, err := a.registries(c.Source, c.Destination); err != nil {
		return err
	} else if are {
		return c.runRegistry(ctx, a, interrupted, from, to)
	}
	if err := c.registryOnly(); err != nil {
		return err
	}
	if c.DryRun {
		return c.plan(ctx, a, interrupted)
	}
	return c.documents(ctx, a, interrupted)
}

// documents moves an installation's documents.
func (c *migrateCommand) documents(ctx context.Context, a *app, interrupted *interrupts) (err error) {
	s, err := c.sides(a)
	if err != nil {
		return err
	}
	d := watch.OfDocuments(c.watched("migrate", s.source.Driver, s.destination.Driver))
	w, err := c.Begin(ctx, interrupted.stop, a.log, d.Now)
	if err != nil {
		return err
	}
	defer func() { w.Close(err) }()
	cat, err := a.openCatalog(ctx, s.sourceFile)
	if err != nil {
		return err
	}
	defer cat.Close()
	if err := mayWrite(ctx, cat, anchore.Work{Source: s.source.Driver, Destination: s.destination.Driver, KeepSource: c.NoDelete}); err != nil {
		return err
	}
	a.announce(redacted(s.source), redacted(s.destination))
	if err := confirm(a, c.DontAsk); err != nil {
		return err
	}
	from, to, err := a.openPair(ctx, s.source, s.destination, cat, c.Workers, true, c.GiveUpAfter, c.sideLimits)
	if err != nil {
		return err
	}
	defer from.Close()
	defer to.Close()
	o, err := c.optionsBeside(a, s.destinationFile, from, to, cat)
	if err != nil {
		return err
	}
	d.Follow(&o)
	result, err := a.progress.Run(ctx, interrupted.stop, o)
	err = summary.Migration{
		Result: result, Err: err, NoDelete: c.NoDelete, Configuration: indent(redacted(s.destination)), Elsewhere: o.Elsewhere, Next: c.suggestions(a, result, err),
	}.Conclude(a.results())
	if result.TaskID != 0 {
		report := d.Report(from, to, result, c.nextSteps(a, result, err))
		report.Configuration = redacted(s.destination)
		w.Over(d.Now(), err, report)
	}
	return err
}

// sides are the configurations of both stores.
type sides struct {
	sourceFile, destinationFile *config.File
	source, destination         *config.Store
}

func (c *migrateCommand) sides(a *app) (s sides, err error) {
	if s.sourceFile, s.source, err = a.load(c.Source, c.FromAnalysisArchive); err != nil {
		return s, err
	}
	s.destinationFile, s.destination, err = a.loadDestination(c.Destination, c.ToAnalysisArchive)
	return s, err
}

// announce tells between which stores the migration goes.
func (a *app) announce(source, destination string) {
	if !a.globals.Quiet {
		fmt.Fprintf(a.stderr, "Migration from:\n%s\nMigration to:\n%s\n", indent(source), indent(destination))
	}
}

// optionsBeside are the options where the destination's configuration may have
// another store, and with the checkpoint that they come to.
func (c *migrateCommand) optionsBeside(a *app, destination *config.File, from, to pipeline.Store, cat catalog.Catalog) (pipeline.Options, error) {
	o := c.options(a, from, to, cat)
	o.Beside = otherPlace(destination, c.ToAnalysisArchive)
	var err error
	o.Checkpoint, err = checkpointPath(o.Checkpoint, pipeline.Identity(o).Fingerprint)
	return o, err
}

func (c *migrateCommand) options(a *app, from, to pipeline.Store, cat catalog.Catalog) pipeline.Options {
	limitMemory(c.Memory << 20)
	return pipeline.Options{
		Source: from, Destination: to, Catalog: cat,
		Checkpoint: c.Checkpoint, Buckets: c.Bucket, KeepSource: c.NoDelete,
		Elsewhere: pipeline.Elsewhere(c.Elsewhere), MoveUnreadable: c.UnreadableKeys == "move",
		ReadBack: c.Verify == "readback", MemoryBytes: c.Memory << 20, Workers: c.Workers,
		MaxBackendFailures: c.MaxFailures, AllowVolatile: c.AllowVolatile, WaitForLock: c.Wait, Log: a.log,
	}
}

// besidesPayloads is what a run takes in bytes besides the payloads in its
// budget: the program, its connections' buffers, what libraries copy.
const besidesPayloads = 32 << 20

// limitMemory makes the garbage collector work the harder the closer the program
// comes to what it should take with this budget of bytes.
func limitMemory(budget int64) { debug.SetMemoryLimit(budget + besidesPayloads) }

// load reads a configuration's store. What it warns of is logged.
func (a *app) load(path string, analysisArchive bool) (*config.File, *config.Store, error) {
	f, err := a.loadConfig(path)
	if err != nil {
		return nil, nil, err
	}
	if f.IsRegistry() {
		return nil, nil, fmt.Errorf("%s is a registry's configuration, and this command is about an Anchore installation (kedge migrate without --nodelete empties a registry's old storage)", path)
	}
	s, err := section(f, analysisArchive)
	return f, s, err
}

// loadDestination is load for a store that documents are moved to: Anchore must
// find them there.
func (a *app) loadDestination(path string, analysisArchive bool) (*config.File, *config.Store, error) {
	f, s, err := a.load(path, analysisArchive)
	if err == nil && analysisArchive && s.Disabled() {
		err = s.Errorf("enabled", "is false: Anchore has no analysis archive then, and would not find there what is moved to it; set it to true")
	}
	return f, s, err
}

// otherPlace is the prefix of the other store that a configuration has, of the
// archive or of the analysis archive; empty where it has none. Documents there are
// not this migration's.
func otherPlace(f *config.File, analysisArchive bool) []string {
	if !analysisArchive && !f.HasAnalysisArchive() {
		return nil
	}
	other, err := section(f, !analysisArchive)
	if err != nil {
		return nil // it is not needed
	}
	prefix, err := all.Prefix(other)
	if err != nil {
		return nil
	}
	return []string{prefix}
}

// confirm asks as Anchore asks. Without a terminal nobody can answer.
func confirm(a *app, dontAsk bool) error {
	if dontAsk {
		return nil
	}
	return ask(a, question, "all anchore-engine services must be stopped, and there is no terminal to ask on; give --dontask if they are")
}

// ask asks for a yes; unasked is why it refuses where there is no terminal.
func ask(a *app, question, unasked string) error {
	if !term.IsTerminal(int(a.stdin.Fd())) {
		return &pipeline.RefusedError{Reason: "not confirmed: " + unasked}
	}
	fmt.Fprint(a.stderr, question+" ")
	answer, err := bufio.NewReader(a.stdin).ReadString('\n')
	if err != nil && answer == "" {
		return &pipeline.RefusedError{Reason: "not confirmed"}
	}
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes":
		return nil
	default:
		return &pipeline.RefusedError{Reason: "not confirmed"}
	}
}

// checkpointPath is where a checkpoint is: where it is said, else at a path that
// is named after what the run does, so that the same command finds it.
func checkpointPath(given, fingerprint string) (string, error) {
	if given != "" {
		return given, nil
	}
	state := os.Getenv("XDG_STATE_HOME")
	if !filepath.IsAbs(state) {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", errors.New("there is no home directory for the checkpoint: give --checkpoint PATH")
		}
		state = filepath.Join(home, ".local", "state")
	}
	return filepath.Join(state, "kedge", fingerprint[:16]+".checkpoint"), nil
}

func indent(text string) string {
	return "  " + strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n  ")
}
