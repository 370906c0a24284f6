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

	NoDelete      bool   `name:"nodelete" help:"Leave the source's data where it is."`
	DontAsk       bool   `name:"dontask" help:"Do not ask for confirmation."`
	DryRun        bool   `help:"Change nothing: only tell what would be moved, what would stay and why, how long that would take at least, and the commands to go on, to resume and to go back."`
	TrustCopies   string `enum:"auto,verify,list,record" default:"auto" placeholder:"HOW" help:"How to make sure that what kedge copy has copied is still there: verify (each copy is read back), list (a listing of the store shows each with its MD5, or as the version that was proved), record (the record is believed: only for a store that nobody else can write to), or auto: list where the store's listing tells that, else verify (default ${default})."`
	AllowVolatile bool   `help:"Delete sources also where the destination or the database may not keep what it is given: tables that are UNLOGGED, a server with fsync or full_page_writes off, a file system in memory, of a container, or in user space; or where the source says that it replicates deletions to a place of the destination's name. Without it such a place is refused, but with --nodelete."`

	deletionFlags
	moveFlags
	registryFlags
}

// Validate is called by kong.
func (c *migrateCommand) Validate() error {
	return errors.Join(c.deletionFlags.Validate(), c.moveFlags.Validate())
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
func (c *migrateCommand) documents(ctx context.Context, a *app, interrupted *interrupts) error {
	return c.carry(ctx, a, interrupted, errand{
		command: "migrate", verb: "Migration", source: c.Source, destination: c.Destination,
		work:    anchore.Work{KeepSource: c.NoDelete},
		consent: func() error { return confirm(a, c.DontAsk) },
		create:  true,
		options: c.complete,
		conclude: func(s sides, o pipeline.Options, r pipeline.Result, d *watch.Documents, err error) ([]string, error) {
			err = summary.Migration{
				Result: r, Course: d.Course(), Err: err, NoDelete: c.NoDelete, Configuration: indent(redacted(s.destination)), Elsewhere: o.Elsewhere, Next: c.suggestions(a, r, err),
			}.Conclude(a.results())
			return c.nextSteps(a, r, err), err
		},
	})
}

// complete adds what only migrate has to the options of a run.
func (c *migrateCommand) complete(o *pipeline.Options) {
	o.KeepSource, o.AllowVolatile, o.Trust = c.NoDelete, c.AllowVolatile, trust(c.TrustCopies)
	o.WatchDeletions = c.WatchDeletes
}

// errand is what is particular to a run of migrate, copy or rollback.
type errand struct {
	command, verb       string
	source, destination string // the configurations' paths
	// work is what the database is needed for, but for the drivers' names.
	work anchore.Work
	// consent, if set, asks before anything is opened that may be made by opening it, or says
	// what is going to be done.
	consent func() error
	// create: the destination's place is made where it is not there.
	create  bool
	options func(*pipeline.Options)
	// ready, if set, is the last thing before the run.
	ready func(pipeline.Options) error
	// conclude prints how the run ended, and gives what is to be done next and the
	// command's error.
	conclude func(s sides, o pipeline.Options, r pipeline.Result, d *watch.Documents, ran error) ([]string, error)
}

// carry does an errand.
func (f *moveFlags) carry(ctx context.Context, a *app, interrupted *interrupts, e errand) (err error) {
	s, err := f.sides(a, e.source, e.destination)
	if err != nil {
		return err
	}
	d := watch.OfDocuments(f.watched(e.command, s.source.Driver, s.destination.Driver))
	w, err := f.Begin(ctx, interrupted.stop, a.log, d.Now)
	if err != nil {
		return err
	}
	defer func() { w.Close(err) }()
	cat, err := a.openCatalog(ctx, s.sourceFile)
	if err != nil {
		return err
	}
	defer cat.Close()
	e.work.Source, e.work.Destination = s.source.Driver, s.destination.Driver
	if err := mayWrite(ctx, cat, e.work); err != nil {
		return err
	}
	a.announce(e.verb, redacted(s.source), redacted(s.destination))
	if e.consent != nil {
		if err := e.consent(); err != nil {
			return err
		}
	}
	from, to, err := a.openPair(ctx, s.source, s.destination, cat, f.Workers, e.create, f.GiveUpAfter, f.sideLimits)
	if err != nil {
		return err
	}
	defer from.Close()
	defer to.Close()
	o, err := f.optionsBeside(a, s.destinationFile, from, to, cat, e.options)
	if err != nil {
		return err
	}
	if e.ready != nil {
		if err := e.ready(o); err != nil {
			return err
		}
	}
	d.Follow(&o)
	result, err := a.progress.Run(ctx, interrupted.stop, o)
	next, err := e.conclude(s, o, result, d, err)
	if result.TaskID != 0 {
		report := d.Report(from, to, result, next)
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

func (f *moveFlags) sides(a *app, source, destination string) (s sides, err error) {
	if s.sourceFile, s.source, err = a.load(source, f.FromAnalysisArchive); err != nil {
		return s, err
	}
	s.destinationFile, s.destination, err = a.loadDestination(destination, f.ToAnalysisArchive)
	return s, err
}

// announce tells between which stores documents go.
func (a *app) announce(verb, source, destination string) {
	if !a.globals.Quiet {
		fmt.Fprintf(a.stderr, "%s from:\n%s\n%[1]s to:\n%[3]s\n", verb, indent(source), indent(destination))
	}
}

// optionsBeside are the options where the destination's configuration may have
// another store, with what complete adds, and with the files that they come to.
func (f *moveFlags) optionsBeside(a *app, destination *config.File, from, to pipeline.Store, cat catalog.Catalog, complete func(*pipeline.Options)) (pipeline.Options, error) {
	o := f.options(a, from, to, cat)
	o.Beside = otherPlace(destination, f.ToAnalysisArchive)
	complete(&o)
	return o, placeFiles(&o)
}

func (f *moveFlags) options(a *app, from, to pipeline.Store, cat catalog.Catalog) pipeline.Options {
	limitMemory(f.Memory << 20)
	return pipeline.Options{
		Source: from, Destination: to, Catalog: cat,
		Checkpoint: f.Checkpoint, Buckets: f.Bucket,
		Elsewhere: pipeline.Elsewhere(f.Elsewhere), MoveUnreadable: f.UnreadableKeys == "move",
		ReadBack: f.Verify == "readback", MemoryBytes: f.Memory << 20, Workers: f.Workers,
		MaxBackendFailures: f.MaxFailures, WaitForLock: f.Wait, Log: a.log,
	}
}

// checkpointEndings are behind the name that --checkpoint gives, so that the commands
// between two stores may be given the same one.
var checkpointEndings = map[pipeline.Job]string{pipeline.Copy: ".copy", pipeline.Rollback: ".rollback"}

// placeFiles says where the run keeps its checkpoint and the record of copies: beside
// the path that is given, else where the same command finds them.
func placeFiles(o *pipeline.Options) (err error) {
	if given := o.Checkpoint; given != "" {
		o.Checkpoint, o.Record, o.RecordBack = given+checkpointEndings[o.Job], given+".copies", given+".copies"
		return nil
	}
	if o.Checkpoint, err = stateFile(pipeline.Identity(*o).Fingerprint, ".checkpoint"); err != nil {
		return err
	}
	if o.Record, err = stateFile(pipeline.RecordIdentity(*o).Fingerprint, ".copies"); err != nil {
		return err
	}
	o.RecordBack, err = stateFile(pipeline.BackIdentity(*o).Fingerprint, ".copies")
	return err
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
	return stateFile(fingerprint, ".checkpoint")
}

// stateFile is the path of a file that is kept between runs.
func stateFile(fingerprint, ending string) (string, error) {
	state := os.Getenv("XDG_STATE_HOME")
	if !filepath.IsAbs(state) {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", errors.New("there is no home directory for the checkpoint: give --checkpoint PATH")
		}
		state = filepath.Join(home, ".local", "state")
	}
	return filepath.Join(state, "kedge", fingerprint[:16]+ending), nil
}

func indent(text string) string {
	return "  " + strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n  ")
}
