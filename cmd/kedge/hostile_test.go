package main

import (
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/kedge/kedge/bench"
	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/internal/testenv"
	"github.com/kedge/kedge/pipeline/failure"
)

// hostile is a document whose name is meant to do harm. Its payload is at the
// source, driver db, under exactly that name.
type hostile struct {
	// what is the name's description in docs/safety.md, where a table tells what
	// becomes of it at each kind of destination.
	what string
	key  drivers.Key
	// documentName, where it is not made of the archive id.
	documentName string
}

func (h hostile) name() string {
	if h.documentName != "" {
		return h.documentName
	}
	return h.key.ArchiveID + ".json"
}

func (h hostile) payload() []byte { return fmt.Appendf(nil, `{"document": {"hostile": %q}}`, h.what) }

func (h hostile) uri() string {
	return "db://" + h.key.UserID + "/" + h.key.Bucket + "/" + h.key.ArchiveID
}

// hostileNames are what PostgreSQL can hold and Anchore's driver db can address.
func hostileNames() []hostile {
	long := strings.Repeat("0123456789abcdef", 256)
	id := func(what, archiveID string) hostile {
		return hostile{what: what, key: drivers.Key{UserID: "admin", Bucket: "b", ArchiveID: archiveID}}
	}
	bucket := func(what, name string) hostile {
		return hostile{what: what, key: drivers.Key{UserID: "admin", Bucket: name, ArchiveID: "x"}}
	}
	user := func(what, name string) hostile {
		return hostile{what: what, key: drivers.Key{UserID: name, Bucket: "b", ArchiveID: "x"}}
	}
	called := func(what, documentName string) hostile {
		h := id(what, what)
		h.documentName = documentName
		return h
	}
	return []hostile{
		id("key with `..`", "../../../canary/secret"),
		id("key `..`", ".."),
		id("key that is an absolute path", "/etc/passwd"),
		id("key with `//`", "a//b"),
		id("key with `.` as a part", "a/./b"),
		id("key that ends in a slash", "folder/"),
		id("key with a newline", "line\nbreak"),
		id("key with a carriage return and a tab", "a\r\tb"),
		id("key with other control characters", "a\x01\x1b[31mb\x7f"),
		id("key with `?` and `#`", "a?b#c"),
		id("key with `%2e%2e%2f`", "%2e%2e%2f%2e%2e%2fcanary"),
		id("key with a backslash", `..\..\canary`),
		id("key of 4 KB", long),
		id("key of 900 bytes without a slash", long[:900]),
		bucket("bucket `..`", ".."),
		bucket("bucket `.`", "."),
		bucket("bucket with a newline", "b\nc"),
		bucket("bucket of 4 KB", long),
		user("user `..`", ".."),
		user("user with a newline", "u\nv"),
		user("user of 4 KB", long),
		called("documentName with `..`", "../../../canary/secret.json"),
		called("documentName that is an absolute path", "/etc/passwd"),
		called("documentName with a newline", "a\nb"),
		called("documentName of 4 KB", long),
	}
}

// seedHostile puts the documents and their rows into driver db.
func seedHostile(t *testing.T, url string, documents []hostile) {
	t.Helper()
	for _, h := range documents {
		execute(t, url, `INSERT INTO archive_document (bucket, "archiveId", "userId", "documentName", jsondata, b64_encoded) VALUES ($1, $2, $3, $4, $5, false)`,
			h.key.Bucket, h.key.ArchiveID, h.key.UserID, h.name(), string(h.payload()))
		sum := md5.Sum(h.payload())
		execute(t, url, `INSERT INTO archive_metadata (bucket, "archiveId", "userId", "documentName", content_url, is_compressed, digest, size) VALUES ($1, $2, $3, $4, $5, false, $6, $7)`,
			h.key.Bucket, h.key.ArchiveID, h.key.UserID, h.name(), h.uri(), hex.EncodeToString(sum[:]), len(h.payload()))
	}
}

// checkHostile checks that a document is where its row says with its bytes.
func checkHostile(t *testing.T, rows map[string]row, h hostile, places ...place) (at int) {
	t.Helper()
	r, ok := rows[h.key.UserID+"\x00"+h.key.Bucket+"\x00"+h.key.ArchiveID+"\x00"+h.name()]
	if !ok || r.url == nil {
		t.Fatalf("%s: it is not in the catalog", h.what)
	}
	for i, p := range places {
		if !strings.HasPrefix(*r.url, p.prefix) {
			continue
		}
		sum := sha256.Sum256(h.payload())
		if err := checkStored(t.Context(), p.raw, r, hex.EncodeToString(sum[:])); err != nil {
			t.Errorf("%s: %v", h.what, err)
		}
		return i
	}
	t.Fatalf("%s: it is at %q", h.what, *r.url)
	return -1
}

