package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/kedge/kedge/bench"
	"github.com/kedge/kedge/internal/testenv"
)

// schema is what docs/output-json.md says of one kind of object, by the field's
// path.
type schema map[string]schemaField

type schemaField struct {
	kind     string // string, number, bool, list, list of string, object
	null     bool   // it may be null
	optional bool   // it is not always there
	seen     bool
}

var schemaRow = regexp.MustCompile("^\\| `([^`]+)` \\| ([a-z ]+)(\\??) \\| (.+) \\|$")

// schemas reads the tables of the document, by their headings.
func schemas(t *testing.T) map[string]schema {
	t.Helper()
	all := make(map[string]schema)
	heading := ""
	for _, line := range strings.Split(readText(t, "../../docs/output-json.md"), "\n") {
		if h, ok := strings.CutPrefix(strings.TrimLeft(line, "#"), " "); ok && strings.HasPrefix(line, "#") {
			heading = h
			continue
		}
		row := schemaRow.FindStringSubmatch(line)
		if row == nil {
			if strings.HasPrefix(line, "| `") {
				t.Errorf("not a row of a schema: %s", line)
			}
			continue
		}
		if all[heading] == nil {
			all[heading] = make(schema)
		}
		all[heading][row[1]] = schemaField{kind: row[2], null: row[3] != "", optional: regexp.MustCompile(`\bonly\b`).MatchString(row[4])}
	}
	if len(all) < 14 {
		t.Fatalf("only %d tables", len(all))
	}
	return all
}

// check compares a value with what the document says of it and of all that is
// inside of it. What is outside is the path.
func (s schema) check(t *testing.T, path string, value any) {
	t.Helper()
	switch v := value.(type) {
	case map[string]any:
		for name, inner := range v {
			s.field(t, strings.TrimPrefix(path+"."+name, "."), inner)
		}
		for name, f := range s {
			parent, own, nested := cutLast(name)
			if !nested {
				parent, own = "", name
			}
			if _, there := v[own]; parent == path && own != "" && !there && !f.optional {
				t.Errorf("%s is documented, and not there", name)
			}
		}
	case []any:
		for _, inner := range v {
			s.check(t, path+"[]", inner)
		}
	}
}

// cutLast parts a path before its last field.
func cutLast(path string) (parent, field string, nested bool) {
	i := strings.LastIndexByte(path, '.')
	if i < 0 {
		return "", path, false
	}
	return path[:i], path[i+1:], true
}

func (s schema) field(t *testing.T, path string, value any) {
	t.Helper()
	f, documented := s[path]
	if !documented {
		// An object of which only the fields are told.
		if inner, is := value.(map[string]any); is && s.tellsOfFieldsOf(path) {
			s.check(t, path, inner)
			return
		}
		t.Errorf("%s is not documented", path)
		return
	}
	if value == nil {
		if !f.null {
			t.Errorf("%s is null", path)
		}
		return
	}
	f.seen = true
	s[path] = f
	if kind := kindOf(value); kind != f.kind && !(f.kind == "list of string" && kind == "list") {
		t.Errorf("%s is documented as %s, and is %s", path, f.kind, kind)
	}
	if list, is := value.([]any); is && f.kind == "list of string" {
		for _, inner := range list {
			if kindOf(inner) != "string" {
				t.Errorf("%s holds %v", path, inner)
			}
		}
		return
	}
	s.check(t, path, value)
}

func (s schema) tellsOfFieldsOf(path string) bool {
	for name := range s {
		if strings.HasPrefix(name, path+".") {
			return true
		}
	}
	return false
}

func kindOf(value any) string {
	switch value.(type) {
	case string:
		return "string"
	case float64:
		return "number"
	case bool:
		return "bool"
	case []any:
		return "list"
	default:
		return "object"
	}
}

// shown are the outputs of a test, and what they are compared with.
type shown struct {
	t       *testing.T
	schemas map[string]schema
}

