package config

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"
)

// DatabaseKind is a kind of database that can hold an Anchore catalog.
type DatabaseKind int

// The kinds of database.
const (
	Postgres DatabaseKind = iota + 1
	SQLite
)

// String names the kind.
func (k DatabaseKind) String() string {
	switch k {
	case Postgres:
		return "PostgreSQL"
	case SQLite:
		return "SQLite"
	}
	return fmt.Sprintf("DatabaseKind(%d)", int(k))
}

// Database says how to reach the database that holds the catalog. The exported
// fields may be changed, as the command line's flags do. However it is printed,
// the password is masked.
type Database struct {
	Kind DatabaseKind

	// Path is SQLite's file; relative to the working directory unless it begins
	// with a slash.
	Path string

	// The rest is about PostgreSQL only.

	// SSL demands an encrypted connection. Without it the connection is
	// encrypted where the server can, unless SSLMode says otherwise.
	SSL bool
	// SSLMode is one of PostgreSQL's sslmodes, or "" for what follows from SSL.
	// SSL raises a mode that would put up with an unencrypted connection.
	SSLMode string
	// SSLRootCert, SSLCert and SSLKey are paths of PEM files, as for sslmode.
	SSLRootCert, SSLCert, SSLKey string
	// Timeout is how long one statement may wait for the server (pg8000's
	// socket time-out), ConnectTimeout how long connecting may take; 0 is
	// without limit.
	Timeout, ConnectTimeout time.Duration

	user, password, host, port, name string
	parameters                       map[string]string // further ones, passed on as they are
}

// defaultPort is PostgreSQL's.
const defaultPort = "5432"

// URL is PostgreSQL's connection string in the spelling of libpq and pgx, with
// everything percent-escaped that needs it. It holds the password. It has no
// Timeout. For SQLite it is "".
func (d Database) URL() string {
	if d.Kind != Postgres {
		return ""
	}
	var b strings.Builder
	b.WriteString("postgres://")
	if d.user != "" || d.password != "" {
		b.WriteString(escape(d.user))
		if d.password != "" {
			b.WriteString(":" + escape(d.password))
		}
		b.WriteString("@")
	}
	d.writePlace(&b, escape)
	d.writeQuery(&b, escape)
	return b.String()
}

// Redacted is the database's URL in SQLAlchemy's spelling with the password
// masked.
func (d Database) Redacted() string {
	asIs := func(s string) string { return s }
	var b strings.Builder
	switch d.Kind {
	case SQLite:
		return oneLine("sqlite:///" + d.Path)
	case Postgres:
		b.WriteString("postgresql://")
	default:
		return "no database"
	}
	if d.user != "" || d.password != "" {
		b.WriteString(d.user)
		if d.password != "" {
			b.WriteString(":" + mask)
		}
		b.WriteString("@")
	}
	d.writePlace(&b, asIs)
	d.writeQuery(&b, asIs)
	return oneLine(b.String())
}

// writePlace writes host, port and database. A host that is a directory (a
// Unix socket's) can stand in the query only.
func (d Database) writePlace(b *strings.Builder, escape func(string) string) {
	switch {
	case strings.HasPrefix(d.host, "/"):
	case strings.Contains(d.host, ":"):
		b.WriteString(net.JoinHostPort(d.host, cmp.Or(d.port, defaultPort)))
	case d.host != "":
		b.WriteString(net.JoinHostPort(escape(d.host), cmp.Or(d.port, defaultPort)))
	}
	b.WriteString("/" + escape(d.name))
}

// query gives the connection string's parameters.
func (d Database) query() map[string]string {
	q := map[string]string{"sslmode": d.sslMode()}
	for key, value := range d.parameters {
		q[key] = value
	}
	set := func(key, value string) {
		if value != "" {
			q[key] = value
		}
	}
	set("sslrootcert", d.SSLRootCert)
	set("sslcert", d.SSLCert)
	set("sslkey", d.SSLKey)
	switch {
	case strings.HasPrefix(d.host, "/"):
		q["host"], q["port"] = d.host, cmp.Or(d.port, defaultPort)
	case d.host == "":
		set("port", d.port)
	}
	if d.ConnectTimeout > 0 {
		q["connect_timeout"] = strconv.FormatInt(int64(math.Ceil(d.ConnectTimeout.Seconds())), 10)
	}
	return q
}

