package config

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
)

// field is a struct field that a key is decoded into.
type field struct {
	value    reflect.Value
	names    []string // the key, then its aliases
	secret   string   // the tag: "true", "false" or ""
	falsy    bool
	literal  bool // the tag falsy is "text"
	required bool
	// standard and environment are the tags default and env, which people read too.
	standard, environment string
	// beside is the key beside which this one has no effect.
	beside string
}

// fieldsOf lists the tagged fields of the struct that into points to.
func fieldsOf(into any) ([]field, error) {
	v := reflect.ValueOf(into)
	if v.Kind() != reflect.Pointer || v.IsNil() || v.Elem().Kind() != reflect.Struct {
		return nil, fmt.Errorf("config: cannot decode into %T, wants a pointer to a struct", into)
	}
	return structFields(v.Elem())
}

func structFields(v reflect.Value) ([]field, error) {
	var fields []field
	for i := range v.NumField() {
		f := v.Type().Field(i)
		tag, tagged := f.Tag.Lookup("config")
		switch {
		case !tagged && f.Anonymous && f.Type.Kind() == reflect.Struct:
			inner, err := structFields(v.Field(i))
			if err != nil {
				return nil, err
			}
			fields = append(fields, inner...)
			continue
		case !tagged || tag == "-" || !f.IsExported():
			continue
		case !decodable(f.Type):
			return nil, fmt.Errorf("config: cannot decode into a field of type %s (%s)", f.Type, tag)
		}
		name, rest, _ := strings.Cut(tag, ",")
		names := []string{name}
		if list, ok := strings.CutPrefix(rest, "aliases="); ok {
			names = append(names, strings.Split(list, "|")...)
		}
		fields = append(fields, field{
			value:    v.Field(i),
			names:    names,
			secret:   f.Tag.Get("secret"),
			falsy:    f.Tag.Get("falsy") == "empty",
			literal:  f.Tag.Get("falsy") == "text",
			required: f.Tag.Get("required") == "true",
			standard: f.Tag.Get("default"), environment: f.Tag.Get("env"), beside: f.Tag.Get("beside"),
		})
	}
	return fields, nil
}

func decodable(t reflect.Type) bool {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch t.Kind() {
	case reflect.String, reflect.Bool, reflect.Int, reflect.Int64:
		return true
	}
	return false
}

// decode sets the fields from a section, which may be nil: one without keys.
func decode(s *section, fields []field) error {
	var known []string
	for _, f := range fields {
		known = append(known, f.names...)
	}
	if s == nil {
		for _, f := range fields {
			if f.required {
				return &Error{Path: f.names[0], Msg: "must be given"}
			}
		}
		return nil
	}
	if err := s.check(known...); err != nil {
		return err
	}
	for _, f := range fields {
		if err := f.decode(s); err != nil {
			return err
		}
	}
	return nil
}

// decode sets one field from whichever of its names is given.
func (f field) decode(s *section) error {
	chosen := -1
	for _, name := range f.names {
		i, there := s.index[name]
		if !there {
			continue
		}
		if chosen >= 0 {
			return s.errorf(name, "means the same as %s, which is given too (line %d)", s.entries[chosen].key, s.entries[chosen].line)
		}
		chosen = i
	}
	if chosen < 0 || isNull(s.entries[chosen].value) && !f.falsy && !f.literal {
		if f.required {
			return s.file.errorf(s.lineOf(f.names[0]), join(s.path, f.names[0]), "must be given")
		}
		return nil
	}
	e := s.entries[chosen]
	v, err := s.scalar(e)
	if err == nil {
		err = f.set(s, e, v)
	}
	var fault *Error
	if errors.As(err, &fault) {
		fault.excerpt = f.excerptOf(s.file, fault.Line, e.key)
	}
	return err
}

// set stores a value in the field, as the field's type.
func (f field) set(s *section, e entry, v scalar) error {
	target := f.value
	if target.Kind() == reflect.Pointer {
		target = reflect.New(target.Type().Elem()).Elem()
	}
	switch target.Kind() {
	case reflect.String:
		text, err := f.text(s, e.key, v)
		if err != nil {
			return err
		}
		target.SetString(text)
	case reflect.Bool:
		b, ok := v.boolean()
		if !ok {
			return s.errorf(e.key, "wants true or false")
		}
		target.SetBool(b)
	default:
		n, ok := v.integer(target.Type().Bits())
		if !ok {
			return s.errorf(e.key, "wants a whole number")
		}
		target.SetInt(n)
	}
	if f.value.Kind() == reflect.Pointer {
		f.value.Set(target.Addr())
	}
	return nil
}

// text gives the value for a string field. What an environment variable holds
// is text even where it reads "no": a password may.
func (f field) text(s *section, key string, v scalar) (string, error) {
	text := v.text
	switch {
	case f.literal && v.pythonText() != "":
		text = v.pythonText()
		s.warnf(key, "Anchore's driver makes the text %s of this, as kedge does; quote it if text is meant, or leave the key out", text)
	case f.falsy && v.isFalse():
		text = ""
	case v.isBoolean() && !v.expanded:
		return "", s.errorf(key, "is a boolean, wants text (put it in quotes if it is meant as it stands)")
	}
	if f.required && text == "" {
		return "", s.errorf(key, "must not be empty")
	}
	return text, nil
}