// run runs a command with --output json, and compares each object that it
// prints with the table under a heading; those of verify by their kind.
func (s shown) run(exit int, heading string, args ...string) {
	s.t.Helper()
	o := kedge(s.t, append(args, "--output=json")...).want(s.t, exit)
	d := json.NewDecoder(strings.NewReader(o.stdout))
	for n := 0; ; n++ {
		var value any
		if err := d.Decode(&value); err == io.EOF && n > 0 {
			return
		} else if err != nil {
			s.t.Fatalf("%s: %v\n%s", args[0], err, o.stdout)
		}
		of := heading
		if object, is := value.(map[string]any); is && object["kind"] != nil {
			of = fmt.Sprint(object["kind"]) + heading
		}
		table := s.schemas[of]
		if table == nil {
			s.t.Fatalf("there is no table %q", of)
		}
		s.t.Run(of, func(t *testing.T) { table.check(t, "", value) })
	}
}

// Every output in JSON is what the document says: no field is missing, none is
// there of which it does not tell, and each has its type; and the outputs here
// have all fields between them.
func TestTheOutputIsAsDocumented(t *testing.T) {
	t.Parallel()
	s := shown{t, schemas(t)}
	w := seedDB(t, bench.Workload{Documents: 300, MedianBytes: 4 << 10, Seed: 36})
	minio := testenv.MinIO(t)
	bucket := minio.Bucket(t)
	db, old, files, objects := dbPlace(w.url), s3Place(minio, minio.Bucket(t), ""), localfsPlace(archiveRoot(t)), s3Place(minio, bucket, "")
	rule := compression{true, 2}
	inDB, inOld, inFiles, inObjects := db.config(t, w.url, rule), old.config(t, w.url, rule), files.config(t, w.url, rule), objects.config(t, w.url, compression{true, 5})

	s.run(exitDone, "list-drivers", "list-drivers")
	s.run(exitFailed, "Errors", "check", filepath.Join(t.TempDir(), "none.yaml"))
	s.run(exitRefused, "Errors", "migrate", "--dontask", inDB, inDB)
	s.run(exitDone, "check", "check", inFiles)
	s.run(exitFailed, "check", "check", limitedPlace(t, minio, bucket, "s3:GetObject").config(t, w.url, rule))

	elsewhere := w.workload.Key(0).Bucket
	s.run(exitDone, "migrate", "migrate", "--dontask", "--bucket", elsewhere, inDB, inOld)
	s.run(exitDone, "plan", "plan", inDB, inFiles)
	s.run(exitDone, "migrate", "migrate", "--dontask", "--nodelete", inDB, inFiles)
	s.run(exitDone, "purge", "purge", "--dry-run", inDB, inFiles)
	root := files.raw.(fileStore).root
	spoilt := filepath.Join(root, filesBelow(t, root)[0])
	payload, err := os.ReadFile(spoilt)
	if err != nil {
		t.Fatal(err)
	}
	write(t, spoilt, "spoilt")
	s.run(exitDocuments, "purge", "purge", "--dontask", inDB, inFiles)
	write(t, spoilt, string(payload))
	s.run(exitDone, "purge", "purge", "--dontask", inDB, inFiles)
	s.run(exitDone, "migrate", "migrate", "--dontask", inOld, inObjects)

	// Documents that stay: one whose row says so, and one whose payload does.
	var there []string
	for n := 1; len(there) < 2; n++ {
		if k := w.workload.Key(n); k.Bucket != elsewhere {
			there = append(there, k.ArchiveID)
		}
	}
	execute(t, w.url, `UPDATE archive_metadata SET content_url = NULL WHERE "archiveId" = $1`, there[0])
	execute(t, w.url, `UPDATE archive_metadata SET digest = '00000000000000000000000000000000' WHERE "archiveId" = $1`, there[1])
	execute(t, w.url, `INSERT INTO archive_metadata (bucket, "archiveId", "userId", "documentName", content_url) VALUES ('b', 'x', 'u', 'x.json', 'file:///elsewhere/7b774effe4a349c6dd82ad4f4f21d34c/b/9d/9dd4e461268c8034f5c8564e155c67a6.json')`)
	s.run(exitDocuments, "plan", "plan", inFiles, inObjects)
	s.run(exitDocuments, "migrate", "migrate", "--dontask", inFiles, inObjects)
	conn := connect(t, w.url)
	defer conn.Close(t.Context())
	if _, err := conn.Exec(t.Context(), "SELECT pg_advisory_lock(2, 1)"); err != nil {
		t.Fatal(err)
	}
	s.run(exitDocuments, "plan", "plan", inFiles, inObjects) // resumes what failed
	s.run(exitDone, "list-migrations", "list-migrations", inFiles)

	stray := filepath.Join(root, "0cc175b9c0f1b6a831c399e269772661", "b", "92", "92eb5ffee6ae2fec3ad71c777531578f.json")
	if err := os.MkdirAll(filepath.Dir(stray), 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, stray, "stray")
	s.run(exitDocuments, "", "verify", "--orphans", inFiles)
	s.registry(minio)
	s.copying(minio)
	s.covered("copy error", "copy checkpoint", "migrate error", "migrate, of a registry error", "plan free_space.free_files")
}