// snapshot is everything below a folder but for one path: names, modes, lengths,
// times and contents.
func snapshot(t *testing.T, folder, without string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if path == without {
			return filepath.SkipDir
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		fmt.Fprintf(&b, "%s %s %d", path, info.Mode(), info.Size())
		if path != folder { // whose own time changes when the archive is made
			fmt.Fprintf(&b, " %d", info.ModTime().UnixNano())
		}
		if info.Mode().IsRegular() {
			content, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			fmt.Fprintf(&b, " %x", md5.Sum(content))
		}
		b.WriteByte('\n')
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// canary makes a folder beside an archive's root that nobody may touch, and
// fails the test at its end if somebody has.
func canary(t *testing.T) (root, secrets string) {
	t.Helper()
	above := t.TempDir()
	root, secrets = filepath.Join(above, "archive"), filepath.Join(above, "canary")
	if err := os.MkdirAll(filepath.Join(secrets, "b", "00"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"secret", "secret.json", "b/x", "b/00/x.json"} {
		write(t, filepath.Join(secrets, name), "a secret: "+name)
	}
	before := snapshot(t, above, root)
	t.Cleanup(func() {
		if after := snapshot(t, above, root); after != before {
			t.Errorf("beside the archive's root something has changed:\n%s\nwas:\n%s", after, before)
		}
	})
	return root, secrets
}

// classesOf reads from a journal what became of each document in the last
// record that names it: "moves", or the class of its failure.
func classesOf(t *testing.T, checkpoint string) map[string]string {
	t.Helper()
	o := kedge(t, "journal", "--format=json", checkpoint+".journal").want(t, exitDone)
	classes := make(map[string]string)
	for line := range strings.Lines(o.stdout) {
		var r map[string]any
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		class, _ := r["class"].(string)
		if class == "" {
			class = "moves"
		}
		classes[fmt.Sprintf("%s\x00%s\x00%s\x00%s", r["user_id"], r["bucket"], r["archive_id"], r["document_name"])] = class
	}
	return classes
}

// documented reads a table of docs/safety.md, the one whose first column has
// this heading: what -> heading of another column -> cell.
func documented(t *testing.T, heading string) map[string]map[string]string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "safety.md"))
	if err != nil {
		t.Fatal(err)
	}
	table := make(map[string]map[string]string)
	var columns []string
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		switch {
		case !strings.HasPrefix(line, "|"):
			columns = nil
		case cells[0] == heading:
			columns = cells
		case columns != nil && !strings.HasPrefix(cells[0], "---"):
			table[cells[0]] = make(map[string]string)
			for i, cell := range cells {
				table[cells[0]][columns[i]] = cell
			}
		}
	}
	if len(table) == 0 {
		t.Fatalf("docs/safety.md has no table that begins with %q", heading)
	}
	return table
}

// Hostile names go from the database to every kind of store and back: each
// moves, or stays and is named, as docs/safety.md tells; nothing is ever written,
// read or deleted beside a store's root; and purge and verify hold as well.
func TestHostileNames(t *testing.T) {
	t.Parallel()
	minio, versity, swift := testenv.MinIO(t), testenv.VersityGW(t), testenv.Swift(t)
	table := documented(t, "name")
	for _, c := range []struct {
		column string
		to     func(t *testing.T, url string) place
	}{
		{"db2", func(_ *testing.T, url string) place { return db2Place(url) }},
		{"localfs", func(t *testing.T, _ string) place { root, _ := canary(t); return localfsPlace(root) }},
		{"s3 (MinIO)", func(t *testing.T, _ string) place { return s3Place(minio, minio.Bucket(t), "") }},
		{"s3 (versitygw)", func(t *testing.T, _ string) place { return s3Place(versity, versity.Bucket(t), "") }},
		{"swift", func(t *testing.T, _ string) place { return swiftPlace(swift, swift.Container(t), "") }},
	} {
		t.Run(c.column, func(t *testing.T) {
			s := seedDB(t, bench.Workload{Documents: 20, Seed: 90})
			testHostileNames(t, s, c.to(t, s.url), func(what string) string { return table[what][c.column] })
		})
	}
}

