package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/kedge/kedge/bench"
	"github.com/kedge/kedge/internal/testenv"
)

// fileRot is one way in which a document can be broken in driver localfs.
type fileRot struct {
	class  string
	zlib   bool // only where the payload is compressed
	spoil  func(t *testing.T, path string)
	update string // of the row, with the archive id as $1; may be ""
}

const (
	noDigest       = `UPDATE archive_metadata SET digest = NULL WHERE "archiveId" = $1`
	noDigestNoSize = `UPDATE archive_metadata SET digest = NULL, size = NULL WHERE "archiveId" = $1`
)

func fileRots() []fileRot {
	change := func(how func([]byte) []byte) func(*testing.T, string) {
		return func(t *testing.T, path string) {
			t.Helper()
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			write(t, path, string(how(b)))
		}
	}
	flip := func(at int) func([]byte) []byte {
		return func(b []byte) []byte { b[(at+len(b))%len(b)] ^= 1; return b }
	}
	replace := func(with func(path string) error) func(*testing.T, string) {
		return func(t *testing.T, path string) {
			t.Helper()
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			if err := with(path); err != nil {
				t.Fatal(err)
			}
		}
	}
	truncate := change(func(b []byte) []byte { return b[:len(b)/2] })
	lengthen := change(func(b []byte) []byte { return append(b, '\n') })
	return []fileRot{
		{class: "missing-payload", spoil: replace(func(string) error { return nil })},
		{class: "wrong-digest", spoil: change(flip(0))},
		{class: "wrong-digest", spoil: change(flip(-1))},
		{class: "wrong-digest", spoil: truncate},
		{class: "wrong-digest", spoil: lengthen},
		{class: "wrong-digest", spoil: change(func([]byte) []byte { return nil })},
		{class: "wrong-length", spoil: truncate, update: noDigest},
		{class: "wrong-length", spoil: lengthen, update: noDigest},
		{class: "corrupt-zlib", zlib: true, spoil: change(flip(100)), update: noDigest},
		{class: "corrupt-zlib", zlib: true, spoil: truncate, update: noDigestNoSize},
		{class: "corrupt-zlib", zlib: true, spoil: change(flip(0)), update: noDigestNoSize},
		{class: "no-content-url", spoil: func(*testing.T, string) {}, update: `UPDATE archive_metadata SET content_url = NULL WHERE "archiveId" = $1`},
		{class: "fetch-failed", spoil: replace(func(path string) error { return os.Mkdir(path, 0o755) })},
		{class: "fetch-failed", spoil: replace(func(path string) error { return os.Symlink("/etc/passwd", path) })},
		{class: "fetch-failed", spoil: replace(func(path string) error { return syscall.Mkfifo(path, 0o644) })},
		{class: "invalid-key", spoil: func(*testing.T, string) {}, update: `UPDATE archive_metadata SET content_url = replace(content_url, '.json', '.jsno') WHERE "archiveId" = $1`},
	}
}

// A thousand of twenty thousand documents are rotten, in every way there is:
// verify names exactly those, migrate moves all others and leaves those for the
// same reasons.
func TestAThousandRottenOfTwentyThousand(t *testing.T) {
	t.Parallel()
	const documents, rotten = 20000, 1000
	s := seedDB(t, bench.Workload{Documents: documents, MedianBytes: 2 << 10, Seed: 94})
	t.Run("localfs", func(t *testing.T) {
		root := archiveRoot(t)
		from, to := localfsPlace(root), dbPlace(s.url)
		source := from.config(t, s.url, compression{true, 1})
		kedge(t, "migrate", "--dontask", to.config(t, s.url, compression{}), source).want(t, exitDone)
		broken := breakFiles(t, s, rotten)
		checkThousand(t, s, broken, source, to.config(t, s.url, compression{}), from.prefix)
	})
	t.Run("db2", func(t *testing.T) {
		s := seedDB(t, s.workload)
		from, to := db2Place(s.url), localfsPlace(archiveRoot(t))
		source := from.config(t, s.url, compression{true, 1})
		kedge(t, "migrate", "--dontask", dbPlace(s.url).config(t, s.url, compression{}), source).want(t, exitDone)
		broken := breakRows(t, s, rotten)
		checkThousand(t, s, broken, source, to.config(t, s.url, compression{true, 3}), from.prefix)
	})
}

