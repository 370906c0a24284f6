package anchore

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/kedge/kedge/internal/testenv"
	"github.com/kedge/kedge/pipeline/catalog"
)

// changed gives the documents that Changed tells of, in the order of their ids.
func (r *rig) changed(t *testing.T, s catalog.Selection, since int64) ([]catalog.Document, int64) {
	t.Helper()
	var docs []catalog.Document
	latest, err := r.Changed(t.Context(), s, since, catalog.Strays{}, func(d catalog.Document) error {
		docs = append(docs, d)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(docs, func(a, b catalog.Document) int { return cmp.Compare(a.ArchiveID, b.ArchiveID) })
	return docs, latest
}

func TestChangedTellsTheRowsThatAreNewEnough(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		rows := []catalog.Document{
			r.add("b", "1", "u", "1.json", "db://u/b/1"),
			r.add("b", "2", "u", "2.json", "db://u/b/2"),
			r.add("c", "3", "u", "3.json", "db://u/c/3"),
			r.add("b", "4", "u", "4.json", "db://u/b/4"),
		}
		r.add("b", "5", "u", "5.json", "s3://x/u/b/5")
		r.add("b", "6", "u", "6.json", "NULL")
		r.exec(`UPDATE archive_metadata SET last_updated = 1000 * CAST("archiveId" AS integer)`)
		r.exec(`UPDATE archive_metadata SET last_updated = NULL WHERE "archiveId" = '4'`)
		r.exec(`UPDATE archive_metadata SET is_compressed = true, digest = NULL, size = NULL WHERE "archiveId" = '2'`)
		rows[1].Compressed, rows[1].Digest, rows[1].Bytes = true, "", -1
		for _, test := range []struct {
			s      catalog.Selection
			since  int64
			want   []catalog.Document
			latest int64
		}{
			{catalog.Selection{Prefix: "db://"}, 0, rows, 3000},
			{catalog.Selection{Prefix: "db://"}, 1, rows[:3], 3000},
			{catalog.Selection{Prefix: "db://"}, 2000, rows[1:3], 3000},
			{catalog.Selection{Prefix: "db://"}, 2001, rows[2:3], 3000},
			{catalog.Selection{Prefix: "db://"}, 1 << 40, nil, 1 << 40},
			{catalog.Selection{Prefix: "db://", Buckets: []string{"b", "nowhere"}}, 2000, rows[1:2], 2000},
			{catalog.Selection{Prefix: "swift://"}, 0, nil, 0},
		} {
			if got, latest := r.changed(t, test.s, test.since); !slices.Equal(got, test.want) || latest != test.latest {
				t.Errorf("%+v since %d: %+v, %d; want %+v, %d", test.s, test.since, got, latest, test.want, test.latest)
			}
		}
		enough, calls := errors.New("enough"), 0
		_, err := r.Changed(t.Context(), catalog.Selection{}, 0, catalog.Strays{}, func(catalog.Document) error { calls++; return enough })
		if !errors.Is(err, enough) || calls != 1 {
			t.Errorf("after an error of fn: %v, %d calls", err, calls)
		}
		// The catalog may be asked meanwhile, and what it gives is at the end again.
		_, err = r.Changed(t.Context(), catalog.Selection{}, 0, catalog.Strays{}, func(d catalog.Document) error {
			_, err := r.Tasks(t.Context())
			return err
		})
		if err != nil {
			t.Error(err)
		}
	})
}

