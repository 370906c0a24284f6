package db

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/kedge/kedge/drivers"
)

// failure is an error of a known kind, before it is known what was being done.
type failure struct {
	kind drivers.Kind
	err  error
}

func (f failure) Error() string { return f.err.Error() }
func (f failure) Unwrap() error { return f.err }

var (
	errMissing = failure{drivers.NotFound, errors.New("there is no such payload")}
	errNull    = failure{drivers.Corrupt, errors.New("its row holds no data")}
	// errUnstored: a rule or a trigger of the table's dropped a row.
	errUnstored = failure{drivers.Other, errors.New("the database has not stored the row")}
)

// message gives an error a text of its own, with the error still in the chain.
type message struct {
	text string
	err  error
}

func (m message) Error() string { return m.text }
func (m message) Unwrap() error { return m.err }

// fail makes a *drivers.Error of what a backend or a payload's source returned.
// The text is one line. A connection attempt, which holds the password, is taken
// out of the chain.
func fail(ctx context.Context, op, uri string, err error) error {
	if c := (*pgconn.ConnectError)(nil); errors.As(err, &c) && c.Unwrap() != nil {
		err = c.Unwrap()
	}
	e := &drivers.Error{Op: op, URI: uri, Kind: drivers.Other}
	cause := ctx.Err()
	var known failure
	switch {
	case cause != nil:
		e.Err = message{cause.Error(), errors.Join(cause, err)}
		if !errors.Is(cause, context.Canceled) {
			e.Kind = drivers.Temporary
		}
		return e
	case errors.As(err, new(sourceError)): // whatever its cause, of its own kind
		e.Kind = drivers.KindOf(err)
	case errors.As(err, &known):
		e.Kind = known.kind
	default:
		e.Kind, e.Mend = classify(err)
	}
	e.Err = err
	if text := err.Error(); strings.ContainsAny(text, "\r\n") {
		e.Err = message{strings.Join(strings.FieldsFunc(text, func(r rune) bool { return r == '\n' || r == '\r' }), " "), err}
	}
	return e
}

// classify tells the kind of a database's or a network's error, and what an
// operator can do about it.
func classify(err error) (drivers.Kind, string) {
	if e := (*pgconn.PgError)(nil); errors.As(err, &e) {
		return classifyPostgres(e)
	}
	if e := (*sqlite.Error)(nil); errors.As(err, &e) {
		return classifySQLite(e)
	}
	switch {
	case errors.As(err, new(net.Error)), pgconn.Timeout(err), errors.Is(err, pgconn.ErrConnClosed),
		errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, context.DeadlineExceeded),
		pgconn.SafeToRetry(err):
		return drivers.Temporary, ""
	}
	return drivers.Other, ""
}

// classifyPostgres goes by the SQLSTATE: appendix A of PostgreSQL's manual.
func classifyPostgres(e *pgconn.PgError) (drivers.Kind, string) {
	switch e.Code {
	case "42501":
		return drivers.Denied, "the database user lacks a permission"
	case "53100":
		return drivers.Full, "the database server's disk is full"
	case "42P01", "42703", "3F000":
		return drivers.Config, "is the database Anchore's?"
	case "3D000":
		return drivers.Config, ""
	case "25006":
		return drivers.Config, "the database is read-only: is it a standby?"
	case "22001":
		return drivers.TooLarge, ""
	case "54000":
		if strings.HasPrefix(e.Message, "index row") {
			return drivers.InvalidKey, "the key is too long for the table's index"
		}
		return drivers.TooLarge, "PostgreSQL holds less than 1 GB in one value"
	case "XX000":
		if strings.Contains(e.Message, "invalid memory alloc request size") {
			return drivers.TooLarge, "PostgreSQL holds less than 1 GB in one value"
		}
		return drivers.Other, ""
	case "XX001", "XX002", "22P02", "22023", "22P03":
		return drivers.Corrupt, ""
	case "22021", "22P05":
		return drivers.InvalidKey, "the database's encoding is not UTF-8"
	case "40001", "40P01", "55P03", "55006", "57014", "58030":
		return drivers.Temporary, ""
	}
	switch e.Code[:min(2, len(e.Code))] {
	case "08", "53", "57":
		return drivers.Temporary, ""
	case "28":
		return drivers.Denied, ""
	case "54":
		return drivers.TooLarge, ""
	}
	return drivers.Other, ""
}

// classifySQLite goes by the primary result code.
func classifySQLite(e *sqlite.Error) (drivers.Kind, string) {
	switch e.Code() & 0xff {
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_INTERRUPT:
		return drivers.Temporary, ""
	case sqlite3.SQLITE_FULL:
		return drivers.Full, "the disk is full"
	case sqlite3.SQLITE_TOOBIG:
		return drivers.TooLarge, "SQLite holds less than 1 GB in one value"
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		return drivers.Corrupt, "the database file is damaged"
	case sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH, sqlite3.SQLITE_READONLY:
		return drivers.Denied, ""
	case sqlite3.SQLITE_CANTOPEN:
		return drivers.Config, ""
	}
	if strings.Contains(e.Error(), "no such table") {
		return drivers.Config, "is the database Anchore's?"
	}
	return drivers.Other, ""
}