func testHostileNames(t *testing.T, s seeded, to place, documented func(what string) string) {
	names := hostileNames()
	seedHostile(t, s.url, names)
	from := dbPlace(s.url)
	source, destination := from.config(t, s.url, compression{}), to.config(t, s.url, compression{})
	checkpoint := filepath.Join(t.TempDir(), "k.checkpoint")
	migrate := func(args ...string) map[string]string {
		t.Helper()
		args = append([]string{"migrate", "--dontask", "--checkpoint", checkpoint}, args...)
		if o := kedge(t, args...); o.exit != exitDone && o.exit != exitDocuments {
			t.Fatalf("exit status %d\n%s%s", o.exit, o.stdout, o.stderr)
		}
		return classesOf(t, checkpoint)
	}
	first := migrate("--nodelete", source, destination)
	second := migrate("--nodelete", "--unreadable-keys=move", source, destination)
	rows := catalogRows(t, s.url)
	moved := 20
	for _, h := range names {
		id := h.key.UserID + "\x00" + h.key.Bucket + "\x00" + h.key.ArchiveID + "\x00" + h.name()
		got := first[id]
		if got != second[id] && got != "moves" {
			got += ", " + second[id]
		}
		if want := documented(h.what); got != want {
			t.Errorf("%s: %s; docs/safety.md says %q", h.what, got, want)
		}
		at := checkHostile(t, rows, h, from, to)
		if (at == 1) != (second[id] == "moves") {
			t.Errorf("%s: %s, but its row names place %d", h.what, second[id], at)
		}
		moved += at
	}
	payloads(t, from, 20+len(names))

	// What stays is sound where it is, what moved where it went; and nothing at
	// the destination is without its row.
	both := writeConfig(t, s.url, to.section("object_store", compression{}), from.section("analysis_archive", compression{}))
	checkUnreadable(t, both, names, rows)
	if to.name == "s3(versitygw)" {
		// Its listing is XML, which cannot hold all names.
		kedge(t, "verify", "--orphans", both).want(t, exitFailed).says(t, "listing does not tell the key")
	} else {
		if to.driver != "s3" { // where only kedge asks for names that XML can hold
			payloads(t, to, moved)
		}
		orphans := 0 // what --nodelete has left, but for keys that it shares with nobody
		_, list, _ := failedIDs(t, kedge(t, "verify", "--orphans", "--output=json", both).want(t, exitDocuments).stdout)
		for _, uri := range list {
			if strings.HasPrefix(uri, to.prefix) {
				t.Errorf("orphan %q", uri)
			}
			orphans++
		}
		if orphans != moved {
			t.Errorf("%d orphans, want what --nodelete has left of %d documents", orphans, moved)
		}
	}
	kedge(t, "purge", "--dontask", source, destination).want(t, exitDone)
	payloads(t, from, 20+len(names)-moved)
	for _, h := range names {
		checkHostile(t, rows, h, from, to)
	}

	// And back.
	kedge(t, "migrate", "--dontask", "--unreadable-keys=move", destination, source).want(t, exitDone)
	rows = catalogRows(t, s.url)
	for _, h := range names {
		checkHostile(t, rows, h, from)
	}
	empty(t, to.raw)
	execute(t, s.url, `DELETE FROM archive_metadata WHERE "userId" NOT IN ('admin', 'team-a', 'team-b', 'ci.builds') OR bucket NOT LIKE '%\_%'`)
	s.check(t, from)
}

// checkUnreadable checks that an audit names those documents, and no others, that
// Anchore would not find where they are now.
func checkUnreadable(t *testing.T, config string, names []hostile, rows map[string]row) {
	t.Helper()
	want, exit := 0, exitDone
	for _, h := range names {
		uri := *rows[h.key.UserID+"\x00"+h.key.Bucket+"\x00"+h.key.ArchiveID+"\x00"+h.name()].url
		if drivers.ReadableByAnchore(uri) != nil {
			want, exit = want+1, exitDocuments
		}
	}
	classes, _, summary := failedIDs(t, kedge(t, "verify", "--output=json", config).want(t, exit).stdout)
	if summary["failed"] != float64(want) {
		t.Errorf("verify names %v documents, want the %d that Anchore cannot find", summary["failed"], want)
	}
	for id, class := range classes {
		if class != failure.ClassUnfound {
			t.Errorf("%q is %s", id, class)
		}
	}
}

// payloads fails the test unless a place holds so many, folders not counted.
func payloads(t *testing.T, p place, want int) {
	t.Helper()
	list, err := p.raw.list(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	list = slices.DeleteFunc(list, func(uri string) bool { return p.driver == "localfs" && !strings.HasSuffix(uri, ".json") })
	if len(list) != want {
		t.Errorf("%s holds %d payloads, want %d", p.name, len(list), want)
	}
}
