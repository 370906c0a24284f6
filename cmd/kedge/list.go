package main

import (
	"context"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/kedge/kedge/config"
	"github.com/kedge/kedge/drivers/all"
	"github.com/kedge/kedge/pipeline/catalog"
)

// listMigrationsCommand lists migrations. The configuration is for its database
// only.
type listMigrationsCommand struct {
	Config string `arg:"" optional:"" name:"config.yaml" help:"Configuration to take the database from, without --db-connect."`
}

// Run lists the migrations with the columns of anchore-manager.
func (c *listMigrationsCommand) Run(ctx context.Context, a *app) error {
	file, err := a.optionalFile(c.Config)
	if err != nil {
		return err
	}
	cat, err := a.openCatalog(ctx, file)
	if err != nil {
		return err
	}
	defer cat.Close()
	tasks, err := cat.Tasks(ctx)
	if err != nil {
		return err
	}
	if a.globals.Output == "json" {
		return a.results().Indented(taskForms(tasks))
	}
	return writeTasks(a.stdout, tasks)
}

func writeTasks(w io.Writer, tasks []catalog.Task) error {
	t := tabwriter.NewWriter(w, 0, 8, 3, ' ', 0)
	fmt.Fprintln(t, "id\tstate\tstart time\tend time\tfrom\tto\tmigrated count\ttotal to migrate\tlast updated")
	for _, task := range tasks {
		fmt.Fprintf(t, "%d\t%s\t%s\t%s\t%s\t%s\t%d\t%d\t%s\n", task.ID, task.State, moment(task.Started), moment(task.Ended),
			task.From, task.To, task.Migrated, task.Documents, moment(task.Updated))
	}
	return t.Flush()
}

// moment writes a time as anchore-manager does, "N/A" where there is none.
func moment(t time.Time) string {
	if t.IsZero() {
		return "N/A"
	}
	return t.UTC().Format("2006-01-02T15:04:05.000000")
}

type taskJSON struct {
	ID            int64   `json:"id"`
	State         string  `json:"state"`
	LastState     string  `json:"last_state"`
	CreatedAt     *string `json:"created_at"`
	StartedAt     *string `json:"started_at"`
	EndedAt       *string `json:"ended_at"`
	LastUpdated   *string `json:"last_updated"`
	Executor      string  `json:"executor_id"`
	From          string  `json:"migrate_from_driver"`
	To            string  `json:"migrate_to_driver"`
	MigratedCount int64   `json:"archive_documents_migrated"`
	Total         int64   `json:"archive_documents_to_migrate"`
	Online        bool    `json:"online_migration"`
}

func taskForms(tasks []catalog.Task) []taskJSON {
	optional := func(t time.Time) *string {
		if t.IsZero() {
			return nil
		}
		s := moment(t)
		return &s
	}
	list := make([]taskJSON, 0, len(tasks))
	for _, t := range tasks {
		list = append(list, taskJSON{
			ID: t.ID, State: string(t.State), LastState: string(t.LastState),
			CreatedAt: optional(t.Created), StartedAt: optional(t.Started), EndedAt: optional(t.Ended), LastUpdated: optional(t.Updated),
			Executor: t.Executor, From: t.From, To: t.To, MigratedCount: t.Migrated, Total: t.Documents, Online: t.Online,
		})
	}
	return list
}

// listDriversCommand lists drivers.
type listDriversCommand struct{}

// Run lists the drivers.
func (c *listDriversCommand) Run(a *app) error {
	descriptions := all.Descriptions()
	if a.globals.Output == "json" {
		type driverJSON struct {
			Name       string `json:"name"`
			Scheme     string `json:"scheme"`
			Compresses bool   `json:"compresses"`
			Summary    string `json:"summary"`
		}
		list := make([]driverJSON, len(descriptions))
		for i, d := range descriptions {
			list[i] = driverJSON{d.Name, d.Scheme, d.Compresses, d.Summary}
		}
		return a.results().Indented(list)
	}
	t := tabwriter.NewWriter(a.stdout, 0, 8, 3, ' ', 0)
	fmt.Fprintln(t, "name\tURIs\tcompression\twhat it is")
	for _, d := range descriptions {
		compression := "no"
		if d.Compresses {
			compression = "yes"
		}
		fmt.Fprintf(t, "%s\t%s…\t%s\t%s\n", d.Name, d.Scheme, compression, d.Summary)
	}
	return t.Flush()
}

// optionalFile reads a configuration if one is named.
func (a *app) optionalFile(path string) (*config.File, error) {
	if path == "" {
		return nil, nil
	}
	return a.loadConfig(path)
}
