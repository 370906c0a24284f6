package main

import (
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/kedge/kedge/bench"
	"github.com/kedge/kedge/internal/testenv"
)

// The configuration has the shape in which the chart of Anchore Enterprise renders
// an installation; the values are invented.
const (
	enterpriseSource = `service_dir: ${ANCHORE_SERVICE_DIR}
allow_awsecr_iam_auto: true
keys:
  secret: "${ANCHORE_SAML_SECRET}"
credentials:
  database:
    encryption: {provider: static, keys: ["${ANCHORE_DB_ENCRYPTION_KEY_CURRENT}"]}
    user: "${ANCHORE_DB_USER}"
    password: "${ANCHORE_DB_PASSWORD}"
    host: "${ANCHORE_DB_HOST}"
    port: "${ANCHORE_DB_PORT}"
    name: "${ANCHORE_DB_NAME}"
    db_connect_args:
      timeout: ${ANCHORE_DB_TIMEOUT}
      ssl: true
      sslmode: verify-full
      sslrootcert: %s
    db_pool_size: ${ANCHORE_DB_POOL_SIZE}
    db_engine_args: {pool_recycle: 600}
object_store:
  direct_access: false
services:
  apiext: {enabled: true, port: "${ANCHORE_PORT}"}
  catalog:
    enabled: true
    analysis_queue_priority: <ALLOW_API_CONFIGURATION>
    runtime_compliance: {object_store_bucket: runtime_compliance_check}
    analysis_archive:
      {}
    object_store:
      compression: {enabled: true, min_size_kbytes: 100}
      storage_driver:
        config: {}
        name: db
      verify_content_digests: true
`
	enterpriseDestination = `credentials:
  database:
    user: "${ANCHORE_DB_USER}"
    password: "${ANCHORE_DB_PASSWORD}"
    host: "${ANCHORE_DB_HOST}"
    port: "${ANCHORE_DB_PORT}"
    name: "${ANCHORE_DB_NAME}"
    db_connect_args: {timeout: "${ANCHORE_DB_TIMEOUT}", ssl: false}
services:
  catalog:
    analysis_archive:
      enabled: true
      storage_driver:
        config: {access_key: "${ANCHORE_ANALYSIS_ARCHIVE_ACCESS_KEY}", bucket: analysisarchive, secret_key: "${ANCHORE_ANALYSIS_ARCHIVE_SECRET_KEY}", url: http://127.0.0.1:1}
        name: s3
    object_store:
      compression: {enabled: true, min_size_kbytes: 100}
      storage_driver:
        config: {archive_data_dir: %s}
        name: localfs
      verify_content_digests: true
`
	enterprisePassword = `p@ss:w/rd#1?x=y&z%40 %"'`
)

// enterprise is a database with TLS, and the environment of the chart's Job.
type enterprise struct {
	server              *testenv.PostgresServer
	seeded              seeded
	environ             []string
	source, destination string
	root                string
}

func newEnterprise(t *testing.T) *enterprise {
	t.Helper()
	server := testenv.NewPostgres(t, testenv.PostgresOptions{SSL: true, Password: enterprisePassword})
	address, _ := server.Golden(t, "db")
	execute(t, address, `TRUNCATE archive_metadata, archive_document, object_storage, archive_migration_tasks, tasks`)
	e := &enterprise{server: server, seeded: seedInto(t, address, bench.Workload{Documents: 20, Seed: 91}), root: archiveRoot(t)}
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	e.environ = []string{
		"ANCHORE_DB_USER=postgres", "ANCHORE_DB_PASSWORD=" + enterprisePassword, "ANCHORE_DB_HOST=127.0.0.1",
		"ANCHORE_DB_PORT=" + strconv.Itoa(server.Port), "ANCHORE_DB_NAME=" + strings.TrimPrefix(u.Path, "/"), "ANCHORE_DB_TIMEOUT=120",
	}
	e.source = configFile(t, fmt.Sprintf(enterpriseSource, server.CAFile))
	e.destination = configFile(t, fmt.Sprintf(enterpriseDestination, e.root))
	return e
}

