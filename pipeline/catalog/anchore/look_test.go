package anchore

import (
	"cmp"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/kedge/kedge/drivers"
)

func TestRenamed(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		r.add("b", "1", "u", "1.json", "db://u/b/1")
		r.add("b", "2", "u", "2.json", "db://u/b/2")
		r.add("b", "2", "u", "other", "db://u/b/2")
		r.add("a", "é", "v", "é.JSON", "s3://x/v/a/é")
		r.add("b", "", "u", ".json", "NULL")
		r.add("b", "4", "u", "", "NULL")
		keys, err := r.Renamed(t.Context(), 10)
		if err != nil {
			t.Fatal(err)
		}
		slices.SortFunc(keys, func(a, b drivers.Key) int { return cmp.Compare(a.ArchiveID, b.ArchiveID) })
		want := []drivers.Key{{UserID: "u", Bucket: "b", ArchiveID: "2"}, {UserID: "u", Bucket: "b", ArchiveID: "4"}, {UserID: "v", Bucket: "a", ArchiveID: "é"}}
		if !slices.Equal(keys, want) {
			t.Errorf("%v, want %v", keys, want)
		}
		if keys, err := r.Renamed(t.Context(), 2); len(keys) != 2 || err != nil {
			t.Errorf("at most 2: %v, %v", keys, err)
		}
	})
}

// Holder tells of the lock without taking it.
func TestHolderIsToldToAnybody(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		if held, err := r.Holder(t.Context()); held != nil || err != nil {
			t.Errorf("%v, %v while nobody holds it", held, err)
		}
		other := mustOpen(t, r.options)
		defer other.Close()
		if err := other.Lock(t.Context(), false); err != nil {
			t.Fatal(err)
		}
		if held, err := r.Holder(t.Context()); err != nil || held == nil || held.PID == 0 {
			t.Errorf("%v, %v while it is held", held, err)
		}
		if err := other.Unlock(t.Context()); err != nil {
			t.Fatal(err)
		}
		if held, err := r.Holder(t.Context()); held != nil || err != nil {
			t.Errorf("%v, %v afterwards", held, err)
		}
	})
}

func TestMissingPrivileges(t *testing.T) {
	r := freshPostgres(t)
	r.exec(`DROP ROLE IF EXISTS "kedge Reader"`)
	r.exec(`CREATE ROLE "kedge Reader" LOGIN`)
	defer r.exec(`DROP OWNED BY "kedge Reader" CASCADE; DROP ROLE "kedge Reader"`)
	r.exec(`DO $$ BEGIN EXECUTE 'REVOKE TEMPORARY ON DATABASE ' || current_database() || ' FROM PUBLIC'; END $$`)
	r.exec(`CREATE TABLE IF NOT EXISTS archive_document (jsondata text)`)
	r.exec(`CREATE TABLE IF NOT EXISTS object_storage (content bytea)`)
	r.exec(`GRANT SELECT ON ALL TABLES IN SCHEMA public TO "kedge Reader"`)
	r.exec(`GRANT INSERT, UPDATE ON tasks, archive_migration_tasks TO "kedge Reader"`)
	o := r.options
	o.Postgres = withUser(t, o.Postgres, "kedge Reader")
	reader := mustOpen(t, o)
	defer reader.Close()
	name := reader.database.(*postgres).config.Database
	grants := map[string]string{
		"TEMPORARY on database " + name: `GRANT TEMPORARY ON DATABASE ` + name + ` TO "kedge Reader"`,
		"USAGE on tasks_id_seq":         `GRANT USAGE ON SEQUENCE tasks_id_seq TO "kedge Reader"`,
		"UPDATE on archive_metadata":    `GRANT UPDATE ON archive_metadata TO "kedge Reader"`,
		"INSERT on archive_metadata":    `GRANT INSERT ON archive_metadata TO "kedge Reader"`,
		"DELETE on archive_metadata":    `GRANT DELETE ON archive_metadata TO "kedge Reader"`,
		"DELETE on archive_document":    `GRANT DELETE ON archive_document TO "kedge Reader"`,
		"DELETE on object_storage":      `GRANT DELETE ON object_storage TO "kedge Reader"`,
		"INSERT on object_storage":      `GRANT INSERT ON object_storage TO "kedge Reader"`,
		"UPDATE on object_storage":      `GRANT UPDATE ON object_storage TO "kedge Reader"`,
	}
	check := func(who *Catalog, w Work, want ...string) {
		t.Helper()
		got, err := who.MissingPrivileges(t.Context(), w)
		var names []string
		for _, m := range got {
			if m.Grant != grants[m.Privilege] {
				t.Errorf("%s is granted with %s, want %s", m.Privilege, m.Grant, grants[m.Privilege])
			}
			names = append(names, m.Privilege)
		}
		if err != nil || !slices.Equal(names, want) {
			t.Errorf("%+v: %q, %v; want %q", w, names, err, want)
		}
	}
	check(r.Catalog, Work{Source: "db", Destination: "db2", TestRow: true})
	check(reader, Work{Source: "db", Destination: "s3", KeepSource: true}, "UPDATE on archive_metadata", "USAGE on tasks_id_seq")
	check(reader, Work{Source: "db", Destination: "s3"}, "DELETE on archive_document", "UPDATE on archive_metadata", "USAGE on tasks_id_seq")
	check(reader, Work{Source: "db", Purge: true}, "DELETE on archive_document")
	check(reader, Work{Source: "s3", Destination: "db2", TestRow: true}, "DELETE on archive_metadata", "DELETE on object_storage", "INSERT on archive_metadata",
		"INSERT on object_storage", "TEMPORARY on database "+name, "UPDATE on archive_metadata", "UPDATE on object_storage", "USAGE on tasks_id_seq")
	check(freshSQLite(t).Catalog, Work{Source: "db", Destination: "db2"})
	// What is told is what helps.
	for _, grant := range grants {
		r.exec(grant)
	}
	check(reader, Work{Source: "db", Destination: "db2", TestRow: true})
	r.exec(`REVOKE ALL ON archive_metadata FROM "kedge Reader"`)
	r.exec(`GRANT SELECT, UPDATE (content_url, is_compressed, digest, size, last_updated) ON archive_metadata TO "kedge Reader"`)
	check(reader, Work{Source: "db", Destination: "db2"})
	// Tables in a schema that he may not look into are not missing.
	r.exec(`REVOKE USAGE ON SCHEMA public FROM PUBLIC`)
	const want = `GRANT USAGE ON SCHEMA public TO "kedge Reader"`
	if _, err := Open(t.Context(), o); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%v, want %s", err, want)
	}
	r.exec(want)
	again := mustOpen(t, o)
	again.Close()
}

// withUser is a connection URL for another user.
func withUser(t *testing.T, connection, user string) string {
	t.Helper()
	u, err := url.Parse(connection)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.User(user)
	return u.String()
}
