package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/kedge/kedge/bench"
	"github.com/kedge/kedge/internal/testenv"
)

// TestWrongInputs: each with one clear line that says what is wrong and where,
// the right exit status, and nothing changed.
func TestWrongInputs(t *testing.T) {
	t.Parallel()
	s := seedDB(t, bench.Workload{Documents: 10, Seed: 17})
	minio := testenv.MinIO(t)
	good := dbPlace(s.url).config(t, s.url, compression{})
	s3 := s3Place(minio, minio.Bucket(t), "")
	local := localfsPlace(archiveRoot(t))
	foreign := t.TempDir()
	write(t, filepath.Join(foreign, "letters.txt"), "not Anchore's")
	file := func(text string) string { return write(t, filepath.Join(t.TempDir(), "dest.yaml"), text) }
	section := func(p place) string {
		return writeConfig(t, "", p.section("object_store", compression{}))
	}
	with := func(p place, old, new string) string {
		p.options = replaced(p.options, old, new)
		return section(p)
	}
	empty := testenv.Postgres(t).Database(t)

	cases := []struct {
		name string
		args []string
		want string // a regular expression for the one line
		exit int
	}{
		{"missing file", []string{good, "/no/such/file.yaml"}, `/no/such/file\.yaml: no such file`, 1},
		{"a directory", []string{good, foreign}, `is a directory`, 1},
		{"not YAML", []string{good, file("services: [\n")}, `dest\.yaml`, 1},
		{"no services.catalog", []string{good, file("services:\n  policy_engine: {}\n")}, `has no services\.catalog`, 1},
		{"no analysis archive", []string{"--to-analysis-archive", good, good}, `analysis_archive`, 1},
		{"unknown driver", []string{good, section(place{driver: "azure"})}, `config\.yaml:\d+: .*storage_driver\.name.*azure.*known drivers: db, db2, localfs, s3`, 1},
		{"unknown key", []string{good, with(s3, "secret_key: ", "secret_kye: ")}, `config\.yaml:\d+: services\.catalog\.object_store\.storage_driver\.config\.secret_kye.*did you mean secret_key`, 1},
		{"wrong type", []string{good, with(s3, "create_bucket: False", "create_bucket: perhaps")}, `config\.yaml:\d+: .*create_bucket`, 1},
		{"unset variable", []string{good, with(s3, minio.SecretKey, "${KEDGE_TEST_UNSET}")}, `config\.yaml:\d+: .*secret_key.*KEDGE_TEST_UNSET`, 1},
		{"S3 bucket missing", []string{good, section(s3Place(minio, "no-such-bucket", ""))}, `no-such-bucket.*create_bucket`, 1},
		{"wrong secret key", []string{good, with(s3, minio.SecretKey, "wrong-secret")}, `(?i)secret_key|signature`, 1},
		{"wrong access key", []string{good, with(s3, "access_key: ", "access_key: no")}, `(?i)access_key|access key`, 1},
		{"server unreachable", []string{good, with(s3, minio.URL, "http://127.0.0.1:1")}, `127\.0\.0\.1:1\b`, 1},
		{"empty url", []string{good, with(s3, minio.URL, "''")}, `config\.yaml:\d+: .*\.url: .*empty`, 1},
		{"relative archive_data_dir", []string{good, with(local, "archive_data_dir: /", "archive_data_dir: ")}, `archive_data_dir.*absolute`, 1},
		{"no archive_data_dir", []string{good, section(place{driver: "localfs"})}, `archive_data_dir`, 1},
		{"foreign files", []string{good, section(localfsPlace(foreign))}, `letters\.txt`, 1},
		{"archive_data_dir is a file", []string{good, section(localfsPlace(filepath.Join(foreign, "letters.txt")))}, `letters\.txt.*not a directory`, 1},
		{"bucket that matches nothing", []string{"--bucket", "analysis_arhcive", good, section(local)}, `analysis_arhcive`, 1},
		{"no database", []string{section(local), good}, `--db-connect`, 1},
		{"database down", []string{"--db-retries", "0", "--db-connect", "postgresql://anchore:letmein@127.0.0.1:1/anchore", good, section(local)}, `127\.0\.0\.1:1\b`, 1},
		{"database without Anchore's tables", []string{"--db-connect", empty, good, section(local)}, `archive_metadata`, 1},
		{"no such database", []string{"--db-connect", s.url + "_not", good, section(local)}, `has no database`, 1},
		{"unknown kind of database", []string{"--db-connect", "mysql://root:letmein@h/d", good, section(local)}, `postgresql`, 1},
		{"not confirmed", []string{good, section(local)}, `not confirmed.*--dontask`, 3},
		{"unknown flag", []string{"--nodelet", good, section(local)}, `nodelete`, 1},
		{"too little memory", []string{"--memory", "1", good, section(local)}, `--memory`, 1},
		{"too much memory", []string{"--memory", "99999999999999", good, section(local)}, `--memory`, 1},
		{"too few arguments", []string{good}, `dest\.yaml`, 1},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			args := append([]string{"migrate", "--quiet"}, c.args...)
			if c.exit != exitRefused {
				args = append(args, "--dontask")
			}
			o := kedge(t, args...).want(t, c.exit)
			lines := strings.Split(strings.TrimSpace(o.stderr), "\n")
			if len(lines) != 1 {
				t.Errorf("%d lines instead of one:\n%s", len(lines), o.stderr)
			}
			if !regexp.MustCompile(c.want).MatchString(o.stderr) {
				t.Errorf("the line does not match %s:\n%s", c.want, o.stderr)
			}
			if o.stdout != "" || strings.Contains(o.stderr, "goroutine") || strings.Contains(o.stderr, "letmein") || strings.Contains(o.stderr, minio.SecretKey) {
				t.Errorf("more than a line, or a secret:\n%s\n%s", o.stdout, o.stderr)
			}
		})
	}
	s.check(t, dbPlace(s.url))
	if tasks := migrations(t, s.url); len(tasks) != 0 {
		t.Errorf("a refused migration left a task: %+v", tasks)
	}
}