// place is the database's URL with the password as it is.
func (e *enterprise) url(query string) string {
	v := map[string]string{}
	for _, line := range e.environ {
		key, value, _ := strings.Cut(line, "=")
		v[key] = value
	}
	return "postgresql://" + v["ANCHORE_DB_USER"] + ":" + v["ANCHORE_DB_PASSWORD"] + "@" + v["ANCHORE_DB_HOST"] + ":" + v["ANCHORE_DB_PORT"] + "/" + v["ANCHORE_DB_NAME"] + query
}

// manager runs kedge by the name of Anchore's own program.
func (e *enterprise) manager(t *testing.T, args ...string) outcome {
	t.Helper()
	link := filepath.Join(t.TempDir(), "anchore-enterprise-manager")
	if err := os.Symlink(binary, link); err != nil {
		t.Fatal(err)
	}
	cmd := command(t, args...)
	cmd.Path, cmd.Args[0] = link, link
	cmd.Env = append(cmd.Env, e.environ...)
	return finished(t, cmd)
}

func (e *enterprise) kedge(t *testing.T, args ...string) outcome {
	t.Helper()
	cmd := command(t, args...)
	cmd.Env = append(cmd.Env, e.environ...)
	return finished(t, cmd)
}

// The command lines of the chart's Job, with the password as it is in the URL,
// move an installation over TLS, and back.
func TestAnchoreEnterprise(t *testing.T) {
	t.Parallel()
	e := newEnterprise(t)
	connect := e.url("?sslmode=verify-full&sslrootcert=" + e.server.CAFile)
	quiet := func(o outcome) {
		t.Helper()
		if strings.Contains(o.stdout+o.stderr, "p@ss") || strings.Contains(o.stderr, "WARN") {
			t.Errorf("a secret, or a warning:\n%s\n%s", o.stdout, o.stderr)
		}
	}
	o := e.kedge(t, "config", "explain", e.source).want(t, exitDone)
	quiet(o)
	for _, want := range []string{"credentials.database", "********@127.0.0.1", "sslmode=verify-full", "driver db", "environment ANCHORE_DB_PASSWORD"} {
		if !strings.Contains(o.stdout, want) {
			t.Errorf("no %q in\n%s", want, o.stdout)
		}
	}
	quiet(e.manager(t, "db", "--db-connect", connect, "pre-upgrade-check").want(t, exitDone))
	quiet(e.manager(t, "objectstorage", "--db-connect", connect, "check", e.destination).want(t, exitDone))
	quiet(e.kedge(t, "check", e.source).want(t, exitDone))
	e.kedge(t, "plan", e.source, e.destination).want(t, exitDone)
	o = e.manager(t, "objectstorage", "--db-connect", connect, "migrate", e.source, e.destination, "--dontask").want(t, exitDone)
	quiet(o)
	if !strings.Contains(o.stderr+o.stdout, "anchore-enterprise-manager ") || strings.Contains(o.stdout, "kedge purge") {
		t.Errorf("what comes next has another program's name:\n%s", o.stdout)
	}
	e.seeded.check(t, localfsPlace(e.root))
	e.kedge(t, "verify", "--db-connect", connect, e.destination).want(t, exitFailed) // the analysis archive's variables are not set
	back := e.manager(t, "--debug", "objectstorage", "--db-connect="+connect, "migrate", e.destination, e.source, "--dontask", "--nodelete").want(t, exitDone)
	if strings.Contains(back.stdout+back.stderr, "p@ss") {
		t.Errorf("a secret is told:\n%s", back.stderr)
	}
	if counts := e.seeded.check(t, dbPlace(e.seeded.url)); counts[0] != e.seeded.workload.Documents {
		t.Errorf("%d documents are back", counts[0])
	}
}

