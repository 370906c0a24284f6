package testenv

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// Layout is how the rows of Anchore's tables lie: each table as one, in
// partitions, or spread over the table and children that inherit from it. A
// row's address (ctid) is its own in the first only.
type Layout string

// The layouts.
const (
	Whole       Layout = ""
	Partitioned Layout = "partitioned"
	Inherited   Layout = "inherited"
)

// layoutKeys are the tables with documents, and the column that tells where a
// row lies.
var layoutKeys = map[string]string{"archive_metadata": `"archiveId"`, "archive_document": `"archiveId"`, "object_storage": `"key"`}

// layoutParts is how many partitions or children a table gets.
const layoutParts = 3

// Lay makes Anchore's tables anew in the layout, with the rows that they have.
func (l Layout) Lay(ctx context.Context, conn *pgx.Conn) error {
	for table, column := range layoutKeys {
		var made strings.Builder
		fmt.Fprintf(&made, "ALTER TABLE %[1]s RENAME TO old; CREATE TABLE %[1]s (LIKE old INCLUDING ALL)", table)
		if l == Partitioned {
			fmt.Fprintf(&made, " PARTITION BY HASH (%s)", column)
		}
		// The parts of another layout have the names that new ones get.
		made.WriteString("; CREATE TEMPORARY TABLE kept AS SELECT * FROM old; DROP TABLE old CASCADE;")
		for i := range layoutParts {
			switch l {
			case Partitioned:
				fmt.Fprintf(&made, "CREATE TABLE %[1]s_%[2]d PARTITION OF %[1]s FOR VALUES WITH (MODULUS %[3]d, REMAINDER %[2]d);", table, i, layoutParts)
			case Inherited:
				fmt.Fprintf(&made, "CREATE TABLE %[1]s_%[2]d (LIKE %[1]s INCLUDING ALL) INHERITS (%[1]s);", table, i)
			}
		}
		fmt.Fprintf(&made, "INSERT INTO %s SELECT * FROM kept; DROP TABLE kept;", table)
		if _, err := conn.Exec(ctx, made.String()); err != nil {
			return fmt.Errorf("lay out %s %s: %w", table, l, err)
		}
		if err := l.Spread(ctx, conn, table); err != nil {
			return err
		}
	}
	return nil
}

// Spread moves rows that were put into a table to its children, where the layout
// has such; a part stays. Partitions need it not. With ids only rows with these in the
// column that tells where a row lies are moved: a row that moves gets another version,
// as if somebody had replaced it.
func (l Layout) Spread(ctx context.Context, conn *pgx.Conn, table string, ids ...string) error {
	if l != Inherited {
		return nil
	}
	for i := range layoutParts {
		_, err := conn.Exec(ctx, fmt.Sprintf(`WITH moved AS (
			DELETE FROM ONLY %[1]s WHERE mod(abs(hashtext(%[2]s)::int8), %[3]d) = %[4]d
				AND ($1::text[] IS NULL OR %[2]s = ANY ($1)) RETURNING *)
			INSERT INTO %[1]s_%[4]d SELECT * FROM moved`, table, layoutKeys[table], layoutParts+1, i), ids)
		if err != nil {
			return fmt.Errorf("spread %s: %w", table, err)
		}
	}
	return nil
}
