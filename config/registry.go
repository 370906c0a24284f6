package config

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Registry is the configuration of a registry's storage: the keys storage and
// middleware.storage of the config.yml of the program "registry" (distribution),
// with the environment variables REGISTRY_STORAGE_… and REGISTRY_MIDDLEWARE_…
// applied as that program applies them. ${NAME} has no meaning in such a file.
type Registry struct {
	// Driver is the name of the storage driver, such as filesystem or s3. The
	// caller says whether it is one that can be read.
	Driver string
	// Options are the driver's parameters.
	Options Options
	// CloudFront are the options of the middleware of that name, nil where there
	// is none.
	CloudFront *Options
	// File and Line are where the storage is configured; Line is 0 where an
	// environment variable says so.
	File string
	Line int

	storage, driver *section
	// set tells which keys environment variables have set: path -> variable.
	set map[string]string
}

// notDrivers are the keys of storage that name no driver.
var notDrivers = []string{"maintenance", "cache", "delete", "redirect", "tag"}

// IsRegistry says whether the file is a registry's configuration rather than
// Anchore's: it has storage at the top, or a version, and no services.
func (f *File) IsRegistry() bool {
	top, err := f.top()
	if err != nil {
		return false
	}
	return !top.has("services") && (top.has("storage") || top.has("version"))
}

// Registry reads the file as a registry's. environ are the environment
// variables that override it, as os.Environ gives them; nil means os.Environ
// itself.
func (f *File) Registry(environ []string) (*Registry, error) {
	if environ == nil {
		environ = os.Environ()
	}
	r := &Registry{File: f.Path, set: map[string]string{}}
	// What environment variables change must not change the file itself.
	file := &File{Path: f.Path, Lookup: f.Lookup, root: cloneNode(f.root, 0), data: f.data, verbatim: true}
	file.OnWarning = func(w Warning) {
		if name := r.setter(strings.ToLower(w.Path), w.Line == 0); name != "" {
			w.Line, w.Msg = 0, w.Msg+" (it is set by the environment variable "+name+")"
		}
		f.warn(w.Line, w.Path, "%s", w.Msg)
	}
	for _, o := range overrides(environ) {
		if err := o.apply(file.root); err != nil {
			return nil, &Error{Msg: fmt.Sprintf("environment variable %s: %v", o.name, err)}
		}
		r.set[strings.ToLower(strings.Join(o.path, "."))] = o.name
	}
	top, err := file.top()
	if err == nil {
		err = r.read(top)
	}
	return r, r.Locate(err)
}

func (r *Registry) read(top *section) error {
	if err := checkVersion(top); err != nil {
		return err
	}
	if err := r.readStorage(top); err != nil {
		return err
	}
	return r.readMiddleware(top)
}

// checkVersion wants the version of the file's form, 0.1.
func checkVersion(top *section) error {
	e, given, err := top.get("version")
	switch {
	case err != nil:
		return err
	case !given:
		return top.errorf("", "has no version: a registry's configuration begins with \"version: 0.1\"")
	case e.value.Kind != yaml.ScalarNode || e.value.Value != "0.1":
		return top.errorf("version", "only version 0.1 is known")
	}
	return nil
}

func (r *Registry) readStorage(top *section) error {
	e, given, err := top.get("storage")
	if err != nil {
		return err
	}
	if !given {
		return top.errorf("storage", "must be given: a mapping with filesystem or s3")
	}
	r.Line = e.line
	if e.value.Kind == yaml.ScalarNode { // "storage: inmemory"
		e.value = &yaml.Node{Kind: yaml.MappingNode, Line: e.value.Line, Content: []*yaml.Node{
			{Kind: yaml.ScalarNode, Value: e.value.Value, Line: e.value.Line}, {Kind: yaml.MappingNode, Line: e.value.Line}}}
	}
	if r.storage, err = top.file.section("storage", e.line, e.value); err != nil {
		return err
	}
	var names []string
	for _, e := range r.storage.entries {
		if !slices.Contains(notDrivers, e.key) {
			names = append(names, e.key)
		}
	}
	switch {
	case len(names) == 0:
		return r.storage.errorf("", "names no storage driver, such as filesystem or s3")
	case len(names) > 1:
		return r.storage.errorf(names[1], "is a second storage driver beside %s: exactly one may be given", shown(names[0]))
	}
	r.Driver = names[0]
	if r.driver, err = r.storage.child(r.Driver); err != nil {
		return err
	}
	if r.driver == nil { // "filesystem:" with nothing behind it
		r.driver = &section{file: r.storage.file, path: join("storage", r.Driver), line: r.storage.lineOf(r.Driver), index: map[string]int{}}
	}
	r.Options = Options{r.driver}
	return nil
}