// breakFiles breaks every twentieth document, or so, in turn in each way. It
// gives the classes by archive id.
func breakFiles(t *testing.T, s seeded, rotten int) map[string]string {
	t.Helper()
	conn := connect(t, s.url)
	defer conn.Close(t.Context())
	rows := catalogRows(t, s.url)
	rots, broken, n := fileRots(), make(map[string]string), 0
	for i := range rotten {
		r := rots[i%len(rots)]
		var x row
		for found := false; !found; found = !r.zlib || *x.compressed {
			k := s.workload.Key(n)
			x = rows[k.UserID+"\x00"+k.Bucket+"\x00"+k.ArchiveID+"\x00"+k.ArchiveID+".json"]
			n += 7
		}
		r.spoil(t, strings.TrimPrefix(*x.url, "file://"))
		if r.update != "" {
			if _, err := conn.Exec(t.Context(), r.update, x.archiveID); err != nil {
				t.Fatal(err)
			}
		}
		broken[x.archiveID] = r.class
	}
	return broken
}

// breakRows is breakFiles for driver db2.
func breakRows(t *testing.T, s seeded, rotten int) map[string]string {
	t.Helper()
	conn := connect(t, s.url)
	defer conn.Close(t.Context())
	more := []rot{
		{"wrong-digest", []string{`UPDATE object_storage SET content = substring(content from 1 for length(content) - 1) WHERE key = $1`}},
		{"wrong-digest", []string{`UPDATE object_storage SET content = content || '\x00'::bytea WHERE key = $1`}},
		{"wrong-digest", []string{`UPDATE archive_metadata SET digest = md5('another') WHERE "archiveId" = $1`}},
		{"invalid-key", []string{`UPDATE archive_metadata SET content_url = 'db2://nobody' WHERE "archiveId" = $1`}},
	}
	all, broken, n := slices.Concat(rots, more), make(map[string]string), 0
	for i := range rotten {
		r := all[i%len(all)]
		for n += 7; r.class == "corrupt-zlib" && len(s.workload.Plain(n)) <= 2<<10; n += 7 {
		}
		id := s.workload.Key(n).ArchiveID
		for _, statement := range r.sql {
			if _, err := conn.Exec(t.Context(), statement, id); err != nil {
				t.Fatal(err)
			}
		}
		broken[id] = r.class
	}
	return broken
}

// checkThousand audits and migrates what is broken so.
func checkThousand(t *testing.T, s seeded, broken map[string]string, source, destination, prefix string) {
	t.Helper()
	o := kedge(t, "verify", "--output=json", source).want(t, exitDocuments)
	named, _, summary := failedIDs(t, o.stdout)
	same(t, "verify", named, broken)
	if summary["documents"] != float64(s.workload.Documents) || summary["failed"] != float64(len(broken)) {
		t.Errorf("summary: %v", summary)
	}
	before := catalogRows(t, s.url)
	checkpoint := filepath.Join(t.TempDir(), "k.checkpoint")
	o = kedge(t, "migrate", "--dontask", "--output=json", "--checkpoint", checkpoint, source, destination).want(t, exitDocuments)
	var result resultJSON
	if err := json.Unmarshal([]byte(o.stdout), &result); err != nil {
		t.Fatal(err)
	}
	if moved := int64(s.workload.Documents - len(broken)); result.Moved != moved || result.Failed != int64(len(broken)) || result.State != "failed" {
		t.Errorf("migrate moved %d and left %d: %s", result.Moved, result.Failed, result.State)
	}
	same(t, "migrate", leftBehind(t, checkpoint), broken)
	for id, r := range catalogRows(t, s.url) {
		b := before[id]
		if broken[r.archiveID] == "" {
			if r.url == nil || strings.HasPrefix(*r.url, prefix) {
				t.Errorf("%s was not moved", r.archiveID)
			}
		} else if (r.url == nil) != (b.url == nil) || r.url != nil && *r.url != *b.url {
			t.Errorf("%s (%s) was moved", r.archiveID, broken[r.archiveID])
		}
	}
}

// leftBehind gives the classes of what was not moved, by archive id.
func leftBehind(t *testing.T, checkpoint string) map[string]string {
	t.Helper()
	left := make(map[string]string)
	for id, class := range classesOf(t, checkpoint) {
		if class != "moves" {
			left[strings.Split(id, "\x00")[2]] = class
		}
	}
	return left
}

func same(t *testing.T, who string, got, want map[string]string) {
	t.Helper()
	wrong := 0
	for id, class := range want {
		if got[id] != class {
			if wrong++; wrong < 10 {
				t.Errorf("%s is %s, %s says %q", id, class, who, got[id])
			}
		}
	}
	if len(got) != len(want) || wrong > 0 {
		t.Errorf("%s names %d documents, want exactly the %d broken ones; %d wrong", who, len(got), len(want), wrong)
	}
}