// TLS as libpq has it: what is verified, and what is said when it fails.
func TestTLSToTheDatabase(t *testing.T) {
	t.Parallel()
	e := newEnterprise(t)
	other := testenv.NewPostgres(t, testenv.PostgresOptions{SSL: true})
	for query, want := range map[string]string{
		"?sslmode=require":                                "",
		"?sslmode=prefer":                                 "",
		"?sslmode=disable":                                "no encryption",
		"?sslmode=verify-ca&sslrootcert=MINE":             "",
		"?sslmode=require&sslrootcert=MINE":               "",
		"?sslmode=verify-ca&sslrootcert=OTHER":            "not signed by an authority that is trusted here",
		"?sslmode=require&sslrootcert=OTHER":              "not signed by an authority that is trusted here",
		"?sslmode=verify-full":                            "not signed by an authority that is trusted here",
		"?sslmode=verify-full&sslrootcert=" + t.TempDir(): "is a directory",
		"?sslmode=verify-full&sslrootcert=/no/such/file":  "/no/such/file: no such file",
	} {
		url := e.url(strings.NewReplacer("MINE", e.server.CAFile, "OTHER", other.CAFile).Replace(query))
		o := e.kedge(t, "--db-retries=0", "list-migrations", "--db-connect", url)
		if (o.exit == exitDone) != (want == "") || !strings.Contains(o.stderr, want) || strings.Contains(o.stderr, "p@ss") {
			t.Errorf("%s: exit status %d, %s", query, o.exit, o.stderr)
		}
		if lines := strings.Count(o.stderr, "\n"); want != "" && lines != 1 {
			t.Errorf("%s: %d lines", query, lines)
		}
	}
}

// A password that looks escaped is tried both ways.
func TestAPasswordThatLooksEscaped(t *testing.T) {
	t.Parallel()
	const password = "a%40b"
	server := testenv.NewPostgres(t, testenv.PostgresOptions{Password: password})
	address, _ := server.Golden(t, "db")
	for _, written := range []string{password, url.QueryEscape(password)} {
		raw := strings.Replace(address, url.UserPassword("postgres", password).String(), "postgres:"+written, 1)
		kedge(t, "list-migrations", "--db-connect", raw).want(t, exitDone)
	}
	wrong := strings.Replace(address, url.UserPassword("postgres", password).String(), "postgres:a%41b", 1)
	if o := kedge(t, "list-migrations", "--db-connect", wrong).want(t, exitFailed); !strings.Contains(o.stderr, "refuses user") || strings.Contains(o.stderr, "a%41b") {
		t.Error(o.stderr)
	}
}

// Of two hosts one does not answer: the other one is used, in either order.
func TestTwoHosts(t *testing.T) {
	t.Parallel()
	s := seedDB(t, bench.Workload{Documents: 10, Seed: 92})
	silent, err := net.Listen("tcp", "127.0.0.1:0") // takes connections, and never answers
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	u, err := url.Parse(s.url)
	if err != nil {
		t.Fatal(err)
	}
	for _, dead := range []string{silent.Addr().String(), "127.0.0.1:1"} {
		root := archiveRoot(t)
		for i, hosts := range []string{dead + "," + u.Host, u.Host + "," + dead} {
			url := fmt.Sprintf("postgresql://postgres@%s%s?connect_timeout=1&unheard_of=1", hosts, u.Path)
			from, to := dbPlace(s.url).config(t, "", compression{}), localfsPlace(root).config(t, "", compression{})
			if i == 1 {
				from, to = to, from
			}
			o := kedge(t, "migrate", "--dontask", "--db-connect", url, from, to).want(t, exitDone)
			if strings.Count(o.stderr, "the parameter unheard_of: kedge does not know this parameter") != 1 {
				t.Errorf("not told once:\n%s", o.stderr)
			}
		}
		s.check(t, dbPlace(s.url))
	}
	both := fmt.Sprintf("postgresql://postgres@127.0.0.1:1,127.0.0.1:2%s", u.Path)
	if o := kedge(t, "--db-retries=0", "list-migrations", "--db-connect", both).want(t, exitFailed); !strings.Contains(o.stderr, "127.0.0.1:1, 127.0.0.1:2") {
		t.Error(o.stderr)
	}
}

