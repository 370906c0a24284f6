package config

import (
	"fmt"
)

// Options are what a driver is configured with: the keys under
// storage_driver.config. The zero value has none. Options are read-only and may
// be used concurrently.
type Options struct {
	s *section
}

// Decode fills a struct from the options. Its exported fields carry tags:
//
//	config:"access_key"              the key
//	config:"url,aliases=a|b"         other spellings of the same key
//	secret:"true" or "false"         masked or not by Store.Redacted
//	falsy:"empty"                    a boolean false or a null means ""
//	falsy:"text"                     a boolean or a null means True, False, None
//	beside:"url"                     ignored where that key is given
//	required:"true"                  must be given, and not be empty
//
// Fields are of type string, bool, int, int64 or a pointer to one of them; a
// pointer stays nil where the key is not given, which includes null. Fields
// whose key is not given keep the value they have. A field without the tag
// config is left alone; fields of an embedded struct count as the struct's own.
//
// A boolean is any of YAML 1.1's spellings (True, no, off, …), quoted or not; an
// environment variable that is empty is false. A string field takes a number as it is written ("0123" keeps its zero), but not
// an unquoted boolean.
//
// It fails with an *Error for a key that seems to be a misspelt one of a field's,
// one that is given twice, and a value of the wrong type; any other key that no
// field has is a warning of the File's. No message repeats a value.
func (o Options) Decode(into any) error {
	fields, err := fieldsOf(into)
	if err != nil {
		return err
	}
	return decode(o.s, fields)
}

// Has says whether a key is given. One that is given as null is not; one that
// is given as an empty string is.
func (o Options) Has(key string) bool {
	if o.s == nil {
		return false
	}
	i, ok := o.s.index[key]
	return ok && !isNull(o.s.entries[i].value)
}

// Keys lists the keys in the order of the file.
func (o Options) Keys() []string {
	if o.s == nil {
		return nil
	}
	keys := make([]string, len(o.s.entries))
	for i, e := range o.s.entries {
		keys[i] = e.key
	}
	return keys
}

// Errorf makes an error about a key, with file, line and whole path. The caller
// sees to it that no secret gets into it.
func (o Options) Errorf(key, format string, args ...any) error {
	if o.s == nil {
		return &Error{Path: shown(key), Msg: fmt.Sprintf(format, args...)}
	}
	return o.s.errorf(key, format, args...)
}

// String tells where the options stand, never what they hold.
func (o Options) String() string {
	if o.s == nil {
		return "no options"
	}
	return oneLine(fmt.Sprintf("%s:%d: %s", o.s.file.Path, o.s.line, o.s.path))
}
