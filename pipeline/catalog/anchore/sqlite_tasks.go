package anchore

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/kedge/kedge/pipeline/catalog"
)

// sqliteTime is how SQLAlchemy writes a DateTime into SQLite.
const sqliteTime = "2006-01-02 15:04:05.000000"

func (l *sqlite) StartTask(ctx context.Context, from, to string, documents int64, online bool) (int64, error) {
	now := taskTime().Format(sqliteTime)
	var id int64
	err := transaction(ctx, l.db, func(tx *sql.Tx) error {
		inserted, err := tx.ExecContext(ctx, `
			INSERT INTO tasks (state, created_at, started_at, last_updated, executor_id, type) VALUES (?1, ?2, ?2, ?2, ?3, ?4)`,
			string(catalog.TaskRunning), now, executor(), taskType)
		if err != nil {
			return err
		}
		if id, err = inserted.LastInsertId(); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `
			INSERT INTO archive_migration_tasks
				(id, migrate_from_driver, migrate_to_driver, archive_documents_to_migrate, archive_documents_migrated)
			VALUES (?, ?, ?, ?, 0)`, id, from, to, clamp(documents))
		if err != nil || !online {
			return err
		}
		if column, err := onlineColumn(ctx, tx); err != nil || !column {
			return err
		}
		_, err = tx.ExecContext(ctx, `UPDATE archive_migration_tasks SET online_migration = true WHERE id = ?`, id)
		return err
	})
	return id, failed(ctx, "write the migration's task", err)
}

// onlineColumn says whether a task can say that it is an online migration.
func onlineColumn(ctx context.Context, q interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}) (found bool, err error) {
	err = q.QueryRowContext(ctx, `SELECT count(*) > 0 FROM pragma_table_info('archive_migration_tasks') WHERE name = 'online_migration'`).Scan(&found)
	return found, err
}

func (l *sqlite) UpdateTask(ctx context.Context, id int64, state catalog.TaskState, documents, migrated int64) error {
	doing := fmt.Sprintf("update the migration's task %d", id)
	err := transaction(ctx, l.db, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `
			UPDATE tasks SET last_state = CASE WHEN state IS NOT ?2 THEN state ELSE last_state END, state = ?2,
				ended_at = CASE WHEN ?2 IN ('complete', 'failed') THEN ?3 WHEN ?2 = 'running' THEN NULL ELSE ended_at END,
				executor_id = CASE WHEN ?2 = 'running' THEN ?5 ELSE executor_id END, last_updated = ?3
			WHERE id = ?1 AND type = ?4`, id, string(state), taskTime().Format(sqliteTime), taskType, executor())
		if err != nil {
			return err
		}
		updated, err := tx.ExecContext(ctx, `
			UPDATE archive_migration_tasks SET archive_documents_to_migrate = ?2, archive_documents_migrated = ?3 WHERE id = ?1`,
			id, clamp(documents), clamp(migrated))
		if err != nil {
			return err
		}
		if n, err := updated.RowsAffected(); err != nil || n != 1 {
			return fmt.Errorf("there is no such task (%d rows, %v)", n, err)
		}
		return nil
	})
	return failed(ctx, doing, err)
}

func (l *sqlite) EndStale(ctx context.Context, except int64) error {
	_, err := l.db.ExecContext(ctx, `
		UPDATE tasks SET last_state = state, state = 'failed', ended_at = ?1, last_updated = ?1
		WHERE type = ?2 AND state IN ('running', 'initializing') AND id <> ?3`, taskTime().Format(sqliteTime), taskType, except)
	return failed(ctx, "end the tasks of migrations that were killed", err)
}

func (l *sqlite) Tasks(ctx context.Context) ([]catalog.Task, error) {
	tasks, err := l.tasks(ctx)
	return tasks, failed(ctx, "list the migration tasks", err)
}

func (l *sqlite) tasks(ctx context.Context) ([]catalog.Task, error) {
	column, err := onlineColumn(ctx, l.db)
	if err != nil {
		return nil, err
	}
	rows, err := l.db.QueryContext(ctx, `
		SELECT t.id, coalesce(t.state, ''), coalesce(t.last_state, ''),
		       coalesce(t.created_at, ''), coalesce(t.started_at, ''), coalesce(t.ended_at, ''), coalesce(t.last_updated, ''),
		       coalesce(t.executor_id, ''), coalesce(m.migrate_from_driver, ''), coalesce(m.migrate_to_driver, ''),
		       coalesce(m.archive_documents_to_migrate, 0), coalesce(m.archive_documents_migrated, 0), `+onlineValue(column)+`
		FROM tasks t JOIN archive_migration_tasks m ON m.id = t.id ORDER BY t.id`)
	if err != nil {
		return nil, err
	}
	return appendRows(nil, rows, func() (t catalog.Task, err error) {
		var texts [4]string
		err = rows.Scan(&t.ID, &t.State, &t.LastState, &texts[0], &texts[1], &texts[2], &texts[3],
			&t.Executor, &t.From, &t.To, &t.Documents, &t.Migrated, &t.Online)
		if err != nil {
			return t, err
		}
		for i, at := range []*time.Time{&t.Created, &t.Started, &t.Ended, &t.Updated} {
			if texts[i] == "" {
				continue
			}
			if *at, err = time.Parse("2006-01-02 15:04:05", texts[i]); err != nil {
				return t, fmt.Errorf("task %d: %w", t.ID, err)
			}
		}
		return t, nil
	})
}
