package config

import (
	"fmt"
	"slices"
)

// Warning is what a configuration holds that changes nothing, or not what it
// seems to. Like an Error it holds no value of the configuration.
type Warning struct {
	File string // the file's path as it was given; "" for what comes from no file
	Line int    // counted from 1; 0 where no single line is meant
	Path string // the key's whole path
	Msg  string
}

// String gives one line: "config.yaml:12: services.catalog: message".
func (w Warning) String() string {
	return (&Error{File: w.File, Line: w.Line, Path: w.Path, Msg: w.Msg}).Error()
}

// Warnings lists the warnings about what has been read of the file so far, each
// once, in the order in which they were found.
func (f *File) Warnings() []Warning {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.warnings)
}

// warn keeps a warning, and tells it when it is new.
func (f *File) warn(line int, path, format string, args ...any) {
	w := Warning{File: f.Path, Line: line, Path: path, Msg: fmt.Sprintf(format, args...)}
	f.mu.Lock()
	known := slices.Contains(f.warnings, w)
	if !known {
		f.warnings = append(f.warnings, w)
	}
	tell := f.OnWarning
	f.mu.Unlock()
	if !known && tell != nil {
		tell(w)
	}
}

// warnf warns of a key of the section.
func (s *section) warnf(key, format string, args ...any) {
	s.file.warn(s.lineOf(key), join(s.path, key), format, args...)
}
