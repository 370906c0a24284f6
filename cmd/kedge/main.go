// Command kedge moves an Anchore installation's archive from one storage
// backend to another.
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime/debug"
	"strconv"
	"strings"

	"github.com/alecthomas/kong"
	"golang.org/x/term"

	"github.com/kedge/kedge/checkpoint"
	"github.com/kedge/kedge/cmd/kedge/internal/cmdline"
	"github.com/kedge/kedge/cmd/kedge/internal/ending"
	"github.com/kedge/kedge/cmd/kedge/internal/liveview"
	"github.com/kedge/kedge/cmd/kedge/internal/progress"
	"github.com/kedge/kedge/cmd/kedge/internal/summary"
	"github.com/kedge/kedge/drivers/all"
	"github.com/kedge/kedge/pipeline"
	"github.com/kedge/kedge/pipeline/catalog"
)

// Exit statuses, as --help tells them.
const (
	exitDone        = 0
	exitFailed      = 1
	exitDocuments   = 2
	exitRefused     = 3
	exitInterrupted = 130
)

const description = `Moves an Anchore installation's archive from one storage backend to another.

Exit status: 0 all done; 1 could not begin; 2 ran, but documents stayed behind, or it could not go on (the same command does then, once the reason is mended); 3 refused (another migration holds the lock, the checkpoint is another migration's, source and destination are the same place, not confirmed); 130 interrupted, and the same command resumes it.`

// commands are the commands, reachable as "kedge COMMAND" and, as
// anchore-manager spells them, as "kedge objectstorage COMMAND".
type commands struct {
	Migrate        migrateCommand        `cmd:"" help:"Move all documents from the store of one configuration to that of another."`
	Plan           planCommand           `cmd:"" help:"Tell what migrate would do, and change nothing: the same as migrate --dry-run."`
	Check          checkCommand          `cmd:"" help:"Try a configuration's store: put, get and delete a test document."`
	ListMigrations listMigrationsCommand `cmd:"" help:"List the migrations that the database knows of."`
	ListDrivers    listDriversCommand    `cmd:"" help:"List the storage drivers."`
}

type cli struct {
	globals
	commands
	Objectstorage struct {
		commands
	} `cmd:"" name:"objectstorage" help:"The same commands, as anchore-manager spells them."`
	Verify     verifyCommand     `cmd:"" help:"Audit an installation: read every document where the catalog says, and check it."`
	Purge      purgeCommand      `cmd:"" help:"Delete what migrate --nodelete has left at the source, after proof."`
	Journal    journalCommand    `cmd:"" help:"Print the audit journal that a migration has written."`
	Bench      benchCommand      `cmd:"" help:"Measure a store, and recommend --workers: rates and latencies by size and concurrency. Touches nothing but what it writes itself, and removes that."`
	Config     configCommand     `cmd:"" help:"Help with configurations: explain one, print an example."`
	Completion completionCommand `cmd:"" help:"Print the completion script of a shell."`
	Man        manCommand        `cmd:"" hidden:"" help:"Print the manual's page, or write all pages into a directory."`
	DB         managerDBCommand  `cmd:"" name:"db" hidden:"" help:"What anchore-manager has under db, as far as a migration needs it."`
	Demo       demoCommand       `cmd:"" help:"Make a small installation on SQLite, migrate it, interrupt that, resume, verify."`
}

// globals are the flags of every command.
type globals struct {
	DBConnect        string           `name:"db-connect" placeholder:"URL" help:"Database of the installation, as SQLAlchemy spells it: postgresql://user:password@host:5432/name. Default: credentials.database of the (source) configuration." group:"Database"`
	DBUseSSL         bool             `name:"db-use-ssl" help:"Connect to the database with TLS." group:"Database"`
	DBRetries        int              `name:"db-retries" default:"3" placeholder:"N" help:"How often connecting to the database is tried again (default ${default})." group:"Database"`
	DBTimeout        int              `name:"db-timeout" default:"-1" placeholder:"SECONDS" help:"How long a statement may take, 0 for ever; by default what the configuration says." group:"Database"`
	DBConnectTimeout int              `name:"db-connect-timeout" placeholder:"SECONDS" help:"How long connecting may take; by default what the configuration says." group:"Database"`
	Output           string           `enum:"text,json" default:"text" help:"Form of results: text or json (default ${default})." group:"Output"`
	LogFormat        string           `enum:"text,json" default:"text" help:"Form of log lines: text or json (default ${default})." group:"Output"`
	LogLevel         string           `enum:"debug,info,warn,error" default:"info" help:"Least important log lines shown: debug, info, warn, error (default ${default})." group:"Output"`
	Progress         string           `enum:"auto,live,plain,none" default:"auto" help:"How to show how far a command has come: live (a view that is drawn again and again, on a terminal), plain (a line every ten seconds), none, or auto: live where standard error is a terminal, else plain (default ${default})." group:"Output"`
	Quiet            bool             `short:"q" help:"No progress, and only warnings and errors in the log." group:"Output"`
	Version          kong.VersionFlag `help:"Show the version."`
}

