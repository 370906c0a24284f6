package anchore

import (
	"context"
	"fmt"
	"math"
	"os"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/kedge/kedge/pipeline/catalog"
)

// taskType is what tasks.type says of a migration.
const taskType = "archivemigrationtask"

// executor is executor_id as Anchore writes it: host:pid:threadid: with the
// main thread's id in the last place.
func executor() string {
	host, err := os.Hostname()
	if err != nil {
		host = "localhost"
	}
	return fmt.Sprintf("%s:%d:%d:", host, os.Getpid(), os.Getpid())
}

// clamp makes a count fit the tables' integer columns.
func clamp(n int64) int32 {
	return int32(min(max(n, 0), math.MaxInt32))
}

// taskTime is the present as the tables hold it: UTC, in microseconds.
func taskTime() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }

func (p *postgres) StartTask(ctx context.Context, from, to string, documents int64, online bool) (int64, error) {
	var id int64
	column, err := p.onlineColumn(ctx)
	if err != nil {
		return 0, failed(ctx, "write the migration's task", err)
	}
	more, value := "", ""
	if column && online {
		more, value = ", online_migration", ", true"
	}
	err = p.pool.QueryRow(ctx, `
		WITH task AS (
			INSERT INTO tasks (state, created_at, started_at, last_updated, executor_id, type)
			VALUES ($1::text::task_states, $2, $2, $2, $3, $4) RETURNING id)
		INSERT INTO archive_migration_tasks
			(id, migrate_from_driver, migrate_to_driver, archive_documents_to_migrate, archive_documents_migrated`+more+`)
		SELECT id, $5, $6, $7, 0`+value+` FROM task RETURNING id`,
		string(catalog.TaskRunning), taskTime(), executor(), taskType, from, to, clamp(documents)).Scan(&id)
	return id, failed(ctx, "write the migration's task", err)
}

// onlineColumn says whether a task can say that it is an online migration. Only a
// migration that is one says so, as Anchore leaves the column NULL.
func (p *postgres) onlineColumn(ctx context.Context) (found bool, err error) {
	err = p.pool.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_attribute
		WHERE attrelid = to_regclass('archive_migration_tasks') AND attname = 'online_migration' AND NOT attisdropped)`).Scan(&found)
	return found, err
}

func (p *postgres) UpdateTask(ctx context.Context, id int64, state catalog.TaskState, documents, migrated int64) error {
	doing := fmt.Sprintf("update the migration's task %d", id)
	n, err := again(ctx, func() (n int64, err error) {
		err = p.pool.QueryRow(ctx, updateTask, id, string(state), taskTime(), clamp(documents), clamp(migrated), taskType, executor()).Scan(&n)
		return n, err
	})
	if err == nil && n != 1 {
		return fmt.Errorf("%s: there is no such task", doing)
	}
	return failed(ctx, doing, err)
}

// updateTask may be run twice: the second time changes only the time.
const updateTask = `
	WITH task AS (
		UPDATE tasks SET state = $2::text::task_states,
			last_state = CASE WHEN state IS DISTINCT FROM $2::text::task_states THEN state ELSE last_state END,
			ended_at = CASE WHEN $2::text IN ('complete', 'failed') THEN $3 WHEN $2::text = 'running' THEN NULL ELSE ended_at END,
			executor_id = CASE WHEN $2::text = 'running' THEN $7 ELSE executor_id END, last_updated = $3
		WHERE id = $1 AND type = $6 RETURNING id),
	migration AS (
		UPDATE archive_migration_tasks m SET archive_documents_to_migrate = $4, archive_documents_migrated = $5
		FROM task WHERE m.id = task.id RETURNING m.id)
	SELECT count(*) FROM migration`

func (p *postgres) EndStale(ctx context.Context, except int64) error {
	_, err := p.pool.Exec(ctx, `
		UPDATE tasks SET last_state = state, state = 'failed', ended_at = $1, last_updated = $1
		WHERE type = $2 AND state IN ('running', 'initializing') AND id <> $3`, taskTime(), taskType, except)
	return failed(ctx, "end the tasks of migrations that were killed", err)
}

func (p *postgres) Tasks(ctx context.Context) ([]catalog.Task, error) {
	tasks, err := p.tasks(ctx)
	return tasks, failed(ctx, "list the migration tasks", err)
}

func (p *postgres) tasks(ctx context.Context) ([]catalog.Task, error) {
	column, err := p.onlineColumn(ctx)
	if err != nil {
		return nil, err
	}
	rows, err := p.pool.Query(ctx, `
		SELECT t.id, coalesce(t.state::text, ''), coalesce(t.last_state::text, ''),
		       t.created_at, t.started_at, t.ended_at, t.last_updated, coalesce(t.executor_id, ''),
		       coalesce(m.migrate_from_driver, ''), coalesce(m.migrate_to_driver, ''),
		       coalesce(m.archive_documents_to_migrate, 0), coalesce(m.archive_documents_migrated, 0), `+onlineValue(column)+`
		FROM tasks t JOIN archive_migration_tasks m ON m.id = t.id ORDER BY t.id`)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (catalog.Task, error) {
		var t catalog.Task
		var created, started, ended, updated *time.Time
		err := row.Scan(&t.ID, &t.State, &t.LastState, &created, &started, &ended, &updated, &t.Executor,
			&t.From, &t.To, &t.Documents, &t.Migrated, &t.Online)
		t.Created, t.Started, t.Ended, t.Updated = utc(created), utc(started), utc(ended), utc(updated)
		return t, err
	})
}

// onlineValue is a task's online_migration in SQL.
func onlineValue(column bool) string {
	if column {
		return "coalesce(m.online_migration, false)"
	}
	return "false"
}

// utc is the zero time for NULL.
func utc(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.UTC()
}
