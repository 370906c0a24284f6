package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/kedge/kedge/cmd/kedge/internal/cmdline"
	"github.com/kedge/kedge/drivers/all"
	"github.com/kedge/kedge/pipeline"
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

// cli is the whole command line.
type cli struct {
	globals
	commands
	Objectstorage struct {
		commands
	} `cmd:"" name:"objectstorage" help:"The same commands, as anchore-manager spells them."`
	Copy       copyCommand       `cmd:"" help:"Copy all documents to another store while Anchore runs, so that migrate then takes seconds."`
	Rollback   rollbackCommand   `cmd:"" help:"Go back to the store that migrate --nodelete came from: only what has changed since is moved."`
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
	databaseFlags
	outputFlags
	Version kong.VersionFlag `help:"Show the version."`
}

// databaseFlags are those with which every command finds the database.
type databaseFlags struct {
	DBConnect        string `name:"db-connect" placeholder:"URL" help:"Database of the installation, as SQLAlchemy spells it: postgresql://user:password@host:5432/name. Default: credentials.database of the (source) configuration." group:"Database"`
	DBUseSSL         bool   `name:"db-use-ssl" help:"Connect to the database with TLS." group:"Database"`
	DBRetries        int    `name:"db-retries" default:"3" placeholder:"N" help:"How often connecting to the database is tried again (default ${default})." group:"Database"`
	DBTimeout        int    `name:"db-timeout" default:"-1" placeholder:"SECONDS" help:"How long a statement may take, 0 for ever; by default what the configuration says." group:"Database"`
	DBConnectTimeout int    `name:"db-connect-timeout" placeholder:"SECONDS" help:"How long connecting may take; by default what the configuration says." group:"Database"`
}

// outputFlags say what a command prints, and how.
type outputFlags struct {
	Output    string `enum:"text,json" default:"text" help:"Form of results: text or json (default ${default})." group:"Output"`
	LogFormat string `enum:"text,json" default:"text" help:"Form of log lines: text or json (default ${default})." group:"Output"`
	LogLevel  string `enum:"debug,info,warn,error" default:"info" help:"Least important log lines shown: debug, info, warn, error (default ${default})." group:"Output"`
	Progress  string `enum:"auto,live,plain,none" default:"auto" help:"How to show how far a command has come: live (a view that is drawn again and again, on a terminal), plain (a line every ten seconds), none, or auto: live where standard error is a terminal, else plain (default ${default})." group:"Output"`
	Quiet     bool   `short:"q" help:"No progress, and only warnings and errors in the log." group:"Output"`
}

// exitPanic unwinds from kong's --help and --version.
type exitPanic struct{}

// parse reads the arguments. exited is the exit status where all is done with them,
// as with --help, else negative.
func parse(c *cli, program string, args []string) (parsed *kong.Context, exited int, err error) {
	exited = -1
	parser, err := kong.New(c, kong.Name(program), kong.Description(description), kong.UsageOnError(),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}), kong.Vars{"version": thisBuild().String(), "drivers": strings.Join(all.Names(), ","), "maxFailures": strconv.Itoa(pipeline.DefaultMaxBackendFailures)},
		kong.Exit(func(code int) { exited = code; panic(exitPanic{}) }))
	if err != nil {
		return nil, exited, err
	}
	if program != cmdline.Kedge {
		if args, err = cmdline.AsManager(program, args); err != nil {
			return nil, exited, err
		}
	}
	defer func() {
		if r := recover(); r != nil {
			if _, ok := r.(exitPanic); !ok {
				panic(r)
			}
		}
	}()
	if parsed, err = parser.Parse(cmdline.WithoutEmptyConnect(parser, args)); err != nil {
		err = fmt.Errorf("%w (%s --help tells more)", err, program)
	}
	return parsed, exited, err
}
