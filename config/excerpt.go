package config

import (
	"bytes"
	"regexp"
	"slices"
	"strings"
)

// Excerpt is the line of the file that an error is about, as it may be shown:
// one line with its indentation, without comments. It is "" where there is no
// such line, where its key is that of a secret, and where the line has no key of
// its own (part of a longer value, a list). A value is masked unless its key is
// known to hold none, because a misspelt key may be a secret's.
func (e *Error) Excerpt() string { return e.excerpt }

// shownKeys are keys outside of a driver's options whose values are no secrets.
var shownKeys = []string{"enabled", "name", "use_db", "archive_driver", "archive_data_dir"}

// structure are the keys that a file which is not valid YAML may be quoted by:
// in such a file any other word may be part of a secret.
var structure = slices.Concat(shownKeys, []string{
	"services", "catalog", "object_store", "archive", "analysis_archive", "compression", "min_size_kbytes", "storage_driver", "config",
	"credentials", "database", "db_connect_args", "version", "storage", "middleware", "filesystem", "s3", "rootdirectory",
	"bucket", "create_bucket", "region", "regionendpoint", "url", "iamauto", "prefix", "container", "create_container",
})

// keyLine matches a line with a key at its beginning: what stands before it,
// the key, the colon, the value.
var keyLine = regexp.MustCompile(`^([ \t]*(?:- +)*)([A-Za-z_][A-Za-z0-9_.-]{0,63})([ \t]*:)(?:[ \t]+(.*))?$`)

// quote makes the excerpt of a line. show says whether the value of the line's
// key may be seen.
func quote(data []byte, line int, show func(key string) bool) string {
	m := keyAt(data, line)
	if m == nil {
		return ""
	}
	before, key, colon, value := m[1], m[2], m[3], m[4]
	value, _, _ = strings.Cut(value, " #")
	value = strings.TrimRight(value, " \t")
	switch {
	case value == "" || strings.HasPrefix(value, "#"):
		value = ""
	case value == "''" || value == `""`:
	case !show(key), strings.ContainsAny(value[:1], "{[&*!|>"):
		value = mask
	default:
		value = maskUserinfo(value)
	}
	if value != "" {
		value = " " + value
	}
	return oneLine(strings.ReplaceAll(before, "\t", "→") + key + colon + value)
}

// excerpt is the excerpt for an error about a key of which nothing is known but
// its name.
func (f *File) excerpt(line int, path string) string {
	m := keyAt(f.data, line)
	if secretName(lastOf(path)) || m != nil && secretName(m[2]) {
		return ""
	}
	return quote(f.data, line, func(key string) bool {
		return key == lastOf(path) && slices.Contains(shownKeys, key)
	})
}

// excerptOf is the excerpt for an error about a field whose tag says whether it
// is a secret.
func (f field) excerptOf(file *File, line int, key string) string {
	m := keyAt(file.data, line)
	if f.isSecret(key) || m == nil || m[2] != key && secretName(m[2]) {
		return ""
	}
	return quote(file.data, line, func(k string) bool { return k == key })
}

// excerptOfBroken is the excerpt for a file that is not valid YAML.
func excerptOfBroken(data []byte, line int) string {
	m := keyAt(data, line)
	if m == nil || !slices.Contains(structure, m[2]) {
		return ""
	}
	return quote(data, line, func(string) bool { return false })
}

// keyAt matches a line, counted from 1, with keyLine; nil where it does not match
// or there is no such line.
func keyAt(data []byte, line int) []string {
	if line < 1 {
		return nil
	}
	lines := bytes.SplitN(data, []byte("\n"), line+1)
	if len(lines) < line {
		return nil
	}
	return keyLine.FindStringSubmatch(strings.TrimRight(string(lines[line-1]), " \t\r"))
}

func lastOf(path string) string {
	return path[strings.LastIndexByte(path, '.')+1:]
}