// In the same look it finds who names a place that is not his, whenever that was changed.
func TestChangedFindsStrays(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		r.add("b", "1", "u", "1.json", "s3://x/p/u/b/1")
		r.add("b", "2", "u", "2.json", "s3://x/p/u/b/1")
		r.add("b", "3", "u", "3.json", "s3://x/p/z")
		r.add("b", "4", "u/v", "4.json", "s3://x/p/u/v/b/4")
		r.add("c/d", "5", "u", "5.json", "s3://x/p/u/c/d/5")
		r.add("b", "6", "u", "6.json", "s3://x/q/u/b/1")
		r.add("b", "7", "u", "7.json", "NULL")
		r.add("b", "e/8", "u", "8.json", "s3://x/p/u/b/e/8")
		hashed := func(id, uri string) {
			r.add("b", id, "u", id+".json", uri)
		}
		hashed("9", "file:///a/7b774effe4a349c6dd82ad4f4f21d34c/b/45/45c48cce2e2d7fbdea1afc51c7c6ad26.json")
		hashed("10", "file:///a/7b774effe4a349c6dd82ad4f4f21d34c/b/45/45c48cce2e2d7fbdea1afc51c7c6ad26.json")
		r.exec(`UPDATE archive_metadata SET last_updated = NULL`)
		r.exec(`UPDATE archive_metadata SET last_updated = 100 WHERE "archiveId" IN ('2', '6')`)
		for _, test := range []struct {
			s      catalog.Selection
			strays catalog.Strays
			rows   int
			want   []string
		}{
			{catalog.Selection{Prefix: "db://"}, catalog.Strays{Prefix: "s3://x/p/"}, 0, []string{"s3://x/p/u/b/1", "s3://x/p/u/c/d/5", "s3://x/p/u/v/b/4", "s3://x/p/z"}},
			{catalog.Selection{Prefix: "s3://x/q/", Buckets: []string{"b"}}, catalog.Strays{Prefix: "s3://x/p/"}, 1, []string{"s3://x/p/u/b/1", "s3://x/p/u/c/d/5", "s3://x/p/u/v/b/4", "s3://x/p/z"}},
			{catalog.Selection{Prefix: "s3://x/"}, catalog.Strays{Prefix: "s3://x/q/"}, 2, []string{"s3://x/q/u/b/1"}},
			{catalog.Selection{Prefix: "s3://x/"}, catalog.Strays{Prefix: "file:///a/", Hashed: true}, 2, []string{"file:///a/7b774effe4a349c6dd82ad4f4f21d34c/b/45/45c48cce2e2d7fbdea1afc51c7c6ad26.json"}},
		} {
			var found []string
			test.strays.Found = func(uri string) error { found = append(found, uri); return nil }
			rows := 0
			latest, err := r.Changed(t.Context(), test.s, 50, test.strays, func(catalog.Document) error { rows++; return nil })
			if slices.Sort(found); err != nil || rows != test.rows || !slices.Equal(found, test.want) || (latest == 100) != (rows > 0) {
				t.Errorf("%+v, %+v: %d rows, %q, latest %d, %v", test.s, test.strays, rows, found, latest, err)
			}
		}
		enough := errors.New("enough")
		strays := catalog.Strays{Prefix: "s3://x/p/", Found: func(string) error { return enough }}
		if _, err := r.Changed(t.Context(), catalog.Selection{Prefix: "db://"}, 0, strays, func(catalog.Document) error { return nil }); !errors.Is(err, enough) {
			t.Error(err)
		}
	})
}

// An index that is damaged leads it past no row.
func TestChangedGoesByNoIndex(t *testing.T) {
	r := freshPostgres(t)
	r.fill(100_000)
	explained := &explainer{t: t, url: r.options.Postgres}
	for _, s := range []catalog.Selection{{}, {Prefix: "file:///archive/"}, {Prefix: "nowhere://"}, {Prefix: "s3://archive/", Buckets: []string{"bucket1"}}} {
		for _, since := range []int64{0, 5} {
			for _, strays := range []catalog.Strays{{}, {Prefix: "db://", Found: func(string) error { return nil }}} {
				queries := explained.seen(r.database.(*postgres), func(q reader) error {
					_, err := q.Changed(t.Context(), s, since, strays, func(catalog.Document) error { return nil })
					return err
				})
				for query, args := range queries {
					if plan := explained.plan(query, args); strings.Count(plan, "Seq Scan") != 1 || strings.Contains(plan, "Index") {
						t.Errorf("%+v since %d, %v:\n%s\n%s", s, since, strays.Found != nil, query, plan)
					}
				}
			}
		}
	}
}