// TestNoSecretIsEverWritten runs through everything that writes, at the most
// talkative level, and looks for the secrets in all of it.
func TestNoSecretIsEverWritten(t *testing.T) {
	t.Parallel()
	server := testenv.NewPostgres(t, testenv.PostgresOptions{Password: "pg-passw0rd-s3cret"})
	minio := testenv.MinIO(t)
	url, g := server.Golden(t, "db2_on")
	from, to := db2Place(url), s3Place(minio, minio.Bucket(t), "")
	source, destination := from.config(t, url, goldenCompression(g)), to.config(t, url, compression{true, 10})
	checkpoint := filepath.Join(t.TempDir(), "k.checkpoint")
	wrong := s3Place(minio, "no-such-bucket", "")
	down := to
	down.options = replaced(to.options, minio.URL, "http://127.0.0.1:1")

	var written strings.Builder
	debug := []string{"--log-level=debug"}
	for _, args := range [][]string{
		{"check", source}, {"check", destination}, {"check", wrong.config(t, url, compression{})}, {"check", down.config(t, url, compression{})},
		{"check", "--db-connect", strings.Replace(url, "s3cret", "wr0ng-s3cret", 1), source},
		{"check", "--db-connect", url + "?bogus=1", source},
		{"migrate", "--dontask", "--checkpoint", checkpoint, source, destination}, // some keys stay: the checkpoint is kept
		{"migrate", "--dontask", "--checkpoint", checkpoint, "--output=json", source, destination},
		{"list-migrations", source},
	} {
		o := kedge(t, append(debug, args...)...)
		written.WriteString(o.stdout + o.stderr)
	}
	kept, err := os.ReadFile(checkpoint)
	if err != nil {
		t.Fatalf("the checkpoint is not there to be looked at: %v", err)
	}
	written.Write(kept)
	conn := connect(t, url)
	defer conn.Close(t.Context())
	var tasks string
	if err := conn.QueryRow(t.Context(), `SELECT string_agg(t::text || m::text, ' ') FROM tasks t JOIN archive_migration_tasks m USING (id)`).Scan(&tasks); err != nil {
		t.Fatal(err)
	}
	written.WriteString(tasks)
	if !strings.Contains(written.String(), "place=") && !strings.Contains(written.String(), to.prefix) {
		t.Error("what was written does not even name the destination: was anything looked at?")
	}
	for _, secret := range []string{minio.SecretKey, minio.AccessKey, "pg-passw0rd-s3cret", "wr0ng-s3cret"} {
		if i := strings.Index(written.String(), secret); i >= 0 {
			t.Errorf("%q is written: …%s…", secret, fmt.Sprintf("%.200s", written.String()[max(0, i-100):]))
		}
	}
}
