package config

import (
	"cmp"
	"errors"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

const databasePath = "credentials.database"

// partKeys are the keys by which Anchore Enterprise names the database.
var partKeys = []string{"user", "password", "host", "port", "name"}

// databaseKeys are the keys of credentials.database. Those of the pool, the
// engine and the encryption of columns mean nothing to a migration.
var databaseKeys = slices.Concat([]string{"db_connect", "db_connect_args", "db_pool_size", "db_pool_max_overflow", "db_echo", "db_engine_args",
	"encryption"}, partKeys)

// Database gives the database of credentials.database: db_connect, a URL in
// SQLAlchemy's spelling, else user, password, host, port and name, whose values
// are taken as they stand; with db_connect_args. The error is ErrNoDatabase (by
// errors.Is) where neither is given.
func (f *File) Database() (*Database, error) {
	s, err := f.databaseSection()
	if err != nil {
		return nil, err
	}
	if err := s.check(databaseKeys...); err != nil {
		return nil, err
	}
	raw, err := s.text("db_connect")
	if err != nil {
		return nil, err
	}
	d := &Database{Kind: Postgres}
	switch {
	case raw != "":
		d, err = s.databaseURL(raw)
	case s.hasParts():
		err = d.readParts(s)
	default:
		err = f.noDatabase(s.lineOf("db_connect"))
	}
	if err != nil {
		return nil, err
	}
	for _, w := range d.warnings {
		s.warnf("db_connect", "the parameter %s: %s", shown(w.key), w.msg)
	}
	args, err := s.child("db_connect_args")
	if err != nil || args == nil {
		return d, err
	}
	return d, d.applyArgs(args, raw == "")
}

// databaseSection is credentials.database.
func (f *File) databaseSection() (*section, error) {
	s, missing, err := f.find(databasePath)
	if missing != "" {
		return nil, f.noDatabase(0)
	}
	return s, err
}

func (f *File) noDatabase(line int) error {
	return &Error{File: f.Path, Line: line, Err: ErrNoDatabase,
		Msg: "has no credentials.database.db_connect, and no user, password, host, port and name in its place"}
}

// hasParts says whether the database is given by parts.
func (s *section) hasParts() bool {
	return slices.ContainsFunc(partKeys, Options{s}.Has)
}

// databaseURL reads db_connect.
func (s *section) databaseURL(raw string) (*Database, error) {
	d, err := ParseDatabaseURL(raw)
	var e *Error
	switch {
	case errors.As(err, &e):
		return nil, s.errorf("db_connect", "%s", e.Msg)
	case err != nil:
		return nil, s.errorf("db_connect", "is no database URL")
	}
	return d, nil
}

// readParts reads user, password, host, port and name. Nothing in them is
// unescaped.
func (d *Database) readParts(s *section) error {
	parts := map[string]string{}
	for _, key := range partKeys {
		text, err := s.text(key)
		if err != nil {
			return err
		}
		switch {
		case strings.HasSuffix(text, "\n"), strings.HasSuffix(text, "\r"):
			return s.errorf(key, "ends with a line break (perhaps that of a file or Secret that it comes from)")
		case strings.ContainsAny(text, "\x00\r\n"):
			return s.errorf(key, "holds a control character")
		}
		parts[key] = text
	}
	if parts["host"] == "" {
		return s.errorf("host", "must be given: the database's host")
	}
	d.user, d.password, d.name = parts["user"], parts["password"], parts["name"]
	d.rawUser, d.rawPassword = d.user, d.password
	for host := range strings.SplitSeq(parts["host"], ",") {
		if strings.Count(host, ":") > 1 && !strings.HasPrefix(host, "[") {
			host = "[" + host + "]"
		}
		h, msg := parseHost(host)
		if msg != "" {
			return s.errorf("host", "%s", msg)
		}
		d.hosts = append(d.hosts, h)
	}
	if parts["port"] == "" {
		return nil
	}
	if msg := d.setPorts(parts["port"]); msg != "" {
		return s.errorf("port", "%s", msg)
	}
	return nil
}

// applyArgs takes over db_connect_args, which win over the URL's parameters as
// they do with SQLAlchemy. Beside a database by parts they are given to libpq,
// and timeout is then what it calls connect_timeout.
func (d *Database) applyArgs(s *section, parts bool) error {
	d.args = s
	if s.oddKey != nil {
		return s.file.errorf(s.oddKey.Line, s.path, "has a key that is %s, wants words as keys", describe(s.oddKey))
	}
	for _, e := range s.entries {
		_, given, err := s.get(e.key)
		switch {
		case err != nil:
			return err
		case !given:
			continue
		case e.value.Kind != yaml.ScalarNode && !isParameter(e.key) && nearMiss(e.key, knownParameters()) == "":
			s.warnf(e.key, "kedge does not know this parameter and connects without it")
			continue
		}
		v, err := s.scalar(e)
		if err != nil {
			return err
		}
		if v.text == "" {
			continue
		}
		key := e.key
		if key == "timeout" && parts {
			key = "connect_timeout"
		}
		told := len(d.warnings)
		if msg := d.setParameter(key, v.text); msg != "" {
			return s.errorf(e.key, "%s", msg)
		}
		for _, w := range d.warnings[told:] {
			s.warnf(e.key, "%s", w.msg)
		}
	}
	return nil
}

// DatabaseSettings is what holds for the database: its URL with the password
// masked, and what it was made of. The error is ErrNoDatabase (by errors.Is)
// where none is configured.
func (f *File) DatabaseSettings() ([]Setting, error) {
	d, err := f.Database()
	if err != nil {
		return nil, err
	}
	s, err := f.databaseSection()
	if err != nil {
		return nil, err
	}
	url := Setting{Path: databasePath + ".db_connect", Value: display(d.Redacted()), Secret: d.password != ""}
	if raw, err := s.text("db_connect"); err != nil || raw != "" {
		url.Line, url.Variables = s.lineOf("db_connect"), variables(s, "db_connect")
		return []Setting{url}, err
	}
	var parts []Setting
	for _, key := range partKeys {
		value, given, err := s.value(key)
		if err != nil {
			return nil, err
		}
		if !given {
			continue
		}
		part := s.setting(key, value.text)
		if key == "password" && value.text != "" {
			part.Value, part.Secret = mask, true
		}
		parts = append(parts, part)
		// The URL is made of them.
		url.Line, url.Variables = cmp.Or(url.Line, part.Line), append(url.Variables, part.Variables...)
	}
	return append([]Setting{url}, parts...), nil
}
