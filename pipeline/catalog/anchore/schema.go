package anchore

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"path/filepath"
	"time"

	_ "modernc.org/sqlite" // the driver "sqlite"
)

// schema is what SQLAlchemy makes of Anchore 1.1's tables on SQLite.
var schema = []string{
	`CREATE TABLE IF NOT EXISTS anchore (
		service_version VARCHAR NOT NULL, db_version VARCHAR NOT NULL, created_at INTEGER, last_updated INTEGER,
		record_state_key VARCHAR, record_state_val VARCHAR, scanner_version VARCHAR,
		PRIMARY KEY (service_version, db_version))`,
	`CREATE TABLE IF NOT EXISTS archive_metadata (
		bucket VARCHAR NOT NULL, "archiveId" VARCHAR NOT NULL, "userId" VARCHAR NOT NULL, "documentName" VARCHAR NOT NULL,
		content_url VARCHAR, is_compressed BOOLEAN, digest VARCHAR, size BIGINT, document_metadata VARCHAR,
		created_at INTEGER, last_updated INTEGER, record_state_key VARCHAR, record_state_val VARCHAR,
		PRIMARY KEY (bucket, "archiveId", "userId", "documentName"))`,
	`CREATE TABLE IF NOT EXISTS archive_document (
		bucket VARCHAR NOT NULL, "archiveId" VARCHAR NOT NULL, "userId" VARCHAR NOT NULL, "documentName" VARCHAR NOT NULL,
		created_at INTEGER, last_updated INTEGER, record_state_key VARCHAR, record_state_val VARCHAR,
		jsondata VARCHAR, b64_encoded BOOLEAN,
		PRIMARY KEY (bucket, "archiveId", "userId", "documentName"))`,
	`CREATE TABLE IF NOT EXISTS object_storage (
		"userId" VARCHAR NOT NULL, bucket VARCHAR NOT NULL, "key" VARCHAR NOT NULL, version VARCHAR NOT NULL,
		object_metadata VARCHAR, content BLOB, created_at INTEGER, last_updated INTEGER,
		PRIMARY KEY ("userId", bucket, "key", version))`,
	`CREATE TABLE IF NOT EXISTS tasks (
		id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
		state VARCHAR(12) CHECK (state IN ('initializing', 'pending', 'running', 'complete', 'failed')),
		last_state VARCHAR(12) CHECK (last_state IN ('initializing', 'pending', 'running', 'complete', 'failed')),
		created_at DATETIME, started_at DATETIME, ended_at DATETIME, last_updated DATETIME,
		executor_id VARCHAR, type VARCHAR)`,
	`CREATE TABLE IF NOT EXISTS archive_migration_tasks (
		id INTEGER NOT NULL PRIMARY KEY REFERENCES tasks (id),
		migrate_from_driver VARCHAR, migrate_to_driver VARCHAR,
		archive_documents_to_migrate INTEGER, archive_documents_migrated INTEGER, online_migration BOOLEAN)`,
}

// CreateSchema makes the tables of Anchore's that kedge touches in an SQLite
// file, which is created where there is none. Tables that exist are left alone.
func CreateSchema(ctx context.Context, path string) error {
	if err := createSchema(ctx, path); err != nil {
		return fmt.Errorf("create Anchore's tables in %s: %w", path, err)
	}
	return nil
}

func createSchema(ctx context.Context, path string) error {
	abs, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	db, err := sql.Open("sqlite", sqliteName(abs, "rwc"))
	if err != nil {
		return err
	}
	db.SetMaxOpenConns(1)
	err = transaction(ctx, db, func(tx *sql.Tx) error {
		for _, table := range schema {
			if _, err := tx.ExecContext(ctx, table); err != nil {
				return err
			}
		}
		_, err := tx.ExecContext(ctx, `
			INSERT INTO anchore (service_version, db_version, created_at, last_updated, record_state_key)
			SELECT '1.1.0', '0.0.16', ?1, ?1, 'active' WHERE NOT EXISTS (SELECT 1 FROM anchore)`, time.Now().Unix())
		return err
	})
	return cmp.Or(err, db.Close())
}

// sqliteName is the data source name of a file: transactions take the write
// lock at their beginning, others are waited for, and a commit is on the disk
// when it returns.
func sqliteName(abs, mode string) string {
	u := url.URL{Scheme: "file", Path: abs}
	q := url.Values{"mode": {mode}, "_txlock": {"immediate"}, "_pragma": {"busy_timeout(10000)", "synchronous(FULL)", "foreign_keys(1)"}}
	u.RawQuery = q.Encode()
	return u.String()
}
