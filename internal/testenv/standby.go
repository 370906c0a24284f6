package testenv

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"testing"
)

// NewStandby starts a hot standby of a server for one test, from a base backup
// that has everything done so far. It ends with the test.
func NewStandby(tb testing.TB, primary *PostgresServer) *PostgresServer {
	tb.Helper()
	s, err := environmentOf(tb).newStandby(primary)
	if err != nil {
		tb.Fatalf("testenv: standby: %v", err)
	}
	s.owned = true
	tb.Cleanup(s.discard)
	return s
}

func (e *environment) newStandby(primary *PostgresServer) (*PostgresServer, error) {
	dir, err := e.serverFolder("standby")
	if err != nil {
		return nil, err
	}
	s := &PostgresServer{SocketFolder: dir, options: primary.options, programs: primary.programs, account: primary.account}
	if err := s.backUp(primary); err != nil {
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

// backUp makes the data folder of a standby.
func (s *PostgresServer) backUp(primary *PostgresServer) error {
	if err := s.own(s.SocketFolder); err != nil {
		return err
	}
	cmd := s.command("pg_basebackup", "-D", s.data(), "-h", primary.SocketFolder, "-p", strconv.Itoa(primary.Port), "-U", "postgres",
		"--write-recovery-conf", "--checkpoint=fast", "--no-sync")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("pg_basebackup: %w\n%s", err, out)
	}
	return s.writeFile("postgresql.conf", s.configuration())
}