// registry runs the commands that also take a registry's configuration.
func (s shown) registry(minio *testenv.S3Server) {
	t := s.t
	folder := filepath.Join(t.TempDir(), "registry")
	shelve(t, folder, 5)
	from, to := storageConfig(t, testenv.RegistryFilesystem(folder)), storageConfig(t, testenv.RegistryS3(minio, minio.Bucket(t)))
	s.run(exitDone, "check", "check", to)
	s.run(exitDone, "migrate, of a registry", "migrate", "--nodelete", from, to)
	all := filesBelow(t, folder)
	sum := filepath.Base(filepath.Dir(all[0]))
	link := slices.IndexFunc(all, func(path string) bool { return strings.HasSuffix(path, "/link") && !strings.Contains(path, sum) })
	if !strings.HasSuffix(all[0], "/data") || link < 0 {
		t.Fatalf("%q", all)
	}
	write(t, filepath.Join(folder, all[0]), "broken")
	s.run(exitDocuments, "migrate, of a registry", "migrate", "--nodelete", from, to)
	// A blob that nobody names then.
	if err := os.Remove(filepath.Join(folder, all[link])); err != nil {
		t.Fatal(err)
	}
	s.run(exitDocuments, " of a registry", "verify", "--orphans", from)
}

// copying runs the commands that copy beforehand and that go back.
func (s shown) copying(minio *testenv.S3Server) {
	t := s.t
	w := seedDB(t, bench.Workload{Documents: 60, MedianBytes: 2 << 10, Seed: 37})
	db, files, objects := dbPlace(w.url), localfsPlace(archiveRoot(t)), s3Place(minio, minio.Bucket(t), "")
	inDB, inFiles, inObjects := db.config(t, w.url, compression{}), files.config(t, w.url, compression{}), objects.config(t, w.url, compression{})
	s.run(exitDone, "copy", "copy", inDB, inFiles)
	s.run(exitDone, "plan", "plan", "--nodelete", inDB, inFiles)
	s.run(exitDone, "migrate", "migrate", "--dontask", "--nodelete", inDB, inFiles)
	s.run(exitDone, "migrate", "rollback", "--dontask", inFiles, inDB)
	s.run(exitDone, "migrate", "migrate", "--dontask", inDB, inFiles)
	execute(t, w.url, `UPDATE archive_metadata SET digest = '00000000000000000000000000000000' WHERE "archiveId" = $1`, w.workload.Key(1).ArchiveID)
	execute(t, w.url, `INSERT INTO archive_metadata (bucket, "archiveId", "userId", "documentName", content_url) VALUES ('b', 'x', 'u', 'x.json', 'file:///elsewhere/7b774effe4a349c6dd82ad4f4f21d34c/b/9d/9dd4e461268c8034f5c8564e155c67a6.json')`)
	s.run(exitDocuments, "copy", "copy", inFiles, inObjects)
}

// covered fails the test for fields that no output had, but for these.
func (s shown) covered(but ...string) {
	for heading, table := range s.schemas {
		for path, f := range table {
			if name := heading + " " + path; !f.seen && !slices.Contains(but, name) {
				s.t.Errorf("no output had %s", name)
			}
		}
	}
}