// A file that kedge's user may not read is named, and moves when it may.
func TestUnreadableFiles(t *testing.T) {
	t.Parallel()
	s := seedDB(t, bench.Workload{Documents: 60, Seed: 95})
	above := t.TempDir()
	root := filepath.Join(above, "archive")
	db, from := dbPlace(s.url), localfsPlace(root)
	source, destination := from.config(t, s.url, compression{}), db.config(t, s.url, compression{})
	kedge(t, "migrate", "--dontask", destination, source).want(t, exitDone)
	// As root all may be read: the program runs as nobody then.
	checkpoint := filepath.Join(above, "state", "k.checkpoint")
	if err := os.Mkdir(filepath.Dir(checkpoint), 0o777); err != nil {
		t.Fatal(err)
	}
	run := func(args ...string) outcome {
		t.Helper()
		cmd := command(t, args...)
		if os.Geteuid() == 0 {
			asNobody(t, cmd, root, filepath.Dir(checkpoint), source, destination)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		return ends(t, cmd)
	}
	rows := catalogRows(t, s.url)
	broken := make(map[string]bool)
	var paths []string
	for _, r := range rows {
		if len(broken) < 5 {
			broken[r.archiveID] = true
			paths = append(paths, strings.TrimPrefix(*r.url, "file://"))
		}
	}
	for _, p := range paths {
		if err := os.Chmod(p, 0); err != nil {
			t.Fatal(err)
		}
	}
	run("verify", "--checkpoint", checkpoint+".audit", source).want(t, exitDocuments).says(t, "5 are not well", "fetch-failed", "permission denied")
	run("migrate", "--dontask", "--checkpoint", checkpoint, source, destination).want(t, exitDocuments).says(t, "fetch-failed", "permission denied", "55 of 60")
	for _, r := range catalogRows(t, s.url) {
		if broken[r.archiveID] != strings.HasPrefix(*r.url, from.prefix) {
			t.Errorf("%s is at %s", r.archiveID, *r.url)
		}
	}
	for _, p := range paths {
		if err := os.Chmod(p, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	run("migrate", "--dontask", "--checkpoint", checkpoint, source, destination).want(t, exitDone)
	s.check(t, db)
	empty(t, from.raw)
}

// asNobody makes a run of the program one of the user nobody, who owns these
// paths and may reach them.
func asNobody(t *testing.T, cmd *exec.Cmd, paths ...string) {
	t.Helper()
	const nobody = 65534
	for _, p := range append(paths, binary, home(t)) {
		if p != binary {
			if out, err := exec.Command("chown", "-R", fmt.Sprint(nobody), p).CombinedOutput(); err != nil {
				t.Fatalf("chown: %v\n%s", err, out)
			}
		}
		for dir := filepath.Dir(p); len(dir) > len(os.TempDir()); dir = filepath.Dir(dir) {
			if err := os.Chmod(dir, 0o755); err != nil {
				t.Fatal(err)
			}
		}
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
}

// What is rotten at the source reaches S3 before anybody but the server computes
// its MD5: nothing of it stays there, and what was there before does.
func TestRottenPayloadsLeaveNothingOnS3(t *testing.T) {
	t.Parallel()
	const documents, rotten = 80, 12
	for _, server := range testenv.S3Servers(t) {
		t.Run(server.Name, func(t *testing.T) {
			s := seedDB(t, bench.Workload{Documents: documents, MedianBytes: 150 << 10, Seed: 97})
			bucket := server.Bucket(t)
			from, to := dbPlace(s.url), s3Place(server, bucket, "")
			broken, before := make(map[string]string), make(map[string]string)
			for i := range rotten {
				k := s.workload.Key(i * 6)
				execute(t, s.url, `UPDATE archive_metadata SET digest = md5('another') WHERE "archiveId" = $1`, k.ArchiveID)
				broken[k.ArchiveID] = "wrong-digest"
				if i%3 == 0 {
					key := k.UserID + "/" + k.Bucket + "/" + k.ArchiveID
					before["s3://"+bucket+"/"+key] = "what was there before"
					_, err := server.Client().PutObject(t.Context(), &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: strings.NewReader("what was there before")})
					if err != nil {
						t.Fatal(err)
					}
				}
			}
			checkpoint := filepath.Join(t.TempDir(), "k.checkpoint")
			args := []string{"migrate", "--dontask", "--checkpoint", checkpoint, from.config(t, s.url, compression{}), to.config(t, s.url, compression{})}
			for range 2 { // the second run tries those again
				kedge(t, args...).want(t, exitDocuments)
				same(t, "migrate", leftBehind(t, checkpoint), broken)
				there, err := to.raw.list(t.Context())
				if err != nil || len(there) != documents-rotten+len(before) {
					t.Errorf("%d objects, %v", len(there), err)
				}
				for uri, text := range before {
					if payload, err := to.raw.get(t.Context(), uri); err != nil || string(payload) != text {
						t.Errorf("%s holds %d bytes, %v", uri, len(payload), err)
					}
				}
			}
		})
	}
}
