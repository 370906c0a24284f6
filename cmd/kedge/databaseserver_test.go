package main

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/kedge/kedge/bench"
	"github.com/kedge/kedge/internal/testenv"
)

// withUser is a database's URL for another role.
func withUser(t testing.TB, databaseURL, role string) string {
	t.Helper()
	u, err := url.Parse(databaseURL)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.User(role)
	return u.String()
}

// newRole makes a role of the test's own in a server of the test's own.
func newRole(t testing.TB, databaseURL, role string, statements ...string) string {
	t.Helper()
	execute(t, databaseURL, "CREATE ROLE "+role+" LOGIN")
	for _, s := range statements {
		execute(t, databaseURL, s)
	}
	return withUser(t, databaseURL, role)
}

// Through a pooler that keeps sessions together everything works; through one
// that does not, nothing is begun.
func TestThroughPgBouncer(t *testing.T) {
	t.Parallel()
	s := seedDB(t, bench.Workload{Documents: 60, MedianBytes: 2 << 10, MaxBytes: 9 << 20, Sigma: 3, Seed: 71})
	pooler := testenv.NewPgBouncer(t, testenv.Postgres(t), map[string]string{"pool_mode": "session"})
	through := pooler.Through(t, s.url)
	root := archiveRoot(t)
	db2, files := db2Place(s.url), localfsPlace(root)
	configs := []string{dbPlace(s.url).config(t, through, compression{}), db2.config(t, through, compression{}), files.config(t, through, compression{})}
	timeout := "--db-timeout=60"
	kedge(t, "check", timeout, configs[0]).want(t, exitDone)
	for i, to := range []place{db2, files} {
		kedge(t, "plan", timeout, configs[i], configs[i+1]).want(t, exitDone)
		kedge(t, "migrate", timeout, "--dontask", configs[i], configs[i+1]).want(t, exitDone)
		s.check(t, to)
		kedge(t, "verify", timeout, "--orphans", configs[i+1]).want(t, exitDone)
	}
	for _, mode := range []string{"transaction", "statement"} {
		pooler := testenv.NewPgBouncer(t, testenv.Postgres(t), map[string]string{"pool_mode": mode})
		from, to := files.config(t, pooler.Through(t, s.url), compression{}), db2.config(t, pooler.Through(t, s.url), compression{})
		for _, args := range [][]string{{"check", from}, {"plan", from, to}, {"migrate", "--dontask", from, to}, {"verify", from}} {
			kedge(t, args...).want(t, exitFailed).tells(t, "connection pooler", "pool_mode=session")
		}
	}
	s.check(t, files)
	if n := execute(t, s.url, `SELECT FROM tasks`); n != 2 {
		t.Errorf("%d tasks, want those of 2 migrations", n)
	}
}

// A database that cannot be written is told before anything begins, with what to
// do; what only reads works.
func TestADatabaseThatIsReadOnly(t *testing.T) {
	t.Parallel()
	primary := testenv.NewPostgres(t, testenv.PostgresOptions{})
	url, _ := primary.Golden(t, "db")
	execute(t, url, `TRUNCATE archive_metadata, archive_document, object_storage, archive_migration_tasks, tasks`)
	s := seedInto(t, url, bench.Workload{Documents: 30, MedianBytes: 2 << 10, MaxBytes: 3 << 20, Sigma: 3, Seed: 72})
	name := url[strings.LastIndex(url, "/")+1:]
	const readOnly = " SET default_transaction_read_only = on"
	standby := testenv.NewStandby(t, primary)
	for _, c := range []struct{ name, url, mend string }{
		{"standby", strings.Replace(url, fmt.Sprint(primary.Port), fmt.Sprint(standby.Port), 1), "connect to the primary"},
		{"role", newRole(t, url, "of_role", "GRANT ALL ON ALL TABLES IN SCHEMA public TO of_role", "GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO of_role",
			"ALTER ROLE of_role"+readOnly), "ALTER ROLE of_role RESET default_transaction_read_only"},
		{"role in database", newRole(t, url, "of_both", "GRANT ALL ON ALL TABLES IN SCHEMA public TO of_both", "GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO of_both",
			"ALTER ROLE of_both IN DATABASE "+name+readOnly), "ALTER ROLE of_both IN DATABASE " + name + " RESET default_transaction_read_only"},
		{"URL", url + "?options=-c%20default_transaction_read_only%3Don", "leave it out of the database's URL"},
	} {
		t.Run(c.name, func(t *testing.T) {
			root := archiveRoot(t)
			from, to := dbPlace(url).config(t, c.url, compression{}), localfsPlace(root).config(t, c.url, compression{})
			kedge(t, "check", from).want(t, exitFailed).tells(t, "read-only", "is this a standby?", c.mend)
			kedge(t, "plan", "--output=json", from, to).want(t, exitDocuments).tells(t, "read-only", "is this a standby?", c.mend, "30")
			kedge(t, "migrate", "--dontask", from, to).want(t, exitFailed).tells(t, "read-only", "is this a standby?", c.mend)
			kedge(t, "verify", from).want(t, exitDone)
		})
	}
	s.check(t, dbPlace(url))
	if n := execute(t, url, `SELECT FROM tasks`); n != 0 {
		t.Errorf("%d tasks were begun", n)
	}
}

// What the database's role lacks is told before anything begins, with the
// statements that give it; given, they are enough.
func TestARoleWithoutPrivileges(t *testing.T) {
	t.Parallel()
	server := testenv.NewPostgres(t, testenv.PostgresOptions{})
	url, _ := server.Golden(t, "db")
	execute(t, url, `TRUNCATE archive_metadata, archive_document, object_storage, archive_migration_tasks, tasks`)
	s := seedInto(t, url, bench.Workload{Documents: 20, MedianBytes: 2 << 10, MaxBytes: 9 << 20, Sigma: 4, Seed: 73})
	name := url[strings.LastIndex(url, "/")+1:]
	execute(t, url, "REVOKE TEMPORARY ON DATABASE "+name+" FROM PUBLIC")
	role := newRole(t, url, "limited", "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO limited", "REVOKE DELETE ON object_storage, archive_document FROM limited")
	from, to := dbPlace(url).config(t, role, compression{}), db2Place(url).config(t, role, compression{})
	grants := []string{
		"GRANT TEMPORARY ON DATABASE " + name + " TO limited", "GRANT USAGE ON SEQUENCE tasks_id_seq TO limited",
		"GRANT DELETE ON archive_document TO limited", "GRANT DELETE ON object_storage TO limited",
	}
	kedge(t, "check", to).want(t, exitFailed).tells(t, grants[0], grants[1], grants[3])
	kedge(t, "plan", "--output=json", from, to).want(t, exitDocuments).tells(t, grants...)
	kedge(t, "migrate", "--dontask", from, to).want(t, exitFailed).tells(t, grants...)
	s.check(t, dbPlace(url))
	for _, grant := range grants {
		execute(t, url, grant)
	}
	kedge(t, "check", to).want(t, exitDone)
	kedge(t, "plan", "--output=json", from, to).want(t, exitDone)
	kedge(t, "migrate", "--dontask", from, to).want(t, exitDone)
	s.check(t, db2Place(url))
	kedge(t, "verify", to).want(t, exitDone)
}
