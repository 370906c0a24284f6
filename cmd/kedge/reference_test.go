package main

import (
	"bytes"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/kedge/kedge/internal/testenv"
)

// The command lines of Anchore's documentation of object storage, as the pages
// print them: "current" is the newest page, "all drivers" the one before it,
// with the filesystem and Swift drivers. The second page's printing lost the
// name config.yaml.new behind /config/; its lines are taken as the newest page
// has them.
const (
	checkLine    = `anchore-manager objectstorage --db-connect ${db} check /config/dest-config.yaml `
	checkOldLine = `anchore-manager objectstorage --db-connect ${db} check /config/config.yaml `
	migrateLine  = `anchore-manager objectstorage --db-connect ${db} migrate /config/config.yaml /config/dest-config.yaml `
	// keepLine is migrateLine with the option of which the page tells.
	keepLine    = `anchore-manager objectstorage --db-connect ${db} migrate --nodelete /config/config.yaml /config/dest-config.yaml `
	reverseLine = `anchore-manager objectstorage --db-connect ${db} migrate /config/dest-config.yaml /config/config.yaml`
	listLine    = `anchore-manager objectstorage --db-connect ${db} list-migrations`

	composeCheckLine    = `docker compose run anchore-engine anchore-manager objectstorage --db-connect postgresql+pg8000://postgres:mysecretpassword@anchore-db:5432/postgres check /config/config.yaml.new`
	composeMigrateLine  = `docker compose run anchore-engine anchore-manager objectstorage --db-connect postgresql+pg8000://postgres:mysecretpassword@anchore-db:5432/postgres migrate /config/config.yaml /config/config.yaml.new`
	composeCheckLine1   = `docker-compose run anchore-engine anchore-manager objectstorage --db-connect postgresql+pg8000://postgres:mysecretpassword@anchore-db:5432/postgres check /config/config.yaml.new`
	composeMigrateLine1 = `docker-compose run anchore-engine anchore-manager objectstorage --db-connect postgresql+pg8000://postgres:mysecretpassword@anchore-db:5432/postgres migrate /config/config.yaml /config/config.yaml.new`

	splitLine         = `anchore-manager objectstorage --db-connect migrate --to-analysis-archive --bucket analysis_archive source-config.yaml dest-config.yaml`
	uniteLine         = `anchore-manager objectstorage --db-connect migrate source-config.yaml dest-config.yaml`
	uniteArchivesLine = `anchore-manager objectstorage --db-connect migrate --from-analysis-archive source-config.yaml dest-config.yaml  `
)

// The pages' configurations.
const (
	pageDB = `    object_store:
      compression:
        enabled: false
        min_size_kbytes: 100
      storage_driver:
        name: db
        config: {}        
`
	// pageS3 is that of which the migrations' output tells.
	pageS3 = `    object_store:
      compression:
        enabled: true
        min_size_kbytes: 100
      storage_driver:
        config:
          access_key: 9EB92C7W61YPFQ6QLDOU
          bucket: anchore-engine-testing
          create_bucket: true
          prefix: internaltest
          region: false
          secret_key: TuHo2UbBx+amD3YiCeidy+R3q82MPTPiyd+dlW+s
          url: http://minio-ephemeral-test:9000/
        name: s3
`
	pageArchive = `    analysis_archive:
      enabled: true
      compression:
        enabled: false
        min_size_kbytes: 100
      storage_driver:
        name: s3
        config: 
          access_key: 9EB92C7W61YPFQ6QLDOU
          secret_key: TuHo2UbBx+amD3YiCeidy+R3q82MPTPiyd+dlW+s
          url: 'http://minio-ephemeral-test:9000'
          region: null
          bucket: analysisarchive
`
	pageUnited = `    object_store:
      enabled: true
      compression:
        enabled: false
        min_size_kbytes: 100
      storage_driver:
        name: s3
        config: 
          access_key: 9EB92C7W61YPFQ6QLDOU
          secret_key: TuHo2UbBx+amD3YiCeidy+R3q82MPTPiyd+dlW+s
          url: 'http://minio-ephemeral-test:9000'
          region: null
          bucket: newanchorebucket
`
)

