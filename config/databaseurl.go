package config

import (
	"encoding/hex"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode"
)

// ParseDatabaseURL reads a database URL in SQLAlchemy's spelling or libpq's:
//
//	postgresql://user:password@host:port/name?sslmode=require
//	postgresql://user:password@host1:5432,host2:5433/name?target_session_attrs=read-write
//	postgresql+pg8000://… and any other driver name, postgres://…
//	sqlite:///relative/path, sqlite:////absolute/path
//
// User and password may stand as they are, whatever characters they hold. They
// end at the last "@" behind which there is hosts/name, with parameters or
// without; an "@" in the value of a known parameter does not count, and where no
// "@" has a name behind it, the last one counts that has a host. The first ":"
// ends the user. As with SQLAlchemy and libpq "%XX" in user and password is
// unescaped, and a "%" that begins no such escape stands for itself; see
// Database.AsWritten for a password that only looks escaped. The database's name
// is taken as it stands. The password is in no error, nor is any other part of
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
	if at := userinfoEnd(rest); at >= 0 {
		d.rawUser, d.rawPassword, _ = strings.Cut(rest[:at], ":")
		rest = rest[at+1:]
	}
	d.user, d.password = unquote(d.rawUser), unquote(d.rawPassword)
	if strings.Contains(d.user+d.password, "\x00") {
		return "user and password cannot hold %00"
	}
	hosts, name, query := splitPlace(rest)
	if strings.Contains(name, "@") {
		// What stands before it may be a part of the password.
		return `holds an "@" that does not end user and password; write it as %40, and a ":" in the user's name as %3A`
	}
	if hosts != "" {
		var msg string
		if d.hosts, msg = parseHosts(hosts); msg != "" {
			return msg
		}
	}
	d.name = name
	return d.parseQuery(query)
}

// splitPlace divides what follows user and password: hosts/name?query.
func splitPlace(s string) (hosts, name, query string) {
	s, query, _ = strings.Cut(s, "?")
	hosts, name, _ = strings.Cut(s, "/")
	return hosts, name, query
}

// userinfoEnd finds the "@" that ends user and password in what follows "://",
// -1 where there is none.
func userinfoEnd(s string) int {
	last := strings.LastIndexByte(s, '@')
	best, bestSense := last, senseless
	for at := last; at >= 0; at = strings.LastIndexByte(s[:at], '@') {
		if sense := senseOf(s[at+1:]); sense > bestSense {
			best, bestSense = at, sense
		}
	}
	if senseOf(s) > bestSense {
		return -1
	}
	return best
}

// sense is how likely a text is what follows user and password.
type sense int

const (
	senseless     sense = iota // not of the form
	hostAlone                  // host, without a name
	nameAndQuery               // host/name?parameters, with an "@" in them
	hostAndName                // host/name, no "@" in it
	allParameters              // host/name?parameters, all of them known
)

var parameterForm = regexp.MustCompile(`^[a-z][a-z0-9_]*=`)

func senseOf(s string) sense {
	hosts, name, query := splitPlace(s)
	if _, msg := parseHosts(hosts); msg != "" || strings.Contains(name, "@") {
		return senseless
	}
	known, formed := query != "", true
	for _, pair := range strings.Split(query, "&") {
		key, _, _ := strings.Cut(pair, "=")
		known = known && isParameter(key)
		formed = formed && (pair == "" || parameterForm.MatchString(pair))
	}
	inQuery := strings.Contains(query, "@")
	switch {
	case !strings.Contains(s, "/") && inQuery:
		return senseless
	case name == "" && !known:
		return hostAlone
	case known:
		return allParameters
	case !inQuery:
		return hostAndName
	case formed:
		return nameAndQuery
	}
	return senseless
}

// SecretsIn finds the passwords in a text with a URL, such as an argument of the
// command line: what stands between user and host, the parameters password and
// sslpassword, and those that nobody knows. Each is a range of bytes.
func SecretsIn(text string) (ranges [][2]int) {
	begin := strings.Index(text, "://")
	if begin < 0 {
		return nil
	}
	rest := text[begin+3:]
	at := strings.LastIndexByte(rest, '@')
	if strings.Contains(text[:begin], "postgres") {
		at = userinfoEnd(rest)
	}
	if colon := strings.IndexByte(rest[:max(at, 0)], ':'); colon >= 0 && colon+1 < at {
		ranges = append(ranges, [2]int{begin + 3 + colon + 1, begin + 3 + at})
	}
	query := begin + 3 + at + 1 + strings.IndexByte(rest[at+1:], '?') + 1
	if !strings.Contains(rest[at+1:], "?") {
		return ranges
	}
	for _, pair := range strings.SplitAfter(text[query:], "&") {
		key, value, _ := strings.Cut(strings.TrimSuffix(pair, "&"), "=")
		if key = unquotePlus(key); value != "" && (strings.Contains(strings.ToLower(key), "password") || !isParameter(key)) {
			end := query + len(strings.TrimSuffix(pair, "&"))
			ranges = append(ranges, [2]int{end - len(value), end})
		}
		query += len(pair)
	}
	return ranges
}

// parseQuery reads the parameters behind "?".
func (d *Database) parseQuery(query string) string {
	type parameter struct{ key, value string }
	var list []parameter
	seen := map[string]int{}
	for _, pair := range strings.Split(query, "&") {
		if pair == "" {
			continue
		}
		key, value, _ := strings.Cut(pair, "=")
		key, value = unquotePlus(key), unquotePlus(value)
		if strings.ContainsFunc(value, unicode.IsControl) { // escaped, so not seen before
			return fmt.Sprintf("the parameter %s holds a control character", shown(key))
		}
		i, twice := seen[key]
		switch {
		case twice && key == "host": // SQLAlchemy gives several hosts so
			list[i].value += "," + value
			continue
		case twice:
			return fmt.Sprintf("the parameter %s is given twice", shown(key))
		}
		seen[key] = len(list)
		list = append(list, parameter{key, value})
	}
	// Ports are given to hosts, so they come last.
	if i, there := seen["port"]; there {
		ports := list[i]
		list = append(slices.Delete(list, i, i+1), ports)
	}
	for _, p := range list {
		if msg := d.setParameter(p.key, p.value); msg != "" {
			return fmt.Sprintf("the parameter %s: %s", shown(p.key), msg)
		}
	}
	return ""
}

var escapeForm = regexp.MustCompile(`%[0-9a-fA-F]{2}`)

// unquote replaces %XX. Like Python's, it leaves alone what is no such escape.
func unquote(s string) string {
	return escapeForm.ReplaceAllStringFunc(s, func(code string) string {
		b, _ := hex.DecodeString(code[1:])
		return string(b)
	})
}

// unquotePlus is unquote for a query, where "+" is a space.
func unquotePlus(s string) string {
	return unquote(strings.ReplaceAll(s, "+", " "))
}

// escape percent-escapes every byte that is not unreserved in RFC 3986.
func escape(s string) string {
	return strings.ReplaceAll(url.QueryEscape(s), "+", "%20")
}
