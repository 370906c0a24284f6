package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/kedge/kedge/internal/testenv"
	"github.com/kedge/kedge/internal/testenv/faults"
)

// What kedge sends to the database: texts by which a fault finds its moment. A
// statement is sent once more the first time that a connection has it, to be
// described.
const (
	readStatement    = "octet_length(jsondata)"
	streamStatement  = "substring(v.c from i + 1"
	removeStatement  = "DELETE FROM archive_document WHERE ctid"
	objectStatement  = "INSERT INTO object_storage"
	rowsStatement    = "(SELECT DISTINCT * FROM unnest"
	commitStatements = "UPDATE archive_metadata m"
	taskStatement    = "UPDATE archive_migration_tasks m SET"
)

// databaseCase is a fault of the database, and what becomes of a migration that
// meets it: from driver db to a directory, or to driver db2.
type databaseCase struct {
	name   string
	line   faults.Line
	breaks []*faults.Break
	toDB2  bool
	exit   int
	says   string // where the run could not go on
	// least and most are how many documents the rows say are moved after it.
	least, most int
	// task is the state that the run leaves in its task's row.
	task string
}

func at(sent string, rule faults.Rule, bytes int64, how faults.Way) []*faults.Break {
	return []*faults.Break{{Rule: rule, Sent: sent, Bytes: bytes, How: how}}
}

// The database holds the catalog, the lock and, here, the source. What a driver
// meets is tried again. A catalog that breaks off ends the run, for the lock may
// be somebody else's by then; the same command goes on.
func TestFaultsOfTheDatabase(t *testing.T) {
	testenv.Alone(t, "it looks for goroutines that are left behind")
	const documents = 120
	database := emptyInstallation(t)
	for _, c := range []databaseCase{
		{name: "latency and jitter", line: faults.Line{Latency: time.Millisecond, Jitter: 2 * time.Millisecond}},
		{name: "bandwidth", line: faults.Line{BytesPerSecond: 8 << 20}},
		{name: "reads reset", breaks: at(readStatement, faults.Rule{Most: 2}, 0, faults.Reset)},
		{name: "reads reset in mid-body", breaks: at(readStatement, faults.Rule{After: 1, Most: 2}, 20_000, faults.Reset)},
		{name: "streams reset in mid-body", breaks: at(streamStatement, faults.Rule{After: 1, Most: 2}, 100_000, faults.Reset)},
		{name: "deletions' answers lost", breaks: at(removeStatement, faults.Rule{Most: 3}, 0, faults.Reset)},
		{name: "puts' answers lost", toDB2: true, breaks: at(objectStatement, faults.Rule{After: 3, Most: 3}, 0, faults.Reset)},
		{name: "a read never answered", breaks: at(readStatement, faults.Rule{After: 1, Most: 1}, 0, faults.Silence)},
		{name: "a commit's statement lost", breaks: at(commitStatements, faults.Rule{Most: 1}, 0, faults.Reset),
			exit: exitDocuments, says: "again to go on", task: "running"},
		{name: "a commit's answer lost", breaks: at(commitStatements, faults.Rule{After: 1, Most: 1}, 0, faults.Reset),
			exit: exitDocuments, says: "again to go on", least: 1, most: documents, task: "running"},
		{name: "a commit never answered", breaks: at(commitStatements, faults.Rule{After: 1, Most: 1}, 0, faults.Silence),
			exit: exitDocuments, says: "again to go on", least: 1, most: documents, task: "running"},
		{name: "looks at rows reset", breaks: at(rowsStatement, faults.Rule{After: 1, Most: 2}, 0, faults.Reset)},
		{name: "looks at rows reset for good", breaks: at(rowsStatement, faults.Rule{After: 1}, 0, faults.Reset),
			exit: exitDocuments, says: "read rows of the catalog", most: documents, task: "failed"},
		{name: "the task's end reset", breaks: at(taskStatement, faults.Rule{Most: 2}, 0, faults.Reset)},
		{name: "the task's end lost", breaks: at(taskStatement, faults.Rule{}, 0, faults.Reset),
			exit: exitDocuments, says: "update the migration's task", least: documents, most: documents, task: "running"},
		{name: "outage for a while", breaks: at(commitStatements, faults.Rule{After: 1, Most: 1}, 0, faults.Outage(300*time.Millisecond)),
			exit: exitDocuments, says: "again to go on", least: 1, most: documents, task: "running"},
		{name: "outage for good", breaks: at(removeStatement, faults.Rule{Most: 1}, 0, faults.Outage(0)),
			exit: exitDocuments, says: "again to go on", least: 1, most: documents, task: "running"},
	} {
		t.Run(c.name, func(t *testing.T) {
			to := localfsPlace(archiveRoot(t))
			if c.toDB2 {
				to = db2Place(database)
			}
			seedWired(t, database, dbPlace(database), to).meetDatabase(c)
		})
	}
}

// A database that takes everything and says nothing any more, to the session that
// holds the lock neither.
func TestADatabaseThatFallsSilent(t *testing.T) {
	testenv.Alone(t, "it looks for goroutines that are left behind")
	database := emptyInstallation(t)
	w := seedWired(t, database, dbPlace(database), localfsPlace(archiveRoot(t)))
	// The pool's at the first look at rows, the lock's session at the first
	// question whether it lives.
	w.meetDatabase(databaseCase{
		breaks: []*faults.Break{
			{Sent: rowsStatement, How: faults.Silence},
			{Rule: faults.Rule{After: 2}, Sent: "SELECT pg_backend_pid()", How: faults.Silence},
		},
		exit: exitDocuments, says: "again to go on", task: "failed", // which a new connection could still write
	})
}

// meetDatabase runs a migration whose database is behind a fault, looks at what
// it has left, and runs it again without.
func (w *wired) meetDatabase(c databaseCase) {
	w.Helper()
	line, err := faults.NewTCP(fmt.Sprintf("127.0.0.1:%d", testenv.Postgres(w).Port), wireSeed)
	if err != nil {
		w.Fatal(err)
	}
	defer line.Close()
	run := wireRun{from: w.from, to: w.to, database: w.databaseBehind(line.Address()), maxFailures: 10 * len(w.documents)}
	line.Set(c.line)
	line.Inject(c.breaks...)
	end := w.migrate(run, func() {
		// pgx closes connections whose server says nothing in a goroutine of its
		// own, which bears with it for 15 s.
		if err := line.Lift(); err != nil {
			w.Error(err)
		}
	})
	w.Logf("%v, exit status %d, %d moved: %s", end.took.Round(time.Millisecond), end.exit, end.result.Moved, end.result.Error)
	for _, f := range c.breaks {
		if f.Hits() == 0 {
			w.Errorf("the fault at %q was not met: the test proves nothing", f.Sent)
		}
	}
	if end.exit != c.exit || !strings.Contains(end.stderr, c.says) {
		w.Errorf("exit status %d, want %d, saying %q:\n%s", end.exit, c.exit, c.says, end.stderr)
	}
	if c.exit == exitDone {
		w.checkComplete()
		return
	}
	moved := len(w.documents) - len(w.check())
	if moved < c.least || moved > c.most {
		w.Errorf("%d documents are moved, want from %d to %d", moved, c.least, c.most)
	}
	w.checkTask(c.task)
	w.migrate(run, func() {}).want(w, exitDone)
	w.checkComplete()
}
