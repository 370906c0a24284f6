package anchore

import (
	"cmp"
	"net/url"
	"slices"
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
	r.exec(`DROP ROLE IF EXISTS kedge_reader`)
	r.exec(`CREATE ROLE kedge_reader LOGIN`)
	defer r.exec(`DROP OWNED BY kedge_reader CASCADE; DROP ROLE kedge_reader`)
	r.exec(`CREATE TABLE IF NOT EXISTS archive_document (jsondata text)`)
	r.exec(`CREATE TABLE IF NOT EXISTS object_storage (content bytea)`)
	r.exec(`GRANT SELECT ON ALL TABLES IN SCHEMA public TO kedge_reader`)
	r.exec(`GRANT INSERT, UPDATE ON tasks, archive_migration_tasks TO kedge_reader`)
	o := r.options
	o.Postgres = withUser(t, o.Postgres, "kedge_reader")
	reader := mustOpen(t, o)
	defer reader.Close()
	for _, c := range []struct {
		who        *Catalog
		from, to   string
		keepSource bool
		want       []string
	}{
		{r.Catalog, "db", "db2", false, nil},
		{reader, "db", "s3", true, []string{"UPDATE on archive_metadata"}},
		{reader, "db", "s3", false, []string{"DELETE on archive_document", "UPDATE on archive_metadata"}},
		{reader, "s3", "db2", false, []string{"DELETE on object_storage", "INSERT on object_storage", "UPDATE on archive_metadata", "UPDATE on object_storage"}},
		{freshSQLite(t).Catalog, "db", "db2", false, nil},
	} {
		got, err := c.who.MissingPrivileges(t.Context(), c.from, c.to, c.keepSource)
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%s to %s, keep %v: %q, %v; want %q", c.from, c.to, c.keepSource, got, err, c.want)
		}
	}
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
