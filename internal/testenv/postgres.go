package testenv

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/kedge/kedge/internal/testenv/tools"
)

// PostgresOptions says how a server of one's own differs from the shared one.
type PostgresOptions struct {
	// OnDisk keeps the data in the temporary folder, and not in memory where there
	// is room for it.
	OnDisk bool
	// Password is asked of TCP clients (SCRAM-SHA-256); "" asks for none.
	Password string
	// SSL makes the server refuse TCP clients without TLS. Its certificate, for
	// 127.0.0.1 and localhost, is signed by itself: see CAFile.
	SSL bool
	// Collation is the ICU locale of every database, "" for en-US: as in most
	// installations, text does not sort by its bytes. "C" sorts by bytes.
	Collation string
	// Settings are more settings as in postgresql.conf.
	Settings map[string]string
}

// PostgresServer is a running PostgreSQL. Its superuser is postgres; clients on
// its Unix socket need no password.
type PostgresServer struct {
	// Port is the TCP port on 127.0.0.1. It stays the same after Start.
	Port int
	// SocketFolder is the folder of the Unix socket, usable as a host name by
	// PostgreSQL's clients.
	SocketFolder string
	// CAFile is the PEM file that the server's certificate is verified with, ""
	// without SSL.
	CAFile string

	options  PostgresOptions
	programs string              // folder of initdb, postgres, psql
	account  *syscall.Credential // whom it runs as, nil for ourselves
	owned    bool                // by one test, which may stop it
	process  *process

	goldenLock sync.Mutex
	goldenMade map[string]bool // databases of golden installations to make copies of, by name
}

var sharedPostgres shared[*PostgresServer]

// Postgres returns the shared server, with its data in memory and no passwords. Give a
// test a Database of its own in it.
func Postgres(tb testing.TB) *PostgresServer {
	tb.Helper()
	return sharedPostgres.get(tb, func(env *environment) (*PostgresServer, error) {
		s, err := env.newPostgres(PostgresOptions{})
		if err == nil {
			env.atEnd(s.discard)
		}
		return s, err
	})
}

// NewPostgres starts a server for one test, which ends with the test.
func NewPostgres(tb testing.TB, options PostgresOptions) *PostgresServer {
	tb.Helper()
	s, err := environmentOf(tb).newPostgres(options)
	if err != nil {
		tb.Fatalf("testenv: %v", err)
	}
	s.owned = true
	tb.Cleanup(s.discard)
	return s
}

// newPostgres makes a data folder and starts a server on it.
func (e *environment) newPostgres(options PostgresOptions) (*PostgresServer, error) {
	programs, err := tools.PostgresFolder()
	if err != nil {
		return nil, err
	}
	account, err := postgresAccount()
	if err != nil {
		return nil, err
	}
	folder := e.serverFolder
	if !options.OnDisk {
		folder = e.memoryFolder
	}
	dir, err := folder("postgres")
	if err != nil {
		return nil, err
	}
	s := &PostgresServer{SocketFolder: dir, options: options, programs: programs, account: account}
	if err := s.prepare(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	err = onFreePort(func(port int) error {
		s.Port = port
		return s.start()
	})
	if err != nil {
		s.discard()
		return nil, err
	}
	return s, nil
}

// postgresAccount returns whom the server runs as: PostgreSQL refuses root.
func postgresAccount() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	account, err := user.Lookup("postgres")
	if err != nil {
		account, err = user.Lookup("nobody")
	}
	if err != nil {
		return nil, fmt.Errorf("PostgreSQL does not run as root, and there is no user postgres or nobody: %w", err)
	}
	uid, err := strconv.ParseUint(account.Uid, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("user %s: %w", account.Username, err)
	}
	gid, err := strconv.ParseUint(account.Gid, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("user %s: %w", account.Username, err)
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
}

// prepare makes the database cluster and its configuration.
func (s *PostgresServer) prepare() error {
	collation := s.options.Collation
	args := []string{"-D", s.data(), "-U", "postgres", "-A", "trust", "-E", "UTF8",
		"--locale=C", "--no-sync", "--no-instructions"}
	if collation != "C" {
		if collation == "" {
			collation = "en-US"
		}
		args = append(args, "--locale-provider=icu", "--icu-locale="+collation)
	}
	if err := s.own(s.SocketFolder); err != nil {
		return err
	}
	cmd := s.command("initdb", args...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, out)
	}
	if s.options.SSL {
		if err := s.makeCertificate(); err != nil {
			return fmt.Errorf("certificate for PostgreSQL: %w", err)
		}
	}
	if err := s.writeFile("pg_hba.conf", s.accessRules()); err != nil {
		return err
	}
	return s.writeFile("postgresql.conf", s.configuration())
}

// own gives a file or folder to the server's user.
func (s *PostgresServer) own(path string) error { return own(path, s.account) }

// own gives a file or folder to a server's user, nil for ourselves.
func own(path string, account *syscall.Credential) error {
	if account == nil {
		return nil
	}
	return os.Chown(path, int(account.Uid), int(account.Gid))
}

// data is the data folder.
func (s *PostgresServer) data() string { return filepath.Join(s.SocketFolder, "data") }

