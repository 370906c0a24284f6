package anchore

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/internal/testenv"
	"github.com/kedge/kedge/pipeline/catalog"
)

func TestPageOddKeys(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		want := map[string]catalog.Document{}
		parts := []string{"", " ", "a", "A", "a b", "a-b", "ab", "é", "e\u0301", "日本", "_", "%", "a/b", `"`, "'", `\`, "🐎", "z", "Z", "ß", "ss", "\t", strings.Repeat("k", 300)}
		for i, id := range parts {
			for j, bucket := range []string{"a", "B", "é", "a b"} {
				uri := fmt.Sprintf("db://u/%s/%s", bucket, id)
				if (i+j)%5 == 0 {
					uri = "NULL"
				}
				d := r.add(bucket, id, parts[(i*7+j)%len(parts)], parts[(i*3+j)%len(parts)], uri)
				want[d.Key.String()+d.Name] = d
			}
		}
		r.add("a", "elsewhere", "u", "x", "s3://bucket/x")
		for _, limit := range []int{1, 2, 7, 91, 92, 93, 1000} {
			for _, buckets := range [][]string{nil, {"a"}, {"é", "a"}, {"a b", "B", "nowhere", "é"}, {"nowhere"}} {
				docs := r.all(t, catalog.Selection{Prefix: "db://", Buckets: buckets}, limit)
				seen := map[string]bool{}
				for _, d := range docs {
					key := d.Key.String() + d.Name
					if w, ok := want[key]; !ok || w != d || seen[key] {
						t.Errorf("%+v is read, want %+v (seen: %v)", d, w, seen[key])
					}
					seen[key] = true
				}
				n := 0
				for _, d := range want {
					if len(buckets) == 0 || slices.Contains(buckets, d.Bucket) {
						n++
					}
				}
				if len(docs) != n {
					t.Errorf("%d rows of buckets %q in pages of %d, want %d", len(docs), buckets, limit, n)
				}
			}
		}
		if _, err := r.Page(t.Context(), catalog.Selection{}, catalog.Position{}, 0); err == nil {
			t.Error("a page of no rows is given")
		}
	})
}

func TestPrefix(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		uris := []string{"s3://a_b/x", "s3://a%b/x", "s3://axb/x", "s3://A_B/x", "s3://a_b", `s3://a\_b/x`, "s3://a_b/é", "s3://a_b/e\u0301", "NULL", ""}
		for i, uri := range uris {
			r.add("b", fmt.Sprint(i), "u", "n", uri)
		}
		r.exec(`UPDATE archive_metadata SET digest = NULL, size = NULL WHERE "archiveId" = '6'`)
		for _, test := range []struct {
			prefix          string
			documents, size int64
		}{
			{"s3://a_b/", 3, 14}, {"s3://a_b", 4, 21}, {"s3://a%b/", 1, 7}, {"s3://%", 0, 0}, {"s3://a_b/é", 1, 0}, {"s3://a_b/e", 1, 7}, {"", 9, 56}, {`s3://a\`, 1, 7}, {"S3", 0, 0},
		} {
			s := catalog.Selection{Prefix: test.prefix}
			n := int64(0)
			for _, d := range r.all(t, s, 3) {
				if !d.NoURI {
					n++
					if !strings.HasPrefix(d.URI, test.prefix) {
						t.Errorf("%q is selected by %q", d.URI, test.prefix)
					}
				}
			}
			totals, err := r.Count(t.Context(), s)
			if err != nil {
				t.Fatal(err)
			}
			want := catalog.Totals{Documents: test.documents, Bytes: test.size, NoURI: 1, Unknown: 1} // the URI ""
			if strings.HasPrefix("s3://a_b/é", test.prefix) {
				want.NoDigest = 1
			}
			if n != test.documents || totals != want {
				t.Errorf("%q: %d rows paged, %+v counted, want %+v", test.prefix, n, totals, want)
			}
		}
		totals, err := r.Count(t.Context(), catalog.Selection{Prefix: "s3://", Buckets: []string{"x", "y"}})
		if err != nil || totals != (catalog.Totals{}) {
			t.Errorf("%+v counted in buckets that are not there: %v", totals, err)
		}
	})
}

func TestRowsUsers(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		one := r.add("b", "1", "u", "1.json", "db://u/b/1")
		other := r.add("b", "1", "u", "other", "db://u/b/1")
		null := r.add("b", "2", "v", "2.json", "NULL")
		r.add("b", "1", "v", "1.json", "db://v/b/1")
		got, err := r.Rows(t.Context(), []drivers.Key{null.Key, one.Key, one.Key, {UserID: "u", Bucket: "b", ArchiveID: "9"}})
		if err != nil || !slices.Equal(got, []catalog.Document{one, other, null}) {
			t.Errorf("rows: %+v, %v", got, err)
		}
		if got, err := r.Rows(t.Context(), nil); err != nil || len(got) != 0 {
			t.Errorf("rows of no keys: %+v, %v", got, err)
		}
		if users, err := r.Users(t.Context()); err != nil || !slices.Equal(users, []string{"u", "v"}) {
			t.Errorf("users: %q, %v", users, err)
		}
	})
}

func TestOddRowsAreFound(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		r.add("b", "1", "u", "1.json", "s3://bucket/u/b/1")
		r.add("b", "a/ü?#", "u", "x", "s3://bucket/prefixu/b/a/ü?#")
		r.add("b", "3", "u", "x", "NULL")
		r.add("b", "4", "u", "x", "s3://bucket/u/b//4")
		r.add("b", "5", "u", "x", "s3://bucket/u/b/1")
		// md5 of "u" and of "6"
		r.add("b", "6", "u", "x", "file:///archive/7b774effe4a349c6dd82ad4f4f21d34c/b/16/1679091c5a880faf6fb5e6087eb1b2dc.json")
		r.add("b", "7", "u", "x", "file:///archive/7b774effe4a349c6dd82ad4f4f21d34c/b/16/1679091c5a880faf6fb5e6087eb1b2dc.json")
		forms := []catalog.Form{
			{Scheme: "s3://", Known: []string{"s3://bucket/", "s3://elsewhere/"}},
			{Scheme: "file://", Hashed: true, Known: []string{"file:///other/"}},
			{Scheme: "db://", Known: []string{"db://"}},
		}
		want := []string{
			"0 false s3://bucket/prefix", "0 true s3://bucket/u/b/1", "0 true s3://bucket/u/b//4", "1 false file:///archive/",
			"1 true file:///archive/7b774effe4a349c6dd82ad4f4f21d34c/b/16/1679091c5a880faf6fb5e6087eb1b2dc.json",
		}
		slices.Sort(want)
		snapshot, err := r.Snapshot(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer snapshot.Close()
		for _, reader := range []catalog.Reader{r, snapshot} {
			var got []string
			err := reader.Places(t.Context(), forms, func(form int, odd bool, place string) error {
				got = append(got, fmt.Sprint(form, odd, " ", place))
				return nil
			})
			slices.Sort(got)
			if err != nil || !slices.Equal(got, want) {
				t.Errorf("%q, %v; want %q", got, err, want)
			}
		}
		enough := errors.New("enough")
		told := 0
		err = r.Places(t.Context(), forms, func(int, bool, string) error { told++; return enough })
		if !errors.Is(err, enough) || told != 1 {
			t.Errorf("after an error it went on: %d told, %v", told, err)
		}
		if users, err := r.Users(t.Context()); err != nil || len(users) != 1 {
			t.Errorf("afterwards: %q, %v", users, err)
		}
	})
}

func TestAwkwardKeysAreFound(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		awkward := []string{"./k", "k/.", "x/../y", "..", "k?1", "k#", "a\tb", "a\rb", "a\nb"}
		for _, id := range append([]string{"k", ".k", "k.", "...", "a//b", "a/.../b", "é", "%2e", `\`, "[x]", "/", "a/"}, awkward...) {
			r.add("b", id, "u", "x", "swift://c/u/b/"+id)
		}
		r.add("b", "1", "..", "x", "swift://c/../b/1")
		r.add("..", "2", "u", "x", "swift://c/u/../2")
		r.add("b", "other/./scheme", "u", "x", "s3://c/u/b/other/./scheme")
		r.add("b", "no/./place", "u", "x", "NULL")
		var got []string
		if err := r.Awkward(t.Context(), "swift://", func(d catalog.Document) error { got = append(got, d.ArchiveID); return nil }); err != nil {
			t.Fatal(err)
		}
		want := append(awkward, "1", "2")
		slices.Sort(want)
		if slices.Sort(got); !slices.Equal(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
	})
}

// TestASnapshotIsOfItsMoment: on PostgreSQL what is changed afterwards is not in
// it; SQLite's says that it is none.
func TestASnapshotIsOfItsMoment(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		r.add("b", "1", "u", "1.json", "s3://bucket/u/b/1")
		snapshot, err := r.Snapshot(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer snapshot.Close()
		r.add("b", "2", "u", "2.json", "s3://bucket/u/b/2")
		s := catalog.Selection{Prefix: "s3://"}
		totals, err := snapshot.Count(t.Context(), s)
		if err != nil || (totals.Documents == 1) != snapshot.Lasting() {
			t.Errorf("%+v counted (lasting: %v): %v", totals, snapshot.Lasting(), err)
		}
		page, err := snapshot.Page(t.Context(), s, catalog.Position{}, 10)
		if err != nil || (len(page) == 1) != snapshot.Lasting() {
			t.Errorf("%+v paged (lasting: %v): %v", page, snapshot.Lasting(), err)
		}
	})
}

func TestCommit(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		ctx := t.Context()
		moved := r.add("b", "moved", "u", "moved.json", "db://u/b/moved")
		namesake := r.add("b", "moved", "u", "other name", "db://u/b/moved")
		null := r.add("b", "null", "u", "null.json", "NULL")
		changed := r.add("b", "changed", "u", "x", "db://u/b/changed")
		gone := r.add("b", "gone", "u", "x", "db://u/b/gone")
		bare := r.add("b", "bare", "u", "x", "")
		change := func(d catalog.Document) catalog.Change {
			return catalog.Change{Document: d, URI: "s3://bucket/" + d.ArchiveID, Compressed: true, Digest: "0123456789abcdef0123456789abcdef", Bytes: 1 << 40}
		}
		changes := []catalog.Change{change(moved), change(null), change(changed), change(gone), change(bare)}
		if _, err := r.Commit(ctx, changes); err == nil || !strings.Contains(err.Error(), "commit of 5 documents") {
			t.Fatalf("committed without the lock: %v", err)
		}
		if err := r.Lock(ctx, false); err != nil {
			t.Fatal(err)
		}
		if got, err := r.Commit(ctx, nil); err != nil || len(got) != 0 {
			t.Fatalf("nothing committed: %v, %v", got, err)
		}
		r.exec(`UPDATE archive_metadata SET content_url = 'db://u/b/somebody else' WHERE "archiveId" = 'changed'`)
		r.exec(`DELETE FROM archive_metadata WHERE "archiveId" = 'gone'`)
		r.exec(`UPDATE archive_metadata SET content_url = NULL WHERE "archiveId" = 'bare'`) // "" is not NULL
		before := time.Now().Unix()
		got, err := r.Commit(ctx, changes)
		if err != nil || !slices.Equal(got, []bool{true, true, false, false, false}) {
			t.Fatalf("applied: %v, %v", got, err)
		}
		for id, want := range map[string]string{"moved": "s3://bucket/moved", "null": "s3://bucket/null"} {
			if n := r.exec(`UPDATE archive_metadata SET document_metadata = 'seen' WHERE "archiveId" = $1 AND "documentName" = $2 AND content_url = $3
					AND is_compressed AND digest = '0123456789abcdef0123456789abcdef' AND size = 1099511627776
					AND last_updated BETWEEN $4 AND $4 + 60 AND created_at = 1 AND document_metadata = 'meta'
					AND record_state_key = 'active' AND record_state_val = 'val'`, id, id+".json", want, before); n != 1 {
				t.Errorf("%s: the row is not as it should be", id)
			}
		}
		rows, err := r.Rows(ctx, []drivers.Key{namesake.Key})
		if err != nil || len(rows) != 2 || rows[1] != namesake {
			t.Errorf("another row of the same key has changed: %+v, %v", rows, err)
		}
		// Once more: nothing is as it was enumerated.
		got, err = r.Commit(ctx, changes)
		if err != nil || slices.Contains(got, true) {
			t.Errorf("applied again: %v, %v", got, err)
		}
		// No digest and no size are NULL.
		back := changes[:1]
		now := &back[0].Document
		now.URI, now.Compressed, now.Digest, now.Bytes = back[0].URI, back[0].Compressed, back[0].Digest, back[0].Bytes
		for _, stale := range []func(*catalog.Document){
			func(d *catalog.Document) { d.Digest = "" },
			func(d *catalog.Document) { d.Bytes++ },
			func(d *catalog.Document) { d.Compressed = false },
		} {
			miss := back[0]
			stale(&miss.Document)
			if got, err := r.Commit(ctx, []catalog.Change{miss}); err != nil || got[0] {
				t.Errorf("applied to a row that has changed: %v, %v", got, err)
			}
		}
		back[0].URI, back[0].Digest, back[0].Bytes = "db://u/b/moved", "", -1
		if got, err = r.Commit(ctx, back); err != nil || !got[0] {
			t.Fatalf("applied: %v, %v", got, err)
		}
		if n := r.exec(`DELETE FROM archive_metadata WHERE "documentName" = 'moved.json' AND digest IS NULL AND size IS NULL`); n != 1 {
			t.Error("no digest and no size are not NULL")
		}
		if err := r.Unlock(ctx); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Commit(ctx, changes); err == nil {
			t.Error("committed after Unlock")
		}
	})
}

func TestTasks(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		ctx := t.Context()
		if tasks, err := r.Tasks(ctx); err != nil || len(tasks) != 0 {
			t.Fatalf("tasks: %v, %v", tasks, err)
		}
		start := time.Now().UTC().Add(-time.Second)
		id, err := r.StartTask(ctx, "db", "s3", 1<<40, false)
		if err != nil {
			t.Fatal(err)
		}
		row := func() []string {
			return r.one(`SELECT t.state, t.last_state, t.ended_at IS NULL, t.executor_id, t.type, m.migrate_from_driver, m.migrate_to_driver,
				m.archive_documents_to_migrate, m.archive_documents_migrated, m.online_migration, t.created_at
				FROM tasks t JOIN archive_migration_tasks m ON t.id = m.id`)
		}
		want := []string{"running", "<null>", "", "", "archivemigrationtask", "db", "s3", "2147483647", "0", "<null>"}
		got := row()
		if got[4] != want[4] || !slices.Equal(got[:2], want[:2]) || !slices.Equal(got[5:10], want[5:10]) || strings.Count(got[3], ":") != 3 || !strings.HasSuffix(got[3], ":") {
			t.Errorf("the task is written as %q", got)
		}
		for _, step := range []struct {
			state, last catalog.TaskState
			ended       bool
			migrated    int64
		}{
			{catalog.TaskRunning, "", false, 5},
			{catalog.TaskRunning, "", false, 7},
			{catalog.TaskFailed, catalog.TaskRunning, true, 8},
			{catalog.TaskRunning, catalog.TaskFailed, false, 9},
			{catalog.TaskRunning, catalog.TaskFailed, false, 10},
			{catalog.TaskComplete, catalog.TaskRunning, true, 1 << 33},
		} {
			if err := r.UpdateTask(ctx, id, step.state, 12, step.migrated); err != nil {
				t.Fatal(err)
			}
			tasks, err := r.Tasks(ctx)
			if err != nil || len(tasks) != 1 {
				t.Fatalf("tasks: %v, %v", tasks, err)
			}
			task := tasks[0]
			if task.ID != id || task.State != step.state || task.LastState != step.last || task.Ended.IsZero() == step.ended ||
				task.Documents != 12 || task.Migrated != min(step.migrated, 1<<31-1) || task.From != "db" || task.To != "s3" {
				t.Errorf("after %+v: %+v", step, task)
			}
			end := time.Now().UTC().Add(time.Second)
			for _, at := range []time.Time{task.Created, task.Started, task.Updated} {
				if at.Before(start) || at.After(end) || at.Location() != time.UTC {
					t.Errorf("%v is not between %v and %v", at, start, end)
				}
			}
		}
		if err := r.UpdateTask(ctx, id+1, catalog.TaskFailed, 1, 1); err == nil {
			t.Error("a task that is not there was updated")
		}
		if second, err := r.StartTask(ctx, "s3", "db2", 1, false); err != nil || second <= id {
			t.Errorf("second task: %d, %v", second, err)
		}
		// A row of Anchore's own with NULLs.
		r.exec(`INSERT INTO tasks (id, state, type) VALUES (100, 'initializing', 'archivemigrationtask')`)
		r.exec(`INSERT INTO archive_migration_tasks (id) VALUES (100)`)
		tasks, err := r.Tasks(ctx)
		if err != nil || len(tasks) != 3 || tasks[2] != (catalog.Task{ID: 100, State: catalog.TaskInitializing}) {
			t.Errorf("tasks: %+v, %v", tasks, err)
		}
	})
}

// TestGolden reads the catalogs that a real Anchore Engine wrote.
func TestGolden(t *testing.T) {
	for _, name := range testenv.GoldenNames() {
		t.Run(name, func(t *testing.T) {
			url, g := testenv.Postgres(t).Golden(t, name)
			r := usePostgres(t, url, connect(t, url))
			want := map[string]catalog.Document{}
			scheme := ""
			for _, d := range g.Documents {
				if !d.Stored() {
					continue
				}
				scheme = d.URI[:strings.Index(d.URI, "://")+3]
				want[d.URI] = catalog.Document{Key: drivers.Key{UserID: d.UserID, Bucket: d.Bucket, ArchiveID: d.ArchiveID}, Name: d.DocumentName,
					URI: d.URI, Compressed: d.IsCompressed, Digest: d.Digest, Bytes: d.Bytes}
			}
			docs := r.all(t, catalog.Selection{Prefix: scheme}, 10)
			for _, d := range docs {
				if want[d.URI] != d {
					t.Errorf("%+v, want %+v", d, want[d.URI])
				}
			}
			if len(docs) != len(want) || len(docs) < 49 {
				t.Errorf("%d documents, want %d", len(docs), len(want))
			}
			totals, err := r.Count(t.Context(), catalog.Selection{Prefix: scheme})
			if err != nil || totals.Documents != int64(len(want)) || totals.NoURI != 0 || totals.NoDigest != 0 {
				t.Errorf("%+v, %v", totals, err)
			}
		})
	}
}

// fill makes n rows in three buckets, in random order; one in 5,000 has a URI
// with another prefix.
func (r *rig) fill(n int) {
	r.exec(fmt.Sprintf(`INSERT INTO archive_metadata
		SELECT 'bucket' || i %% 3, 'sha256:' || md5(i::text), 'admin', 'sha256:' || md5(i::text) || '.json',
		       CASE WHEN i %% 5000 = 0 THEN 'file:///archive/' ELSE 's3://archive/' END || md5(i::text), false, md5(i::text), 2000, NULL, 1, 1, 'active', NULL
		FROM generate_series(1, %d) i ORDER BY random()`, n))
	r.exec(`ANALYZE archive_metadata`)
}