// Called by Anchore's names, kedge calls itself so, and says what it does not do.
func TestAnchoresNames(t *testing.T) {
	t.Parallel()
	e := &enterprise{}
	for _, test := range []struct {
		args []string
		exit int
		want string
	}{
		{[]string{"--help"}, exitDone, "Usage: anchore-enterprise-manager <command>"},
		{[]string{"objectstorage", "migrate"}, exitFailed, "anchore-enterprise-manager: "},
		{[]string{"service", "start", "catalog"}, exitFailed, "anchore-enterprise-manager: this is kedge, which stands in for anchore-enterprise-manager where the archive is moved (objectstorage); it has no command service"},
		{[]string{"--configdir", "/config", "objectstorage", "list-drivers"}, exitDone, "localfs"},
		{[]string{"--json", "objectstorage", "list-drivers"}, exitDone, `"`},
	} {
		o := e.manager(t, test.args...).want(t, test.exit)
		if !strings.Contains(o.stdout+o.stderr, test.want) {
			t.Errorf("%v: %s%s", test.args, o.stdout, o.stderr)
		}
	}
}

// What is not known is told once in the log, and by explain, check and plan.
func TestUnknownKeysAreTold(t *testing.T) {
	t.Parallel()
	s := seedDB(t, bench.Workload{Documents: 5, Seed: 93})
	from := dbPlace(s.url).config(t, s.url, compression{})
	to := localfsPlace(archiveRoot(t))
	to.options = append(to.options, "sse_customer_key: hunter2")
	destination := to.config(t, s.url, compression{})
	const want = "storage_driver.config.sse_customer_key: unknown key (known keys: archive_data_dir); kedge leaves it out"
	for command, args := range map[string][]string{
		"explain": {"config", "explain", destination}, "check": {"check", destination}, "plan": {"plan", from, destination},
		"migrate": {"migrate", "--dontask", from, destination},
	} {
		o := kedge(t, args...).want(t, exitDone)
		logged, told := strings.Count(o.stderr, want), strings.Contains(strings.Join(strings.Fields(o.stdout), " "), want)
		if (command == "explain") == (logged == 1) || logged > 1 || told != (command != "migrate") || strings.Contains(o.stdout+o.stderr, "hunter2") {
			t.Errorf("%s: logged %d times, told %v\n%s\n%s", command, logged, told, o.stdout, o.stderr)
		}
	}
}

// What is moved to an analysis archive that is switched off would be lost to
// Anchore.
func TestNothingMovesToADisabledAnalysisArchive(t *testing.T) {
	t.Parallel()
	s := seedDB(t, bench.Workload{Documents: 5, Seed: 94})
	destination := configFile(t, "services:\n  catalog:\n    analysis_archive:\n      enabled: false\n      storage_driver: {name: localfs, config: {archive_data_dir: "+archiveRoot(t)+"}}\n")
	o := kedge(t, "migrate", "--dontask", "--to-analysis-archive", dbPlace(s.url).config(t, s.url, compression{}), destination).want(t, exitFailed)
	if !strings.Contains(o.stderr, "config.yaml:4: services.catalog.analysis_archive.enabled: is false") {
		t.Error(o.stderr)
	}
	s.check(t, dbPlace(s.url))
}

// Explain says which settings do not count.
func TestExplainTellsWhatIsIgnored(t *testing.T) {
	t.Parallel()
	path := configFile(t, "services:\n  catalog:\n    object_store:\n      storage_driver:\n        name: s3\n        config:\n          url: http://127.0.0.1:9000\n          region: eu-west-1\n          bucket: b\n          access_key: a\n          secret_key: b\n")
	o := kedge(t, "config", "explain", path).want(t, exitDone)
	if want := path + ":8; ignored beside url"; !strings.Contains(o.stdout, want) {
		t.Errorf("no %q in\n%s", want, o.stdout)
	}
	o = kedge(t, "--db-connect=postgresql://u:hunter2@h/d", "config", "explain", path).want(t, exitDone)
	if !strings.Contains(o.stdout, "command line") || strings.Contains(o.stdout, "hunter2") {
		t.Error(o.stdout)
	}
}

// finished runs a command.
func finished(t *testing.T, cmd *exec.Cmd) outcome {
	t.Helper()
	_ = cmd.Run() // the exit status tells
	if cmd.ProcessState == nil {
		t.Fatalf("%v did not run", cmd.Args)
	}
	return outcome{stdout: fmt.Sprint(cmd.Stdout), stderr: fmt.Sprint(cmd.Stderr), exit: cmd.ProcessState.ExitCode()}
}