func (d Database) writeQuery(b *strings.Builder, escape func(string) string) {
	q := d.query()
	keys := slices.Sorted(maps.Keys(q))
	separator := "?"
	for _, key := range keys {
		b.WriteString(separator + key + "=" + escape(q[key]))
		separator = "&"
	}
}

// sslMode is the sslmode to connect with. It is never left out: the environment
// (PGSSLMODE) would fill it in.
func (d Database) sslMode() string {
	switch d.SSLMode {
	case "", "disable", "allow", "prefer":
		switch {
		case d.SSL:
			return "require"
		case d.SSLMode == "":
			return "prefer"
		}
	}
	return d.SSLMode
}

// String is Redacted, for fmt's %v and %s.
func (d Database) String() string { return d.Redacted() }

// GoString is Redacted, for fmt's %#v.
func (d Database) GoString() string { return d.Redacted() }

// LogValue is Redacted, for slog.
func (d Database) LogValue() slog.Value { return slog.StringValue(d.Redacted()) }

// MarshalText is Redacted, for JSON and other encodings.
func (d Database) MarshalText() ([]byte, error) { return []byte(d.Redacted()), nil }

// Database gives the database of credentials.database: db_connect, a URL in
// SQLAlchemy's spelling, and db_connect_args. The error is ErrNoDatabase (by
// errors.Is) where db_connect is not given.
func (f *File) Database() (*Database, error) {
	none := func(line int) error {
		return &Error{File: f.Path, Line: line, Msg: "has no credentials.database.db_connect", Err: ErrNoDatabase}
	}
	s, err := f.top()
	if err != nil {
		return nil, err
	}
	for _, name := range []string{"credentials", "database"} {
		inner, err := s.child(name)
		if err != nil {
			return nil, err
		}
		if inner == nil {
			return nil, none(0)
		}
		s = inner
	}
	raw, err := s.text("db_connect")
	if err != nil {
		return nil, err
	}
	if raw == "" {
		return nil, none(s.lineOf("db_connect"))
	}
	d, err := ParseDatabaseURL(raw)
	if err != nil {
		var e *Error
		if errors.As(err, &e) {
			return nil, s.errorf("db_connect", "%s", e.Msg)
		}
		return nil, s.errorf("db_connect", "is no database URL")
	}
	args, err := s.child("db_connect_args")
	if err != nil {
		return nil, err
	}
	if args != nil {
		if err := d.applyArgs(args); err != nil {
			return nil, err
		}
	}
	return d, nil
}

// applyArgs takes over db_connect_args, which win over the URL's parameters as
// they do with SQLAlchemy.
func (d *Database) applyArgs(s *section) error {
	var args struct {
		Timeout        *string `config:"timeout"`
		ConnectTimeout *string `config:"connect_timeout"`
		SSL            *bool   `config:"ssl"`
		SSLMode        *string `config:"sslmode"`
		SSLRootCert    *string `config:"sslrootcert"`
		SSLCert        *string `config:"sslcert"`
		SSLKey         *string `config:"sslkey"`
		KeepAlive      *bool   `config:"tcp_keepalive"` // always so here
	}
	if err := (Options{s}).Decode(&args); err != nil {
		return err
	}
	for _, a := range []struct {
		key   string
		value *string
	}{
		{"timeout", args.Timeout}, {"connect_timeout", args.ConnectTimeout}, {"sslmode", args.SSLMode},
		{"sslrootcert", args.SSLRootCert}, {"sslcert", args.SSLCert}, {"sslkey", args.SSLKey},
	} {
		if a.value == nil {
			continue
		}
		if msg := d.setParameter(a.key, *a.value); msg != "" {
			return s.errorf(a.key, "%s", msg)
		}
	}
	if args.SSL != nil {
		d.SSL = *args.SSL
	}
	return nil
}
