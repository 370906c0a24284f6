package testenv

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/kedge/kedge/internal/testenv/tools"
)

// PgBouncerServer is a running PgBouncer before a PostgreSQL server.
type PgBouncerServer struct {
	// Port is the TCP port on 127.0.0.1.
	Port int

	postgres *PostgresServer
	folder   string
	program  string
	account  *syscall.Credential // whom it runs as, nil for ourselves
	process  *process
}

// NewPgBouncer starts a PgBouncer for one test before a PostgreSQL server
// without TLS and passwords. Settings are those of the section [pgbouncer], such
// as pool_mode; the user postgres may connect. It ends with the test.
func NewPgBouncer(tb testing.TB, postgres *PostgresServer, settings map[string]string) *PgBouncerServer {
	tb.Helper()
	b, err := environmentOf(tb).newPgBouncer(postgres, settings)
	if err != nil {
		tb.Fatalf("testenv: %v", err)
	}
	tb.Cleanup(b.discard)
	return b
}

func (e *environment) newPgBouncer(postgres *PostgresServer, settings map[string]string) (*PgBouncerServer, error) {
	program, err := tools.PgBouncer()
	if err != nil {
		return nil, err
	}
	account, err := postgresAccount() // PgBouncer refuses root as well
	if err != nil {
		return nil, err
	}
	dir, err := e.serverFolder("pgbouncer")
	if err != nil {
		return nil, err
	}
	b := &PgBouncerServer{postgres: postgres, folder: dir, program: program, account: account}
	err = own(dir, account)
	if err == nil {
		err = b.write("users.txt", "\"postgres\" \"\"\n")
	}
	if err == nil {
		err = onFreePort(func(port int) error {
			b.Port = port
			return b.start(settings)
		})
	}
	if err != nil {
		b.discard()
		return nil, err
	}
	return b, nil
}

// write writes a file of the server's folder.
func (b *PgBouncerServer) write(name, text string) error {
	path := filepath.Join(b.folder, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return err
	}
	return own(path, b.account)
}

// start starts the server on its port and waits until it answers.
func (b *PgBouncerServer) start(settings map[string]string) error {
	if err := b.write("pgbouncer.ini", b.configuration(settings)); err != nil {
		return err
	}
	cmd := exec.Command(b.program, filepath.Join(b.folder, "pgbouncer.ini"))
	cmd.Dir = b.folder
	cmd.Env = []string{"LC_ALL=C", "PATH=" + os.Getenv("PATH"), "HOME=" + b.folder}
	if b.account != nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: b.account}
	}
	p, err := startProcess("PgBouncer", cmd, filepath.Join(b.folder, "server.log"))
	if err != nil {
		return err
	}
	b.process = p
	err = awaitReady(p, func(ctx context.Context) error {
		return b.console(ctx, "SHOW VERSION")
	})
	if err != nil {
		p.stop(syscall.SIGTERM)
	}
	return err
}

// configuration is the content of pgbouncer.ini.
func (b *PgBouncerServer) configuration(settings map[string]string) string {
	all := map[string]string{
		"listen_addr":     "127.0.0.1",
		"listen_port":     fmt.Sprint(b.Port),
		"unix_socket_dir": b.folder,
		"auth_type":       "trust",
		"auth_file":       filepath.Join(b.folder, "users.txt"),
		"admin_users":     "postgres",
		"max_client_conn": "200",
	}
	for name, value := range settings {
		all[name] = value
	}
	var lines []string
	for name, value := range all {
		lines = append(lines, name+" = "+value+"\n")
	}
	sort.Strings(lines)
	return fmt.Sprintf("[databases]\n* = host=%s port=%d\n[pgbouncer]\n%s", b.postgres.SocketFolder, b.postgres.Port, strings.Join(lines, ""))
}

// Through is a database's URL by way of this PgBouncer.
func (b *PgBouncerServer) Through(tb testing.TB, databaseURL string) string {
	tb.Helper()
	u, err := url.Parse(databaseURL)
	if err != nil {
		tb.Fatal(err)
	}
	u.Host = fmt.Sprintf("127.0.0.1:%d", b.Port)
	return u.String()
}

// Set changes settings of the running server: its console's SET, as in
// "pool_mode=transaction". Pools that are there go by it at once.
func (b *PgBouncerServer) Set(tb testing.TB, setting string) {
	tb.Helper()
	if err := b.console(tb.Context(), "SET "+setting); err != nil {
		tb.Fatalf("testenv: PgBouncer: SET %s: %v\n%s", setting, err, b.process.tail())
	}
}

// console runs a command of the administration's console.
func (b *PgBouncerServer) console(ctx context.Context, command string) error {
	db, err := pgx.Connect(ctx, fmt.Sprintf("host=%s port=%d user=postgres dbname=pgbouncer sslmode=disable default_query_exec_mode=simple_protocol", b.folder, b.Port))
	if err != nil {
		return err
	}
	_, err = db.PgConn().Exec(ctx, command).ReadAll()
	return errors.Join(err, db.Close(ctx))
}

// discard ends the server at once and removes its files.
func (b *PgBouncerServer) discard() {
	if b.process != nil {
		b.process.stop(syscall.SIGTERM) // "immediate shutdown"
	}
	_ = os.RemoveAll(b.folder)
}