// app is what a command works with.
type app struct {
	globals *globals
	stdin   *os.File
	stdout  *output
	stderr  io.Writer
	log     *slog.Logger
	// progress tells how far the command has come.
	progress *progress.Teller
	// line is the command line as it was given.
	line cmdline.Line
	// warned are the warnings that have been logged.
	warned []string
}

// results is where results go, in the form that --output says.
func (a *app) results() summary.Output {
	return summary.Output{Writer: a.stdout, JSON: a.globals.Output == "json"}
}

// output remembers whether anything was written.
type output struct {
	w       io.Writer
	written bool
}

// Write passes on.
func (o *output) Write(p []byte) (int, error) {
	o.written = true
	return o.w.Write(p)
}

func main() {
	os.Exit(run(cmdline.Take()))
}

func run(args []string) int {
	var c cli
	exited := -1
	program := cmdline.Program()
	parser, err := kong.New(&c, kong.Name(program), kong.Description(description), kong.UsageOnError(),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}), kong.Vars{"version": thisBuild().String(), "drivers": strings.Join(all.Names(), ","), "maxFailures": strconv.Itoa(pipeline.DefaultMaxBackendFailures)},
		kong.Exit(func(code int) { exited = code; panic(exitPanic{}) }))
	if err != nil {
		fmt.Fprintln(os.Stderr, program+":", err)
		return exitFailed
	}
	if program != cmdline.Kedge {
		if args, err = cmdline.AsManager(program, args); err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n", program, err)
			return exitFailed
		}
	}
	parsed, err := parse(parser, cmdline.WithoutEmptyConnect(parser, args))
	if exited >= 0 {
		return exited
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v (%s --help tells more)\n", program, err, program)
		return exitFailed
	}
	// Payloads come and go by the megabyte: collect before the garbage is as
	// large as what is in use.
	debug.SetGCPercent(50)
	a := &app{line: cmdline.Line{Program: program}, globals: &c.globals, stdin: os.Stdin, stdout: &output{w: os.Stdout}, stderr: os.Stderr}
	var screen *liveview.Screen
	if term.IsTerminal(int(os.Stderr.Fd())) {
		screen = liveview.NewScreen(os.Stderr)
		a.stderr = screen
		if term.IsTerminal(int(os.Stdout.Fd())) {
			a.stdout.w = screen.Besides(os.Stdout)
		}
	}
	a.log = newLog(a.stderr, &c.globals)
	a.progress = &progress.Teller{Stderr: a.stderr, Screen: screen, Log: a.log, Show: c.Progress, Quiet: c.Quiet, Records: c.LogFormat == "json"}
	defer a.progress.AnswerSignals()()
	a.line.Parsed = parsed
	ctx, interrupts := catchInterrupts(a.stderr)
	defer interrupts.release()
	parsed.BindTo(ctx, (*context.Context)(nil))
	return a.status(parsed.Run(a, interrupts))
}

// exitPanic unwinds from kong's --help and --version.
type exitPanic struct{}

func parse(parser *kong.Kong, args []string) (ctx *kong.Context, err error) {
	defer func() {
		if r := recover(); r != nil {
			if _, ok := r.(exitPanic); !ok {
				panic(r)
			}
		}
	}()
	return parser.Parse(args)
}

// status prints what went wrong, in one line, and gives the exit status.
func (a *app) status(err error) (status int) {
	if err == nil {
		return exitDone
	}
	message := strings.Join(strings.Fields(err.Error()+quoteLine(err)), " ")
	fmt.Fprintln(a.stderr, cmp.Or(a.line.Program, cmdline.Kedge)+":", message)
	defer func() {
		if a.globals.Output == "json" && !a.stdout.written {
			_ = json.NewEncoder(a.stdout).Encode(map[string]any{"error": message, "exit_status": status})
		}
	}()
	var (
		held     *catalog.HeldError
		mismatch *checkpoint.MismatchError
		inUse    *checkpoint.InUseError
		refused  *pipeline.RefusedError
		gaveUp   *pipeline.GaveUpError
	)
	switch {
	case errors.As(err, &held), errors.As(err, &mismatch), errors.As(err, &inUse), errors.As(err, &refused):
		return exitRefused
	case ending.IsIncomplete(err), errors.As(err, &gaveUp):
		return exitDocuments
	case ending.IsInterrupted(err), errors.Is(err, context.Canceled):
		return exitInterrupted
	default:
		return exitFailed
	}
}

func newLog(w io.Writer, g *globals) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(g.LogLevel)); err != nil {
		level = slog.LevelInfo // kong has checked the flag
	}
	if g.Quiet {
		level = max(level, slog.LevelWarn)
	}
	options := &slog.HandlerOptions{Level: level}
	if g.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}