// writeFile writes a file of the data folder.
func (s *PostgresServer) writeFile(name, text string) error {
	path := filepath.Join(s.data(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return err
	}
	return s.own(path)
}

// accessRules is the content of pg_hba.conf.
func (s *PostgresServer) accessRules() string {
	kind, method := "host", "trust"
	if s.options.SSL {
		kind = "hostssl"
	}
	if s.options.Password != "" {
		method = "scram-sha-256"
	}
	return fmt.Sprintf("local all all trust\nlocal replication all trust\n%s all all 127.0.0.1/32 %s\n", kind, method)
}

// configuration is the content of postgresql.conf.
func (s *PostgresServer) configuration() string {
	settings := map[string]string{
		"listen_addresses":        "127.0.0.1",
		"unix_socket_directories": s.SocketFolder,
		"max_connections":         "200",
		"timezone":                "UTC",
		"log_timezone":            "UTC",
		// In the data folder, so that nothing is left behind by a server that was
		// killed.
		"dynamic_shared_memory_type": "mmap",
		// kedge trusts no server without fsync, which in memory costs nothing; but
		// room does.
		"max_wal_size": "256MB",
	}
	if s.options.SSL {
		settings["ssl"] = "on"
	}
	for name, value := range s.options.Settings {
		settings[name] = value
	}
	lines := make([]string, 0, len(settings))
	for name, value := range settings {
		lines = append(lines, fmt.Sprintf("%s = '%s'\n", name, strings.ReplaceAll(value, "'", "''")))
	}
	sort.Strings(lines)
	return strings.Join(lines, "")
}

// command is one of PostgreSQL's programs, run as the server's user and free of
// the caller's PostgreSQL settings.
func (s *PostgresServer) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(s.programs, name), args...)
	cmd.Dir = s.SocketFolder
	cmd.Env = []string{"LC_ALL=C", "PATH=" + os.Getenv("PATH"), "HOME=" + s.SocketFolder}
	if s.account != nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.account}
	}
	return cmd
}

// start starts the server on its port and waits until it answers.
func (s *PostgresServer) start() error {
	cmd := s.command("postgres", "-D", s.data(), "-p", strconv.Itoa(s.Port))
	p, err := startProcess("PostgreSQL", cmd, filepath.Join(s.SocketFolder, "server.log"))
	if err != nil {
		return err
	}
	s.process = p
	err = awaitReady(p, func(ctx context.Context) error {
		db, err := s.connect(ctx)
		if err != nil {
			return err
		}
		return db.Close(ctx)
	})
	if err != nil {
		p.stop(syscall.SIGQUIT)
		return err
	}
	if s.options.Password == "" {
		return nil
	}
	return s.execute("ALTER ROLE postgres PASSWORD '" + strings.ReplaceAll(s.options.Password, "'", "''") + "'")
}

// connect opens a connection to the maintenance database through the Unix
// socket, which is in our own folder: whoever answers is our server.
func (s *PostgresServer) connect(ctx context.Context) (*pgx.Conn, error) {
	return pgx.Connect(ctx, fmt.Sprintf("host=%s port=%d user=postgres dbname=postgres sslmode=disable", s.SocketFolder, s.Port))
}

// execute runs one statement in the maintenance database.
func (s *PostgresServer) execute(sql string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	db, err := s.connect(ctx)
	if err != nil {
		return err
	}
	_, err = db.Exec(ctx, sql)
	return errors.Join(err, db.Close(ctx))
}

// discard ends the server at once and removes its files.
func (s *PostgresServer) discard() {
	if s.process != nil {
		s.process.stop(syscall.SIGQUIT) // "immediate shutdown"
	}
	_ = os.RemoveAll(s.SocketFolder)
}

// Stop shuts a test's own server down in order; clients are disconnected.
func (s *PostgresServer) Stop(tb testing.TB) {
	tb.Helper()
	s.end(tb, syscall.SIGINT)
}

// Kill ends a test's own server as a crash would, without writing anything more.
func (s *PostgresServer) Kill(tb testing.TB) {
	tb.Helper()
	s.end(tb, syscall.SIGKILL)
}

// Start starts a test's own server again after Stop or Kill, with the same data
// on the same port.
func (s *PostgresServer) Start(tb testing.TB) {
	tb.Helper()
	if !s.process.exited() {
		tb.Fatal("testenv: PostgreSQL runs already")
	}
	// The killed server's own children notice by themselves that it is gone;
	// until then its memory is in use.
	for deadline := time.Now().Add(startTimeout); ; {
		err := s.start()
		if err == nil {
			return
		}
		if !strings.Contains(err.Error(), "pre-existing shared memory") || time.Now().After(deadline) {
			tb.Fatalf("testenv: %v", err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// Restart is Stop and Start.
func (s *PostgresServer) Restart(tb testing.TB) {
	tb.Helper()
	s.Stop(tb)
	s.Start(tb)
}

// end ends a test's own server.
func (s *PostgresServer) end(tb testing.TB, sig syscall.Signal) {
	tb.Helper()
	if !s.owned {
		tb.Fatal("testenv: the shared PostgreSQL must not be stopped: use NewPostgres")
	}
	s.process.stop(sig)
}