// More rows than a page holds.
func TestChangedTellsEachRowOnce(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		const rows = 3210
		r.exec(fmt.Sprintf(`INSERT INTO archive_metadata (bucket, "archiveId", "userId", "documentName", content_url, last_updated)
			WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < %d - 1)
			SELECT 'b', CAST(i AS varchar), 'u', CAST(i AS varchar), 'db://', i FROM n`, rows))
		seen := map[string]bool{}
		latest, err := r.Changed(t.Context(), catalog.Selection{Prefix: "db://"}, 10, catalog.Strays{}, func(d catalog.Document) error {
			if seen[d.ArchiveID] {
				t.Errorf("%s is told twice", d.ArchiveID)
			}
			seen[d.ArchiveID] = true
			return nil
		})
		if len(seen) != rows-10 || latest != rows-1 || err != nil {
			t.Errorf("%d rows, latest %d, %v", len(seen), latest, err)
		}
	})
}

// beats waits until the pulse is another one: a server's counters may be late, as
// long as the session that made the change does nothing.
func (r *rig) beats(t *testing.T, after, what string) string {
	t.Helper()
	for until := time.Now().Add(time.Minute); ; {
		pulse, err := r.Pulse(t.Context())
		if err != nil || pulse == "" {
			t.Fatalf("pulse %q, %v", pulse, err)
		}
		if pulse != after {
			return pulse
		}
		if time.Now().After(until) {
			t.Fatalf("%s leaves the pulse at %s", what, pulse)
		}
		time.Sleep(20 * time.Millisecond)
		r.one(`SELECT 1`)
	}
}

func TestThePulseTellsOfChanges(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, r *rig) {
		t.Parallel()
		other := mustOpen(t, r.options)
		if err := other.Lock(t.Context(), false); err != nil {
			t.Fatal(err)
		}
		pulse := r.beats(t, "", "nothing")
		d := r.add("b", "1", "u", "1.json", "db://u/b/1")
		pulse = r.beats(t, pulse, "an insertion")
		applied, err := other.Commit(t.Context(), []catalog.Change{{Document: d, URI: "s3://x", Digest: d.Digest, Bytes: d.Bytes}})
		if err != nil || !applied[0] {
			t.Fatal(applied, err)
		}
		if err := other.Close(); err != nil {
			t.Fatal(err)
		}
		pulse = r.beats(t, pulse, "a commit")
		r.exec(`DELETE FROM archive_metadata`)
		pulse = r.beats(t, pulse, "a deletion")
		// It is the same as long as nothing happens, also to who asks while others read.
		for range 3 {
			if _, err := r.Count(t.Context(), catalog.Selection{}); err != nil {
				t.Fatal(err)
			}
			if again, err := r.Pulse(t.Context()); again != pulse || err != nil {
				t.Errorf("pulse %s, %v after %s, with nothing changed", again, err, pulse)
			}
		}
	})
}

func TestThePulseTellsOfTruncateAndOfResetCounters(t *testing.T) {
	t.Parallel()
	r := freshPostgres(t)
	r.add("b", "1", "u", "1.json", "db://u/b/1")
	pulse := r.beats(t, "", "nothing")
	r.exec(`TRUNCATE archive_metadata`)
	pulse = r.beats(t, pulse, "TRUNCATE")
	r.exec(`SELECT pg_stat_reset()`)
	r.beats(t, pulse, "pg_stat_reset")
}

