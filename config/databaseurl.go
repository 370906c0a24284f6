package config

import (
	"fmt"
	"math"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// ParseDatabaseURL reads a database URL in SQLAlchemy's spelling:
//
//	postgresql://user:password@host:port/name?sslmode=require
//	postgresql+pg8000://… and any other driver name, postgres://…
//	sqlite:///relative/path, sqlite:////absolute/path
//
// As SQLAlchemy 1.3 (Anchore's) has it, user and password end at the last "@",
// so that a password may hold "@" and "/"; "%XX" in them is unescaped, and a
// "%" that begins no such escape stands for itself. The database's name is
// taken as it stands. The password is in no error, nor is any other part of
// the URL that might be one in disguise.
func ParseDatabaseURL(raw string) (*Database, error) {
	d := &Database{}
	if msg := d.parse(raw); msg != "" {
		return nil, &Error{Msg: "database URL: " + msg}
	}
	return d, nil
}

const urlForms = "known are postgresql://user:password@host:port/name, sqlite:///relative/path and sqlite:////absolute/path"

// schemeForm is what a scheme looks like; anything else is not repeated.
var schemeForm = regexp.MustCompile(`^[a-z][a-z0-9+_]{0,31}$`)

// parse fills d from a URL; it gives what is wrong with it, "" for nothing.
func (d *Database) parse(raw string) string {
	if strings.ContainsFunc(raw, unicode.IsControl) {
		return "holds a control character (perhaps the line break at the end of a variable)"
	}
	scheme, rest, found := strings.Cut(raw, "://")
	if !found {
		return "is not of the form kind://…; " + urlForms
	}
	kind, _, _ := strings.Cut(scheme, "+")
	switch {
	case !schemeForm.MatchString(scheme):
		return "does not begin with a kind of database; " + urlForms
	case kind == "postgresql" || kind == "postgres":
		return d.parsePostgres(rest)
	case scheme == "sqlite" || scheme == "sqlite+pysqlite" || scheme == "sqlite+aiosqlite":
		return d.parseSQLite(rest)
	}
	return fmt.Sprintf("%s:// is not supported; %s", scheme, urlForms)
}

func (d *Database) parseSQLite(rest string) string {
	path, query, _ := strings.Cut(rest, "?")
	file, ok := strings.CutPrefix(path, "/")
	switch {
	case !ok && path != "":
		return "an SQLite URL has three slashes before a relative path and four before an absolute one"
	case file == "" || file == ":memory:":
		return "an SQLite database in memory holds no catalog; give its file"
	case strings.HasPrefix(file, "file:"):
		return "SQLite's own file: URLs are not supported; give the path"
	case query != "":
		return "an SQLite URL takes no parameters"
	}
	d.Kind, d.Path = SQLite, file
	return ""
}

func (d *Database) parsePostgres(rest string) string {
	d.Kind = Postgres
	user, password, rest := splitUserinfo(rest)
	d.user, d.password = unquote(user), unquote(password)
	switch {
	case strings.Contains(d.user, "\x00"), strings.Contains(d.password, "\x00"):
		return "user and password cannot hold %00"
	case strings.Contains(rest, "@"):
		// Behind a "/" in the user's name the password would be taken for a
		// part of the database's name, and be shown.
		return `holds an "@" that does not end user and password; write it as %40, and a "/" or ":" in the user's name as %2F or %3A`
	}

	end := strings.IndexAny(rest, "/?")
	if end < 0 {
		end = len(rest)
	}
	if msg := d.parseAddress(rest[:end]); msg != "" {
		return msg
	}
	name, query, _ := strings.Cut(rest[end:], "?")
	d.name = strings.TrimPrefix(name, "/")
	return d.parseQuery(query)
}

// splitUserinfo takes user and password off the front of what follows "://". It
// finds the same as SQLAlchemy's pattern
// ([^:/]*)(?::(.*))?@ with its greedy groups.
func splitUserinfo(s string) (user, password, rest string) {
	stop := strings.IndexAny(s, ":/")
	if stop < 0 {
		stop = len(s)
	}
	if at := strings.LastIndexByte(s, '@'); stop < len(s) && s[stop] == ':' && at > stop {
		return s[:stop], s[stop+1 : at], s[at+1:]
	}
	if at := strings.LastIndexByte(s[:stop], '@'); at >= 0 {
		return s[:at], "", s[at+1:]
	}
	return "", "", s
}

// parseAddress reads host:port, either of which may be missing.
func (d *Database) parseAddress(address string) string {
	host, port := address, ""
	if inner, ok := strings.CutPrefix(address, "["); ok {
		literal, after, closed := strings.Cut(inner, "]")
		ip, err := netip.ParseAddr(literal)
		if !closed || err != nil || !ip.Is6() || after != "" && after[0] != ':' {
			return "the address in brackets is not an IPv6 address"
		}
		host, port = literal, strings.TrimPrefix(after, ":")
	} else {
		host, port, _ = strings.Cut(address, ":")
		if strings.ContainsAny(host, ` ,%\[]@#`) {
			return "the host's name holds characters that no host's name has (several hosts are not supported; a socket's directory is given as ?host=/directory)"
		}
	}
	d.host = host
	return d.setPort(port)
}

func (d *Database) setPort(port string) string {
	if port == "" {
		return ""
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 {
		return "the port is not a number from 1 to 65535 (a password that holds \":\" or \"/\" needs an \"@\" behind it)"
	}
	d.port = strconv.FormatUint(n, 10)
	return ""
}

// parseQuery reads the parameters behind "?".
func (d *Database) parseQuery(query string) string {
	seen := map[string]bool{}
	for _, pair := range strings.Split(query, "&") {
		if pair == "" {
			continue
		}
		key, value, _ := strings.Cut(pair, "=")
		key, value = unquotePlus(key), unquotePlus(value)
		if seen[key] {
			return fmt.Sprintf("the parameter %s is given twice", shown(key))
		}
		seen[key] = true
		if strings.ContainsFunc(value, unicode.IsControl) { // escaped, so not seen before
			return fmt.Sprintf("the parameter %s holds a control character", shown(key))
		}
		if msg := d.setParameter(key, value); msg != "" {
			return fmt.Sprintf("the parameter %s: %s", shown(key), msg)
		}
	}
	return ""
}

var (
	parameters = []string{"application_name", "connect_timeout", "host", "options", "port", "ssl", "sslcert", "sslkey",
		"sslmode", "sslrootcert", "target_session_attrs", "timeout"}
	sslModes = []string{"disable", "allow", "prefer", "require", "verify-ca", "verify-full"}
)

// setParameter takes over one of the URL's parameters or of db_connect_args; it
// gives what is wrong with it, "" for nothing.
func (d *Database) setParameter(key, value string) string {
	switch key {
	case "ssl":
		return d.setSSL(value)
	case "sslmode":
		if !slices.Contains(sslModes, value) {
			return "wants one of " + strings.Join(sslModes, ", ")
		}
		d.SSLMode = value
	case "sslrootcert":
		d.SSLRootCert = value
	case "sslcert":
		d.SSLCert = value
	case "sslkey":
		d.SSLKey = value
	case "timeout":
		return setSeconds(&d.Timeout, value)
	case "connect_timeout":
		return setSeconds(&d.ConnectTimeout, value)
	case "host":
		if d.host != "" {
			return "the URL has a host already"
		}
		if !strings.HasPrefix(value, "/") {
			return d.parseAddress(value)
		}
		d.host = value
	case "port":
		return d.setPort(value)
	case "application_name", "options", "target_session_attrs":
		if d.parameters == nil {
			d.parameters = map[string]string{}
		}
		d.parameters[key] = value
	default:
		return unknownKey(key, parameters)
	}
	return ""
}

// setSSL reads ssl, which is a boolean to pg8000 and an sslmode to asyncpg.
func (d *Database) setSSL(value string) string {
	if slices.Contains(sslModes, value) {
		d.SSLMode = value
		return ""
	}
	b, ok := scalar{text: value}.boolean()
	if !ok {
		return "wants true or false"
	}
	d.SSL = b
	return ""
}

// maxSeconds keeps a time-out within what every place that takes one can hold.
const maxSeconds = math.MaxInt32

func setSeconds(d *time.Duration, value string) string {
	s, err := strconv.ParseFloat(value, 64)
	if err != nil || math.IsNaN(s) || s < 0 || s > maxSeconds {
		return "wants a number of seconds"
	}
	*d = time.Duration(s * float64(time.Second))
	return ""
}

// unquote replaces %XX. Like Python's, it leaves alone what is no such escape.
func unquote(s string) string {
	if !strings.Contains(s, "%") {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if c, err := strconv.ParseUint(s[i+1:i+3], 16, 8); err == nil {
				b.WriteByte(byte(c))
				i += 2
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// unquotePlus is unquote for a query, where "+" is a space.
func unquotePlus(s string) string {
	return unquote(strings.ReplaceAll(s, "+", " "))
}

// escape percent-escapes every byte that is not unreserved in RFC 3986.
func escape(s string) string {
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', strings.IndexByte("-._~", c) >= 0:
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}
