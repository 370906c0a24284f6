// Package config reads the config.yaml of an Anchore installation: the sections
// that say where its archive is kept and which database holds its catalog. It
// ignores the rest of the file. It reads a registry's configuration too.
//
// In a value, ${NAME} stands for the environment variable NAME. The package replaces
// it after it has parsed the YAML, so a variable's content never becomes YAML. Then
// it reads the result as the type that is wanted. "$NAME" without braces is left as
// it is.
//
// Errors are of type *Error. They name the file, the line and the key's whole
// path. They are one line long and hold no value from the file. Error.Excerpt
// gives the line at fault, as far as it may be shown.
package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"sync"
	"syscall"

	"go.yaml.in/yaml/v3"
)

// maxFileBytes bounds what is read as a configuration; a real one has a few KB.
const maxFileBytes = 4 << 20

// File is a parsed configuration. Its methods may be called concurrently.
type File struct {
	// Path is the file's path as it was given.
	Path string
	// Lookup finds the environment variables that values refer to; nil means
	// os.LookupEnv, and then the file that ANCHORE_ENV_FILE names. Set it before
	// the first use of the File.
	Lookup func(name string) (string, bool)
	// OnWarning is called with each new warning, nil for nobody. Set it before
	// the first use of the File.
	OnWarning func(Warning)

	root *yaml.Node
	data []byte // for excerpts
	// verbatim: values are taken as they stand, without ${NAME}.
	verbatim bool

	env      envFile
	mu       sync.Mutex
	warnings []Warning
}

// Load reads and parses a configuration file.
func Load(path string) (*File, error) {
	data, err := read(path)
	if err != nil {
		return nil, err
	}
	return Parse(path, data)
}

// Parse parses a configuration; path is only for messages. One document with a
// mapping at its top level is wanted.
func Parse(path string, data []byte) (*File, error) {
	root, err := parseYAML(path, data)
	if err != nil {
		return nil, err
	}
	f := &File{Path: path, root: root, data: data}
	if root.Kind != yaml.MappingNode {
		return nil, f.errorf(root.Line, "", "the top level is %s, not a mapping with keys such as services and credentials", describe(root))
	}
	return f, nil
}

func read(path string) ([]byte, error) {
	fail := func(msg string, err error) ([]byte, error) {
		return nil, &Error{File: path, Msg: msg, Err: err}
	}
	// A pipe to which nobody writes is empty, and does not hold us for ever.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return fail(readFailure(err), err)
	}
	defer f.Close() // nothing was written
	if info, err := f.Stat(); err == nil && info.IsDir() {
		return fail("is a directory, not a configuration file", nil)
	}
	data, err := io.ReadAll(io.LimitReader(f, maxFileBytes+1))
	if err != nil {
		return fail(readFailure(err), err)
	}
	if len(data) > maxFileBytes {
		return fail(fmt.Sprintf("is larger than %d MiB: not a configuration file", maxFileBytes>>20), nil)
	}
	return data, nil
}

// readFailure tells why a file cannot be read, without repeating its path.
func readFailure(err error) string {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "no such file"
	case errors.Is(err, fs.ErrPermission):
		return "permission denied"
	}
	var p *fs.PathError
	if errors.As(err, &p) {
		err = p.Err
	}
	return "cannot be read: " + err.Error()
}

func (f *File) errorf(line int, path, format string, args ...any) *Error {
	return &Error{File: f.Path, Line: line, Path: path, Msg: fmt.Sprintf(format, args...), excerpt: f.excerpt(line, path)}
}

// top is the section that is the whole file.
func (f *File) top() (*section, error) {
	return f.section("", 1, f.root)
}

// find gives the section of a path such as services.catalog. Where there is none,
// missing is the first of its keys that is not there, and the section is the one
// above it.
func (f *File) find(path string) (s *section, missing string, err error) {
	s, err = f.top()
	for _, name := range strings.Split(path, ".") {
		if err != nil {
			break
		}
		above := s
		if s, err = above.child(name); s == nil && err == nil {
			return above, name, nil
		}
	}
	return s, "", err
}