// readMiddleware finds the middleware cloudfront. Other ones (redirect, and the
// registry operator's own) change what clients are told, not where data is.
func (r *Registry) readMiddleware(top *section) error {
	middleware, err := top.child("middleware")
	if err != nil || middleware == nil {
		return err
	}
	e, given, err := middleware.get("storage")
	if err != nil || !given {
		return err
	}
	if e.value.Kind != yaml.SequenceNode {
		return middleware.errorf("storage", "is %s, wants a list", describe(e.value))
	}
	for i, n := range e.value.Content {
		entry, err := top.file.section(fmt.Sprintf("middleware.storage.%d", i), n.Line, n)
		if err == nil {
			err = r.readCloudFront(entry)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// readCloudFront reads one middleware, if it is that.
func (r *Registry) readCloudFront(entry *section) error {
	name, err := entry.text("name")
	if err != nil {
		return err
	}
	disabled, err := entry.boolean("disabled")
	if err != nil || name != "cloudfront" || disabled != nil && *disabled {
		return err
	}
	options, err := entry.child("options")
	if err != nil {
		return err
	}
	if options == nil {
		return entry.errorf("options", "must be given: baseurl, privatekey and keypairid")
	}
	r.CloudFront = &Options{options}
	return nil
}

// Without gives the options without some keys, in any case: those that only the
// registry itself has a use for.
func (o Options) Without(keys ...string) Options {
	if o.s == nil {
		return o
	}
	rest := &section{file: o.s.file, path: o.s.path, line: o.s.line, index: map[string]int{}, twice: o.s.twice, oddKey: o.s.oddKey}
	for _, e := range o.s.entries {
		if !slices.ContainsFunc(keys, func(key string) bool { return strings.EqualFold(key, e.key) }) {
			rest.index[e.key] = len(rest.entries)
			rest.entries = append(rest.entries, e)
		}
	}
	return Options{rest}
}

// Errorf makes an error about the storage driver's name, with file and line.
func (r *Registry) Errorf(format string, args ...any) error {
	return r.Locate(r.storage.errorf(r.Driver, "%s", fmt.Sprintf(format, args...)))
}

// Locate names in an error about a key the environment variable that has set it,
// in place of the file.
func (r *Registry) Locate(err error) error {
	var fault *Error
	if !errors.As(err, &fault) || fault.Path == "" {
		return err
	}
	if name := r.setter(strings.ToLower(fault.Path), fault.Line == 0); name != "" {
		located := *fault
		located.File, located.Line, located.excerpt = "environment variable "+name, 0, ""
		return &located
	}
	return err
}

// setter is the variable that has set a key or one above it; or, where nothing
// in the file is at fault, one below it.
func (r *Registry) setter(path string, below bool) string {
	for above := path; ; {
		if name, ok := r.set[above]; ok {
			return name
		}
		i := strings.LastIndexByte(above, '.')
		if i < 0 {
			break
		}
		above = above[:i]
	}
	first := ""
	for key, name := range r.set {
		if below && strings.HasPrefix(key, path+".") && (first == "" || name < first) {
			first = name
		}
	}
	return first
}

// String tells the driver and where it is configured.
func (r *Registry) String() string {
	return oneLine(fmt.Sprintf("%s (%s:%d: storage)", r.Driver, r.File, r.Line))
}

// Redacted gives the section storage's driver as YAML with secrets masked, as
// Store.Redacted does.
func (r *Registry) Redacted(options any) string {
	masked := newRedactor(options)
	storage, root := mapping(), mapping()
	add(storage, r.Driver, masked.options(r.Options))
	add(root, "storage", storage)
	return printed(root, 4)
}