// After a crash the server counts anew, and may come to the same numbers.
func TestThePulseTellsOfACrash(t *testing.T) {
	t.Parallel()
	server := testenv.NewPostgres(t, testenv.PostgresOptions{})
	url := server.Database(t)
	victim := connect(t, url)
	if _, err := victim.Exec(t.Context(), pgTables); err != nil {
		t.Fatal(err)
	}
	r := mustOpen(t, Options{Postgres: url})
	pulse, err := r.Pulse(t.Context())
	if err != nil || pulse == "" {
		t.Fatal(pulse, err)
	}
	if err := syscall.Kill(int(victim.PgConn().PID()), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	for until := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		after, err := r.Pulse(t.Context())
		if err == nil && after != pulse {
			return
		}
		if time.Now().After(until) {
			t.Fatalf("a crash leaves the pulse at %s, %v", after, err)
		}
	}
}

func TestThePulseTellsOfPartitions(t *testing.T) {
	t.Parallel()
	r := freshPostgres(t)
	r.exec(`ALTER TABLE archive_metadata RENAME TO whole; CREATE TABLE archive_metadata (LIKE whole) PARTITION BY LIST (bucket);
		CREATE TABLE part_b PARTITION OF archive_metadata FOR VALUES IN ('b') PARTITION BY LIST ("userId");
		CREATE TABLE part_b_u PARTITION OF part_b DEFAULT; CREATE TABLE part_rest PARTITION OF archive_metadata DEFAULT`)
	pulse := r.beats(t, "", "nothing")
	r.add("b", "1", "u", "1.json", "db://u/b/1")
	pulse = r.beats(t, pulse, "a row in a partition of a partition")
	r.exec(`ALTER TABLE archive_metadata DETACH PARTITION part_b`)
	pulse = r.beats(t, pulse, "a partition that is taken away")
	r.exec(`UPDATE part_b SET digest = NULL`)
	r.add("c", "1", "u", "1.json", "db://u/c/1")
	r.beats(t, pulse, "a row in another partition")
}

func TestNoPulseWhereRowsAreNotCounted(t *testing.T) {
	t.Parallel()
	for name, statement := range map[string]string{
		"for the database": `DO $$ BEGIN EXECUTE 'ALTER DATABASE ' || quote_ident(current_database()) || ' SET track_counts = off'; END $$`,
		"for a role":       `DO $$ BEGIN EXECUTE 'ALTER ROLE ' || quote_ident(current_user) || ' IN DATABASE ' || quote_ident(current_database()) || ' SET track_counts = off'; END $$`,
		"a view":           `ALTER TABLE archive_metadata RENAME TO whole; CREATE VIEW archive_metadata AS SELECT * FROM whole`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := freshPostgres(t)
			r.exec(statement)
			if pulse, err := r.Pulse(t.Context()); pulse != "" || err != nil {
				t.Errorf("pulse %q, %v; it was to be empty", pulse, err)
			}
		})
	}
}

// A pulse costs the same however large the table is; what has changed is one look
// at it.
func BenchmarkPulse(b *testing.B) {
	r := freshPostgres(b)
	r.fill(100_000)
	b.Run("pulse", func(b *testing.B) {
		for b.Loop() {
			if _, err := r.Pulse(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("changed", func(b *testing.B) {
		for b.Loop() {
			if _, err := r.Changed(b.Context(), catalog.Selection{Prefix: "s3://archive/"}, 2, catalog.Strays{}, func(catalog.Document) error { return nil }); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func TestATaskSaysWhetherItIsOnline(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		for _, older := range []bool{false, true} {
			if older {
				r.exec(`ALTER TABLE archive_migration_tasks DROP COLUMN online_migration`)
			}
			for _, online := range []bool{false, true} {
				id, err := r.StartTask(t.Context(), "db", "s3", 1, online)
				if err != nil {
					t.Fatal(err)
				}
				tasks, err := r.Tasks(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				last := tasks[len(tasks)-1]
				if want := online && !older; last.ID != id || last.Online != want {
					t.Errorf("task %+v, want %t", last, want)
				}
			}
		}
	})
}
