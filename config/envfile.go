package config

import (
	"errors"
	"io/fs"
	"os"
	"strings"
	"sync"
)

// envFileVariable names the file from which Anchore takes variables too.
const envFileVariable = "ANCHORE_ENV_FILE"

// envFile is what the file of ANCHORE_ENV_FILE holds, read when it is first
// needed.
type envFile struct {
	once   sync.Once
	path   string
	absent bool
	values map[string]string
	err    error
}

// readEnvFile reads the file of ANCHORE_ENV_FILE, once. As with Anchore, one that
// is not there is no fault.
func (f *File) readEnvFile() error {
	f.env.once.Do(func() {
		e := &f.env
		e.path, _ = f.environment(envFileVariable)
		if e.path == "" {
			return
		}
		data, err := read(e.path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			e.absent = true
		case err != nil:
			var fault *Error
			if errors.As(err, &fault) {
				err = &Error{File: e.path, Msg: fault.Msg + " (" + envFileVariable + " names it)", Err: fault.Err}
			}
			e.err = err
		default:
			e.values = envLines(string(data))
		}
	})
	return f.env.err
}

// envLines reads lines KEY=value as Anchore does: the first "=" divides them,
// quotes at either end of the value are taken off, and only keys that begin with
// ANCHORE count.
func envLines(text string) map[string]string {
	values := map[string]string{}
	for line := range strings.Lines(text) {
		key, value, found := strings.Cut(strings.TrimRight(line, "\r\n"), "=")
		if found && strings.HasPrefix(key, "ANCHORE") {
			values[key] = strings.Trim(value, `"'`)
		}
	}
	return values
}

// miss is what is added to the message that a variable is not set.
func (e *envFile) miss() string {
	switch {
	case e.absent:
		return ", and the file that " + envFileVariable + " names is not there: " + e.path
	case e.path != "":
		return ", and " + e.path + " (" + envFileVariable + ") does not have it either"
	}
	return ""
}

// environment finds a variable of the environment.
func (f *File) environment(name string) (string, bool) {
	if f.Lookup != nil {
		return f.Lookup(name)
	}
	return os.LookupEnv(name)
}

// lookup finds a variable: the environment goes before the file, as with Anchore.
func (f *File) lookup(name string) (string, bool) {
	if content, set := f.environment(name); set {
		return content, true
	}
	content, set := f.env.values[name]
	return content, set
}

// origin is a variable's name, with the file that it comes from if that is not
// the environment.
func (f *File) origin(name string) string {
	if _, set := f.environment(name); !set {
		if _, there := f.env.values[name]; there {
			return name + " of " + f.env.path
		}
	}
	return name
}
