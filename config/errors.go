package config

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
)

// ErrNoDatabase says that a configuration names no database: it has neither
// credentials.database.db_connect nor the database's host beside it.
var ErrNoDatabase = errors.New("no database is configured")

// Error is a fault in a configuration and where it stands. It never holds a
// value of the configuration: a value may be a secret, or part of one that was
// put in the wrong place.
type Error struct {
	File string // the file's path as it was given; "" for what comes from no file
	Line int    // counted from 1; 0 where no single line is at fault
	Path string // the key's whole path, such as services.catalog.object_store
	Msg  string
	Err  error // the cause for errors.Is, may be nil; Msg already tells it

	excerpt string
}

// Error gives one line: "config.yaml:12: services.catalog: message".
func (e *Error) Error() string {
	var b strings.Builder
	switch {
	case e.File != "" && e.Line > 0:
		fmt.Fprintf(&b, "%s:%d: ", e.File, e.Line)
	case e.File != "":
		b.WriteString(e.File + ": ")
	}
	if e.Path != "" {
		b.WriteString(e.Path + ": ")
	}
	b.WriteString(e.Msg)
	return oneLine(b.String())
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// oneLine replaces whatever a terminal or a log would take for the end of a
// line, or for a command.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		return r
	}, s)
}

// shownLength bounds how much of a name from the file is repeated in a message.
const shownLength = 64

// shown is a name from the file as a message may repeat it: cut at the first
// character that no key has, because after it may stand the value ("{key:value}"
// without a space is all key to YAML).
func shown(name string) string {
	for i, r := range name {
		word := r == '_' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
		if i > 0 {
			word = word || r == '-' || r == '.' || r >= '0' && r <= '9'
		}
		if !word || i >= shownLength {
			return name[:i] + "…"
		}
	}
	return name
}

// join appends a key to a path.
func join(path, key string) string {
	if key == "" {
		return path
	}
	if path == "" {
		return shown(key)
	}
	return path + "." + shown(key)
}
