package main

import (
	"bytes"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kedge/kedge/internal/testenv"
)

// awkwardPassword has what a URL would take for something else.
const awkwardPassword = `p@ss:w/rd#?%41 &;$x`

// The command lines of the migration Job in Anchore Enterprise's chart, which
// puts user and password into the URL as they are.
const (
	enterpriseURL = `postgresql://"${ANCHORE_DB_USER}":"${ANCHORE_DB_PASSWORD}"@"${ANCHORE_DB_HOST}":"${ANCHORE_DB_PORT}"/"${ANCHORE_DB_NAME}?sslmode=verify-full&sslrootcert=${CA_FILE}"`
	enterpriseRun = `anchore-enterprise-manager objectstorage --db-connect ` + enterpriseURL + ` `

	enterpriseCheck = enterpriseRun + `check /config/dest-config.yaml`
	enterprisePlan  = enterpriseRun + `plan /config/config.yaml /config/dest-config.yaml`
	enterpriseMove  = enterpriseRun + `migrate /config/config.yaml /config/dest-config.yaml --dontask`
	enterpriseTo    = enterpriseRun + `migrate --to-analysis-archive --bucket analysis_archive /config/config.yaml /config/dest-config.yaml --dontask`
	enterpriseFrom  = enterpriseRun + `migrate --from-analysis-archive --bucket analysis_archive /config/config.yaml /config/dest-config.yaml --dontask`
)

// enterpriseRig is an installation of Anchore Enterprise as its chart configures
// it: its own configuration files, PostgreSQL with TLS behind a private
// authority, MinIO.
type enterpriseRig struct {
	*pageRig
	env []string
	// secrets must stand in no output.
	secrets []string
}

func newEnterpriseRig(t *testing.T) *enterpriseRig {
	t.Helper()
	server := testenv.NewPostgres(t, testenv.PostgresOptions{SSL: true, Password: awkwardPassword})
	database, _ := server.Golden(t, "db")
	execute(t, database, `TRUNCATE archive_metadata, archive_document, object_storage, archive_migration_tasks, tasks`)
	minio := testenv.MinIO(t)
	made, archive := minio.Bucket(t)+"-made", minio.Bucket(t)
	minio.RemoveBucketAfter(t, made)
	page := &pageRig{t: t, url: database, folder: t.TempDir(), bin: t.TempDir(), db: dbPlace(database),
		archive: s3Place(minio, archive, ""), united: s3Place(minio, made, "")}
	r := &enterpriseRig{pageRig: page, secrets: []string{awkwardPassword, url.QueryEscape(awkwardPassword), minio.SecretKey}}
	for _, name := range []string{"config.yaml", "dest-config.yaml"} {
		text, err := os.ReadFile(filepath.Join("..", "..", "testdata", "enterprise", name))
		if err != nil {
			t.Fatal(err)
		}
		// What is no variable, and stands for a place that is not here.
		write(t, filepath.Join(page.folder, name), strings.NewReplacer(
			"/home/anchore/certs/rds-combined-ca-cert-bundle.pem", server.CAFile,
			"http://minio.example.svc.cluster.local:9000", minio.URL,
			"bucket: analysisarchive", "bucket: "+archive, "bucket: anchorearchive", "bucket: "+made).Replace(string(text)))
	}
	if err := os.Symlink(binary, filepath.Join(page.bin, "anchore-enterprise-manager")); err != nil {
		t.Fatal(err)
	}
	place, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	r.env = []string{
		"PATH=" + page.bin + ":" + os.Getenv("PATH"), "HOME=" + home(t), "CA_FILE=" + server.CAFile,
		"ANCHORE_DB_USER=postgres", "ANCHORE_DB_PASSWORD=" + awkwardPassword, "ANCHORE_DB_HOST=127.0.0.1",
		fmt.Sprintf("ANCHORE_DB_PORT=%d", server.Port), "ANCHORE_DB_NAME=" + strings.TrimPrefix(place.Path, "/"), "ANCHORE_DB_TIMEOUT=120",
		"ANCHORE_OBJECT_STORE_ACCESS_KEY=" + minio.AccessKey, "ANCHORE_OBJECT_STORE_SECRET_KEY=" + minio.SecretKey,
		"ANCHORE_ANALYSIS_ARCHIVE_ACCESS_KEY=" + minio.AccessKey, "ANCHORE_ANALYSIS_ARCHIVE_SECRET_KEY=" + minio.SecretKey,
	}
	var documents []pageDocument
	for _, bucket := range []string{"manifest_data", "analysis_data", "policy_evaluations", "analysis_archive", "runtime_compliance_check"} {
		for i := range 12 {
			documents = append(documents, pageDocument{bucket: bucket, archiveID: fmt.Sprintf("sha256:%064x", i)})
		}
	}
	page.seed(documents)
	return r
}

