package config

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Setting is an effective setting and where it comes from.
type Setting struct {
	// Path is the key's whole path, such as
	// services.catalog.object_store.compression.enabled.
	Path string
	// Value is what holds, with environment variables filled in; masked where it
	// is a secret, and one line long.
	Value string
	// Secret says that Value is masked.
	Secret bool
	// Line is the line of the file, 0 where the setting is not in the file.
	Line int
	// Variables are the environment variables that the value comes from, alone
	// or as part of what is in the file.
	Variables []string
	// IgnoredBeside is the key beside which the setting has no effect, "" where it
	// has.
	IgnoredBeside string
}

// From tells where the setting comes from: "config.yaml:12", "environment NAME",
// both, or "default"; and that it is ignored, where it is.
func (s Setting) From(file string) string {
	var from []string
	if s.Line > 0 {
		from = append(from, fmt.Sprintf("%s:%d", file, s.Line))
	}
	if len(s.Variables) > 0 {
		from = append(from, "environment "+strings.Join(s.Variables, ", "))
	}
	if len(from) == 0 {
		return "default"
	}
	if s.IgnoredBeside != "" {
		from[len(from)-1] += "; ignored beside " + s.IgnoredBeside
	}
	return oneLine(strings.Join(from, ", "))
}

// longestShown bounds the value of a setting in runes.
const longestShown = 200

// plainVariable is a tag env that an option's value may come from: one name,
// perhaps with a condition.
var plainVariable = regexp.MustCompile(`^([A-Z][A-Z0-9_]*)(?: \((with|when) ([a-z_ ]+)\))?$`)

// explainer makes settings of the options of one driver.
type explainer struct {
	options  Options
	fields   []field
	registry *Registry // nil for Anchore's configuration
}

// Settings lists what holds for the store, in the order in which it is looked
// at: driver, compression, then options as the fields of the struct that options
// points to (see Options.Decode; its tags default and env tell what holds where
// a key is not given). unset are the options that have neither value nor default.
func (s *Store) Settings(options any) (settings []Setting, unset []string, err error) {
	fields, err := fieldsOf(options)
	if err != nil {
		return nil, nil, err
	}
	driver := s.driverSetting()
	settings = append(settings, driver)
	if s.Enabled != nil {
		settings = append(settings, s.section.setting("enabled", strconv.FormatBool(*s.Enabled)))
	}
	compression := s.compression
	if compression == nil {
		compression = &section{path: s.Section + ".compression"}
	}
	settings = append(settings,
		compression.setting("enabled", strconv.FormatBool(s.Compression.Enabled)),
		compression.setting("min_size_kbytes", s.Compression.minKilobytes()))
	given, unset := (&explainer{options: s.Options, fields: fields}).list()
	return append(settings, given...), unset, nil
}

// driverSetting is the driver's name, and what it comes from.
func (s *Store) driverSetting() Setting {
	set := Setting{Path: s.Section + ".storage_driver.name", Value: display(s.Driver)}
	at, key := s.storage, "name"
	if at == nil && s.legacy {
		at, key = s.section, "archive_driver"
		if at.lineOf("use_db") == s.Line {
			key = "use_db"
		}
	}
	if at != nil && at.has(key) {
		set.Path, set.Line, set.Variables = at.path+"."+key, at.lineOf(key), variables(at, key)
	}
	return set
}

// minKilobytes is MinBytes as min_size_kbytes has it.
func (c Compression) minKilobytes() string {
	return strconv.FormatFloat(float64(c.MinBytes)/1024, 'f', -1, 64)
}

// Settings lists what holds for the registry's storage, as Store.Settings does.
// middleware is a pointer to the option struct of the middleware cloudfront, and
// is not looked at where there is none.
func (r *Registry) Settings(options, middleware any) (settings []Setting, unset []string, err error) {
	fields, err := fieldsOf(options)
	if err != nil {
		return nil, nil, err
	}
	settings, unset = (&explainer{options: r.Options, fields: fields, registry: r}).list()
	if r.CloudFront == nil {
		return settings, unset, nil
	}
	if fields, err = fieldsOf(middleware); err != nil {
		return nil, nil, err
	}
	front, _ := (&explainer{options: *r.CloudFront, fields: fields, registry: r}).list()
	return append(settings, front...), unset, nil
}

// setting is one key of a section whose value is known.
func (s *section) setting(key, value string) Setting {
	set := Setting{Path: s.path + "." + key, Value: display(value)}
	if i, there := s.index[key]; there && !isNull(s.entries[i].value) {
		set.Line, set.Variables = s.entries[i].line, variables(s, key)
	}
	return set
}

