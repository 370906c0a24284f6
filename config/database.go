package config

import (
	"fmt"
	"log/slog"
	"maps"
	"math"
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

	user, password string
	// rawUser and rawPassword are what stood in the URL, with its escapes.
	rawUser, rawPassword string
	hosts                []hostPort
	name                 string
	parameters           map[string]string // further ones, passed on as they are
	warnings             []parameterWarning
	// args is db_connect_args, nil where a URL says all.
	args *section
}

// haConnectTimeout is how long connecting to each of several hosts may take where
// nothing else is said: one that does not answer must not keep us from the next.
const haConnectTimeout = 10 * time.Second

// URL is PostgreSQL's connection string in the spelling of libpq and pgx, with
// everything percent-escaped that needs it. It holds the password. It has no
// Timeout. For SQLite it is "".
func (d Database) URL() string {
	if d.Kind != Postgres {
		return ""
	}
	hosts := ""
	if len(d.hosts) == 1 && d.inPlace() {
		h := d.hosts[0]
		if !strings.Contains(h.host, ":") { // in brackets, an address is not escaped
			h.host = escape(h.host)
		}
		hosts = h.String()
	}
	return "postgres://" + userinfoOf(escape(d.user), escape(d.password)) + hosts + "/" + escape(d.name) + queryOf(d.query(), escape)
}

// userinfoOf is what stands before the host in a URL.
func userinfoOf(user, password string) string {
	switch {
	case password != "":
		return user + ":" + password + "@"
	case user != "":
		return user + "@"
	}
	return ""
}

// Redacted is the database's URL in SQLAlchemy's spelling with the password
// masked.
func (d Database) Redacted() string {
	switch d.Kind {
	case SQLite:
		return oneLine("sqlite:///" + d.Path)
	case Postgres:
	default:
		return "no database"
	}
	var hosts []string
	q := d.query()
	if d.inPlace() || !slices.ContainsFunc(d.hosts, func(h hostPort) bool { return h.host == "" || h.isDirectory() }) {
		for _, h := range d.hosts {
			hosts = append(hosts, h.String())
		}
		delete(q, "host")
		delete(q, "port")
	}
	if d.password != "" {
		d.password = mask // d is a copy
	}
	if q["sslpassword"] != "" {
		q["sslpassword"] = mask
	}
	return oneLine("postgresql://" + userinfoOf(d.user, d.password) + strings.Join(hosts, ",") + "/" + d.name +
		queryOf(q, func(s string) string { return s }))
}

// AsWritten is the database with user and password as they stand in the URL,
// without unescaping, and whether that makes a difference: a password that was put
// into a URL as it is may only look as if it were escaped.
func (d Database) AsWritten() (raw Database, differs bool) {
	differs = d.rawUser != d.user || d.rawPassword != d.password
	d.user, d.password = d.rawUser, d.rawPassword
	return d, differs
}

// query gives the connection string's parameters.
func (d Database) query() map[string]string {
	q := map[string]string{"sslmode": d.sslMode()}
	maps.Copy(q, d.parameters)
	set := func(key, value string) {
		if value != "" {
			q[key] = value
		}
	}
	if d.sslMode() != "disable" { // else libpq opens none of them, and pgx would
		set("sslrootcert", d.SSLRootCert)
		set("sslcert", d.SSLCert)
		set("sslkey", d.SSLKey)
	}
	d.hostQuery(q)
	timeout := d.ConnectTimeout
	if len(d.hosts) > 1 {
		if timeout == 0 {
			timeout = haConnectTimeout
		}
		if q["target_session_attrs"] == "" {
			// What is read from a standby may be older than what was written.
			q["target_session_attrs"] = "primary"
		}
	}
	if timeout > 0 {
		q["connect_timeout"] = strconv.FormatInt(int64(math.Ceil(timeout.Seconds())), 10)
	}
	return q
}

// queryOf is a URL's parameters, sorted by name.
func queryOf(q map[string]string, escape func(string) string) string {
	var list []string
	for _, key := range slices.Sorted(maps.Keys(q)) {
		list = append(list, key+"="+escape(q[key]))
	}
	return "?" + strings.Join(list, "&")
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