// typed runs a line of the chart's Job in a shell.
func (r *enterpriseRig) typed(line string) outcome {
	r.t.Helper()
	cmd := exec.CommandContext(r.t.Context(), "sh", "-c", strings.ReplaceAll(line, "/config/", r.folder+"/"))
	cmd.Env = r.env
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if cmd.ProcessState == nil {
		r.t.Fatal(err)
	}
	o := outcome{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
	for _, secret := range r.secrets {
		if strings.Contains(o.stdout+o.stderr, secret) {
			r.t.Errorf("%s: the output holds a secret:\n%s%s", line, o.stdout, o.stderr)
		}
	}
	return o
}

// exchanged is the rollback's line: the same with the two configurations
// exchanged.
func exchanged(line string) string {
	return strings.NewReplacer("/config/config.yaml", "/config/dest-config.yaml", "/config/dest-config.yaml", "/config/config.yaml").Replace(line)
}

// TestEnterprise: an installation of Anchore Enterprise of today goes to S3 and
// back by the command lines of its chart's own Job, and every one of its
// configuration files is read as it stands.
func TestEnterprise(t *testing.T) {
	t.Parallel()
	r := newEnterpriseRig(t)
	for file, want := range map[string][]string{
		"config.yaml":      {"verify-full", "db"},
		"dest-config.yaml": {"s3", r.united.raw.(objectStore).bucket},
	} {
		o := r.typed("anchore-enterprise-manager config explain /config/"+file).want(t, 0)
		for _, text := range want {
			if !strings.Contains(o.stdout, text) {
				t.Errorf("config explain %s does not tell %q:\n%s", file, text, o.stdout)
			}
		}
		if strings.Contains(o.stderr, "level=WARN") {
			t.Errorf("config explain %s warns:\n%s", file, o.stderr)
		}
	}
	// By the configuration's own words, with TLS, and by the Job's.
	r.typed("anchore-enterprise-manager check /config/config.yaml").want(t, 0)
	r.typed(enterpriseCheck).want(t, 0).saysOfCheck(t, filepath.Join(r.folder, "dest-config.yaml"))
	r.typed(enterprisePlan).want(t, 0)
	r.are(everything(r.db))

	r.typed(enterpriseTo).want(t, 0)
	r.are(archived(r.archive, r.db))
	r.typed(enterpriseMove).want(t, 0)
	r.are(archived(r.archive, r.united))
	r.typed("anchore-enterprise-manager --db-connect "+enterpriseURL+" verify /config/dest-config.yaml").want(t, 0)

	r.typed(exchanged(enterpriseFrom)).want(t, 0)
	r.are(archived(r.db, r.united))
	r.typed(exchanged(enterpriseMove)).want(t, 0)
	r.are(everything(r.db))
	r.typed("anchore-enterprise-manager verify /config/config.yaml").want(t, 0)

	o := r.typed("anchore-enterprise-manager list-migrations /config/config.yaml").want(t, 0)
	o.saysMigrations(t, "complete db s3 12 12", "complete db s3 48 48", "complete s3 db 12 12", "complete s3 db 48 48")
}

// TestAnalysisArchiveIsNotElsewhere: documents in the analysis archive that the new
// configuration has are where they should be when the archive moves; without it
// Anchore would not find them, and they are named.
func TestAnalysisArchiveIsNotElsewhere(t *testing.T) {
	t.Parallel()
	r := newEnterpriseRig(t)
	r.typed(enterpriseTo).want(t, 0)
	r.typed(enterpriseMove).want(t, 0)
	text, err := os.ReadFile(filepath.Join(r.folder, "dest-config.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	made := r.united.raw.(objectStore).bucket
	next := strings.Replace(string(text), "bucket: "+made, "prefix: next/\n          bucket: "+made, 1)
	write(t, filepath.Join(r.folder, "next.yaml"), next)
	archive, rest, _ := strings.Cut(next, "    analysis_archive:\n")
	write(t, filepath.Join(r.folder, "without.yaml"), archive+rest[strings.Index(rest, "    object_store:"):])
	migrate := enterpriseRun + "migrate /config/dest-config.yaml /config/"
	plan := enterpriseRun + "plan /config/dest-config.yaml /config/"
	if o := r.typed(plan+"without.yaml").want(t, 2); !strings.Contains(o.stdout, "are elsewhere") {
		t.Errorf("not told:\n%s", o.stdout)
	}
	r.typed(plan+"next.yaml").want(t, 0)
	r.typed(migrate+"next.yaml --dontask").want(t, 0)
	r.are(archived(r.archive, r.united))
}

// TestEnterpriseWithoutTheAuthority: what is wrong with TLS is told in one line
// that names the file.
func TestEnterpriseWithoutTheAuthority(t *testing.T) {
	t.Parallel()
	r := newEnterpriseRig(t)
	path := filepath.Join(r.folder, "config.yaml")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "sslrootcert: ")
	authority, _, _ := strings.Cut(rest, "\n")
	for name, wrong := range map[string]string{
		"missing":     filepath.Join(r.folder, "no-such.pem"),
		"a directory": r.folder,
		"no PEM":      path,
	} {
		t.Run(name, func(t *testing.T) {
			write(t, filepath.Join(r.folder, "wrong.yaml"), strings.ReplaceAll(string(text), authority, wrong))
			o := r.typed("anchore-enterprise-manager check /config/wrong.yaml").want(t, 1)
			if lines := strings.Count(strings.TrimSpace(o.stderr), "\n"); !strings.Contains(o.stderr, wrong) || lines > 0 {
				t.Errorf("not one line with the file's name:\n%s", o.stderr)
			}
		})
	}
}
