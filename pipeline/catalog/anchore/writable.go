package anchore

import (
	"context"
	"fmt"
	"strings"
)

// ReadOnlyError says that nothing can be written to the database, why, and what
// mends it.
type ReadOnlyError struct{ Place, Reason string }

// Error is one line.
func (e *ReadOnlyError) Error() string {
	return "the database at " + e.Place + " is read-only: " + e.Reason
}

// Writable says whether rows can be changed: it is a *ReadOnlyError where they
// cannot. Nothing is changed.
func (c *Catalog) Writable(ctx context.Context) error {
	if c.pool == nil {
		return nil
	}
	var standby bool
	var readOnly, source, role, database string
	err := c.pool.QueryRow(ctx, `SELECT pg_is_in_recovery(), current_setting('transaction_read_only'),
			(SELECT coalesce(max(source), '') FROM pg_settings WHERE name = 'default_transaction_read_only'), quote_ident(current_user), quote_ident(current_database())`).
		Scan(&standby, &readOnly, &source, &role, &database)
	switch {
	case err != nil:
		return failed(ctx, "ask whether the database can be written", err)
	case standby:
		return &ReadOnlyError{c.Place(), "is this a standby? It replays another server's log (connect to the primary)"}
	case readOnly == "on":
		return &ReadOnlyError{c.Place(), "default_transaction_read_only is on (" + switchOff(source, role, database) + "); is this a standby?"}
	}
	return nil
}

// switchOff is the statement that makes new sessions writable, by where the
// setting comes from.
func switchOff(source, role, database string) string {
	const reset = " RESET default_transaction_read_only"
	switch source {
	case "user":
		return "ALTER ROLE " + role + reset
	case "database user":
		return fmt.Sprintf("ALTER ROLE %s IN DATABASE %s%s", role, database, reset)
	case "database":
		return "ALTER DATABASE " + database + reset
	case "client", "session":
		return "leave it out of the database's URL and of PGOPTIONS"
	default:
		return strings.TrimSpace("ALTER SYSTEM" + reset + ", or take it out of postgresql.conf, and SELECT pg_reload_conf()")
	}
}