// pageRig is an installation with the seven documents of the page's example, and
// a folder for /config.
type pageRig struct {
	t           *testing.T
	url         string
	folder, bin string
	rewrite     *strings.Replacer
	db          place
	// The page's S3 buckets.
	s3, archive, united place
	documents           []pageDocument
}

type pageDocument struct{ bucket, archiveID, plain string }

func newPageRig(t *testing.T, more ...pageDocument) *pageRig {
	t.Helper()
	r := &pageRig{t: t, url: emptyInstallation(t), folder: t.TempDir(), bin: t.TempDir()}
	minio := testenv.MinIO(t)
	r.db = dbPlace(r.url)
	r.archive, r.united = s3Place(minio, minio.Bucket(t), ""), s3Place(minio, minio.Bucket(t), "")
	made := minio.Bucket(t) + "-made" // by create_bucket
	minio.RemoveBucketAfter(t, made)
	r.s3 = s3Place(minio, made, "internaltest") // as it stands: no slash is added
	r.rewrite = strings.NewReplacer("9EB92C7W61YPFQ6QLDOU", minio.AccessKey, "TuHo2UbBx+amD3YiCeidy+R3q82MPTPiyd+dlW+s", minio.SecretKey,
		"http://minio-ephemeral-test:9000", minio.URL, "anchore-engine-testing", made,
		"bucket: analysisarchive", "bucket: "+r.archive.raw.(objectStore).bucket, "newanchorebucket", r.united.raw.(objectStore).bucket)
	write(t, filepath.Join(r.bin, "docker"), "#!/bin/sh\nshift 3\nexec \"$@\"\n")
	write(t, filepath.Join(r.bin, "docker-compose"), "#!/bin/sh\nshift 2\nexec \"$@\"\n")
	for _, name := range []string{"docker", "docker-compose"} {
		if err := os.Chmod(filepath.Join(r.bin, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(binary, filepath.Join(r.bin, "kedge")); err != nil {
		t.Fatal(err)
	}
	r.seed(append([]pageDocument{
		{bucket: "policy_bundles", archiveID: "2c53a13c-1765-11e8-82ef-23527761d060"},
		{bucket: "manifest_data", archiveID: "sha256:0873c923e00e0fd2ba78041bfb64a105e1ecb7678916d1f7776311e45bf5634b"},
		{bucket: "analysis_data", archiveID: "sha256:0873c923e00e0fd2ba78041bfb64a105e1ecb7678916d1f7776311e45bf5634b"},
		{bucket: "image_content_data", archiveID: "sha256:0873c923e00e0fd2ba78041bfb64a105e1ecb7678916d1f7776311e45bf5634b"},
		{bucket: "manifest_data", archiveID: "sha256:a0cd2c88c5cc65499e959ac33c8ebab45f24e6348b48d8c34fd2308fcb0cc138"},
		{bucket: "analysis_data", archiveID: "sha256:a0cd2c88c5cc65499e959ac33c8ebab45f24e6348b48d8c34fd2308fcb0cc138"},
		{bucket: "image_content_data", archiveID: "sha256:a0cd2c88c5cc65499e959ac33c8ebab45f24e6348b48d8c34fd2308fcb0cc138"},
	}, more...))
	return r
}

func (r *pageRig) seed(documents []pageDocument) {
	for i, d := range documents {
		// Analyses are large enough to be compressed.
		d.plain = fmt.Sprintf(`{"document": "%s %s%s"}`, d.bucket, d.archiveID, strings.Repeat(" layer", map[bool]int{true: 40 << 10}[d.bucket == "analysis_data"]))
		sum := md5.Sum([]byte(d.plain))
		execute(r.t, r.url, `INSERT INTO archive_document (bucket, "archiveId", "userId", "documentName", created_at, last_updated, record_state_key, jsondata, b64_encoded)
			VALUES ($1, $2, 'admin', $3, 1534356000, 1534356000, 'active', $4, false)`, d.bucket, d.archiveID, d.archiveID+".json", d.plain)
		execute(r.t, r.url, `INSERT INTO archive_metadata (bucket, "archiveId", "userId", "documentName", content_url, is_compressed, digest, size, created_at, last_updated, record_state_key)
			VALUES ($1, $2, 'admin', $3, $4, false, $5, $6, 1534356000, 1534356000, 'active')`,
			d.bucket, d.archiveID, d.archiveID+".json", "db://admin/"+d.bucket+"/"+d.archiveID, hex.EncodeToString(sum[:]), len(d.plain))
		documents[i] = d
	}
	r.documents = documents
}

// config writes a configuration as the pages show it. The original config.yaml
// has the database as well.
func (r *pageRig) config(name string, sections ...string) {
	text := "credentials:\n  database:\n    db_connect: '" + r.connect() + "'\nservices:\n  catalog:\n" + r.rewrite.Replace(strings.Join(sections, ""))
	write(r.t, filepath.Join(r.folder, name), text)
}

// connect is the database as the pages spell it. The server asks for no
// password, and takes any.
func (r *pageRig) connect() string {
	url := strings.Replace(r.url, "postgresql://", "postgresql+pg8000://", 1)
	return strings.Replace(url, "postgres@", "postgres:mysecretpassword@", 1)
}

// typed runs a line of the pages in a shell, on a terminal on which is answered,
// with kedge in place of anchore-manager.
func (r *pageRig) typed(line, answer string) outcome {
	r.t.Helper()
	line = strings.Replace(line, "anchore-manager", "kedge", 1)
	line = strings.ReplaceAll(line, "/config/", r.folder+"/")
	line = strings.ReplaceAll(line, "postgresql+pg8000://postgres:mysecretpassword@anchore-db:5432/postgres", r.connect())
	cmd := exec.CommandContext(r.t.Context(), "sh", "-c", line)
	cmd.Dir = r.folder
	cmd.Env = append(environment(r.t), "PATH="+r.bin+":"+os.Getenv("PATH"), "HOME="+home(r.t), "XDG_STATE_HOME=", "db="+r.connect())
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.Stdin = answered(r.t, answer)
	err := cmd.Run()
	if cmd.ProcessState == nil {
		r.t.Fatal(err)
	}
	return outcome{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}

// answered is a terminal on which this has been typed.
func answered(t *testing.T, answer string) *os.File {
	t.Helper()
	keyboard, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { keyboard.Close() })
	if err := unix.IoctlSetPointerInt(int(keyboard.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetInt(int(keyboard.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	terminal, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { terminal.Close() })
	if _, err := keyboard.WriteString(answer); err != nil {
		t.Fatal(err)
	}
	return terminal
}

// are fails the test unless every document is, whole, in the place for its
// bucket, and nothing else is in any place but where it may be left.
func (r *pageRig) are(at func(bucket string) place, left ...place) {
	r.t.Helper()
	rows := catalogRows(r.t, r.url)
	if len(rows) != len(r.documents) {
		r.t.Errorf("the catalog has %d rows, want %d", len(rows), len(r.documents))
	}
	held := make(map[string]int)
	for _, d := range r.documents {
		p := at(d.bucket)
		held[p.prefix]++
		row := rows["admin\x00"+d.bucket+"\x00"+d.archiveID+"\x00"+d.archiveID+".json"]
		if row.url == nil || !strings.HasPrefix(*row.url, p.prefix) {
			r.t.Fatalf("the row of %s/%s names no place below %s: %+v", d.bucket, d.archiveID, p.prefix, row)
		}
		sum := sha256.Sum256([]byte(d.plain))
		if err := checkStored(r.t.Context(), p.raw, row, hex.EncodeToString(sum[:])); err != nil {
			r.t.Error(err)
		}
	}
	for _, p := range left {
		held[p.prefix] = len(r.documents)
	}
	for _, p := range []place{r.db, r.archive, r.united} {
		payloads(r.t, p, held[p.prefix])
	}
	if n := held[r.s3.prefix]; n > 0 {
		payloads(r.t, r.s3, n)
	}
}

func everything(p place) func(string) place { return func(string) place { return p } }

// archived: the analysis archive is in one place, everything else in another.
func archived(in, otherwise place) func(string) place {
	return func(bucket string) place {
		if bucket == "analysis_archive" {
			return in
		}
		return otherwise
	}
}

const pageNotice = "After this migration, your anchore-engine config.yaml MUST have the following configuration options added before starting up again:"

// saysOfMigration fails the test unless the output has what the page's has.
func (o outcome) saysOfMigration(t *testing.T, options ...string) outcome {
	t.Helper()
	if !strings.Contains(o.stderr, "Performing this operation requires *all* anchore-engine services to be stopped - proceed? (y/N)") {
		t.Errorf("no question:\n%s", o.stderr)
	}
	for _, part := range []string{"Migration from", "Migration to"} {
		if !strings.Contains(o.stderr, part) {
			t.Errorf("%q is not told:\n%s", part, o.stderr)
		}
	}
	_, notice, found := strings.Cut(o.stdout, pageNotice)
	if !found {
		t.Errorf("the configuration to use is not told:\n%s", o.stdout)
	}
	for _, option := range append(options, "compression:", "enabled:", "min_size_kbytes: 100", "storage_driver:") {
		if !strings.Contains(notice, option) {
			t.Errorf("the configuration to use has no %q:\n%s", option, notice)
		}
	}
	return o
}

// saysOfCheck fails the test unless the output has what the page's has.
func (o outcome) saysOfCheck(t *testing.T, path string) {
	t.Helper()
	last := 0
	for _, part := range []string{
		"Using config file " + path,
		"Checking existence of test document with user_id = test, bucket = anchorecliconfigtest and archive_id = cliconfigtest",
		"Creating test document with user_id = test, bucket = anchorecliconfigtest and archive_id = cliconfigtest",
		"Checking document fetch", "Removing test object", "Archive config check completed successfully",
	} {
		at := strings.Index(o.stdout, part)
		if at < last {
			t.Errorf("%q is not told, or not in its turn:\n%s", part, o.stdout)
		}
		last = max(at, last)
	}
}

var pageRow = regexp.MustCompile(`^(\d+) +(\S+) +(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}) +(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}) +(\S+) +(\S+) +(\d+) +(\d+) +(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}) *$`)

// saysMigrations compares the table, without its times and ids.
func (o outcome) saysMigrations(t *testing.T, want ...string) {
	t.Helper()
	lines := strings.Split(strings.TrimRight(o.stdout, "\n"), "\n")
	columns := regexp.MustCompile(` {2,}`).Split(strings.TrimSpace(lines[0]), -1)
	if got := strings.Join(columns, "|"); got != "id|state|start time|end time|from|to|migrated count|total to migrate|last updated" {
		t.Errorf("the columns are %s", got)
	}
	if len(lines) != len(want)+1 {
		t.Fatalf("%d rows, want %d:\n%s", len(lines)-1, len(want), o.stdout)
	}
	for i, line := range lines[1:] {
		f := pageRow.FindStringSubmatch(line)
		if f == nil {
			t.Errorf("not a row as the page shows it: %q", line)
			continue
		}
		if got := strings.Join([]string{f[2], f[5], f[6], f[7], f[8]}, " "); got != want[i] {
			t.Errorf("row %d is %s, want %s", i, got, want[i])
		}
	}
}