func (x *explainer) list() (settings []Setting, unset []string) {
	known := map[string]bool{}
	for _, f := range x.fields {
		for _, name := range f.names {
			known[name] = true
		}
		if s, ok := x.setting(f); ok {
			settings = append(settings, s)
		} else {
			unset = append(unset, f.names[0])
		}
	}
	for _, key := range x.options.Keys() { // keys without effect, which may hold anything
		if known[key] {
			continue
		}
		f := field{names: []string{key}}
		if v, ok := x.read(key); !ok || !v.isBoolean() {
			f.secret = "true"
		}
		settings = append(settings, x.inFile(f, key))
	}
	return settings, unset
}

// setting is what holds for a field; false where nothing does.
func (x *explainer) setting(f field) (Setting, bool) {
	for _, name := range f.names {
		if x.options.Has(name) || (f.falsy || f.literal) && slices.Contains(x.options.Keys(), name) {
			s := x.inFile(f, name)
			if s.Value == "''" {
				if variable, ok := x.variable(f); ok {
					s.Value, s.Variables = f.shown(name, variable.content), append(s.Variables, variable.name)
				}
			}
			if v, given := x.read(f.beside); given && v.text != "" && s.Value != "''" {
				s.IgnoredBeside = f.beside
			}
			return s, true
		}
	}
	s := Setting{Path: x.path(f.names[0]), Secret: f.isSecret(f.names[0])}
	if variable, ok := x.variable(f); ok {
		s.Value, s.Variables = f.shown(f.names[0], variable.content), []string{variable.name}
		return s, true
	}
	s.Value, s.Secret = f.standard, false
	return s, f.standard != ""
}

// inFile is what the file says, or a registry's environment variable in its
// place.
func (x *explainer) inFile(f field, key string) Setting {
	s := x.options.s
	e := s.entries[s.index[key]]
	set := Setting{Path: x.path(key), Secret: f.isSecret(key), Line: e.line}
	content := ""
	if e.value.Kind != yaml.ScalarNode {
		content = describe(e.value)
	} else if v, err := s.scalar(e); err == nil {
		content = v.text
		if f.falsy && v.isFalse() {
			content = ""
		}
		if f.literal && v.pythonText() != "" {
			content = v.pythonText()
		}
	}
	set.Value = f.shown(key, content)
	if x.registry == nil {
		set.Variables = variables(s, key)
	} else if name := x.registry.setter(strings.ToLower(set.Path), false); name != "" {
		set.Line, set.Variables = 0, []string{name}
	}
	return set
}

func (x *explainer) path(key string) string {
	if x.options.s == nil {
		return shown(key)
	}
	return join(x.options.s.path, key)
}

type variable struct{ name, content string }

// variable is the environment variable that a field's value comes from where the
// file gives none, by the tag env: "NAME", "NAME (with option)", "NAME (when
// empty)" or "NAME (when option is empty)".
func (x *explainer) variable(f field) (variable, bool) {
	m := plainVariable.FindStringSubmatch(f.environment)
	if m == nil {
		return variable{}, false
	}
	holds := true
	switch m[2] {
	case "with":
		holds = x.isTrue(m[3])
	case "when":
		key := strings.TrimSuffix(strings.TrimSuffix(m[3], "empty"), " is ")
		if key == "" {
			key = f.names[0]
		}
		holds = x.isEmpty(key)
	}
	if !holds {
		return variable{}, false
	}
	file := &File{}
	if x.options.s != nil {
		file = x.options.s.file
	}
	content, set := file.lookup(m[1])
	return variable{m[1], content}, set && content != ""
}

// read gives the value of an option in the file.
func (x *explainer) read(key string) (v scalar, given bool) {
	if !x.options.Has(key) {
		return scalar{}, false
	}
	s := x.options.s
	v, err := s.scalar(s.entries[s.index[key]])
	return v, err == nil
}

func (x *explainer) isTrue(key string) bool {
	v, given := x.read(key)
	b, ok := v.boolean()
	return given && ok && b
}

// isEmpty says whether an option is given as an empty text; in a registry's
// configuration it may also be left out.
func (x *explainer) isEmpty(key string) bool {
	v, given := x.read(key)
	return given && v.text == "" || !given && x.registry != nil
}

// variables are the environment variables that a key's value refers to.
func variables(s *section, key string) (names []string) {
	i, there := s.index[key]
	if !there || s.file == nil || s.file.verbatim || s.entries[i].value.Kind != yaml.ScalarNode {
		return nil
	}
	for _, m := range reference.FindAllStringSubmatch(s.entries[i].value.Value, -1) {
		if name := s.file.origin(m[1]); !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// isSecret decides by the field's tag, else by the key's name.
func (f field) isSecret(key string) bool {
	return f.secret == "true" || f.secret != "false" && secretName(key)
}

// shown is a value as anybody may see it.
func (f field) shown(key, value string) string {
	if f.isSecret(key) && value != "" {
		return mask
	}
	return display(maskUserinfo(value))
}

// display is a value in one line of bounded length, ” for the empty one.
func display(value string) string {
	if value == "" {
		return "''"
	}
	if r := []rune(value); len(r) > longestShown {
		value = string(r[:longestShown]) + "…"
	}
	return oneLine(value)
}
