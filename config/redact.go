package config

import (
	"bytes"
	"errors"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// mask stands in place of a secret.
const mask = "********"

// Redacted gives the section as YAML, in the form in which Anchore prints what
// a config.yaml must hold after a migration: compression and storage_driver,
// keys sorted, legacy keys rewritten. It can be shown to anybody:
//
//   - a secret is masked: an option whose field in the struct that options
//     points to is tagged secret:"true", and one whose name has "key",
//     "secret", "pass" or "token" in it unless its field is tagged
//     secret:"false"; and whatever an option holds that has no field, because
//     nothing tells what it is, but for true and false. options may be nil;
//   - user and password inside a URL are masked in any value;
//   - ${NAME} is left as it stands in the file, also in a secret that consists
//     of nothing else.
func (s *Store) Redacted(options any) string {
	r := newRedactor(options)
	root := mapping()
	add(root, "compression", r.compression(s))
	if s.section != nil && !s.legacy {
		if e, given, err := s.section.get("enabled"); given && err == nil {
			add(root, "enabled", r.node(e.key, e.value, 0))
		}
	}
	driver := mapping()
	add(driver, "config", r.options(s.Options))
	add(driver, "name", r.driver(s))
	add(root, "storage_driver", driver)

	return printed(root, 2)
}

// printed is a tree as YAML.
func printed(root *yaml.Node, indent int) string {
	var out bytes.Buffer
	encoder := yaml.NewEncoder(&out)
	encoder.SetIndent(indent)
	if errors.Join(encoder.Encode(root), encoder.Close()) != nil {
		return "# cannot be shown as YAML\n" // the error might quote a value
	}
	return out.String()
}

type redactor struct {
	tags   map[string]string // option -> its tag secret
	typed  bool              // tags has all options that there are
	budget int               // nodes that may still be printed
}

// newRedactor makes one for the options of a struct, which may be nil.
func newRedactor(options any) redactor {
	fields, err := fieldsOf(options)
	r := redactor{tags: map[string]string{}, typed: err == nil, budget: maxMergedPairs}
	for _, f := range fields {
		for _, name := range f.names {
			r.tags[name] = f.secret
		}
	}
	return r
}

func (r *redactor) compression(s *Store) *yaml.Node {
	m := mapping()
	given := Options{s.compression}
	set := func(key string, standard *yaml.Node) {
		if given.Has(key) {
			standard = r.node(key, given.s.entries[given.s.index[key]].value, 0)
		}
		add(m, key, standard)
	}
	set("enabled", boolean(s.Compression.Enabled))
	set("min_size_kbytes", &yaml.Node{Kind: yaml.ScalarNode, Value: s.Compression.minKilobytes()})
	return m
}

func (r *redactor) options(o Options) *yaml.Node {
	m := mapping()
	if o.s == nil {
		return m
	}
	entries := slices.Clone(o.s.entries)
	slices.SortFunc(entries, func(a, b entry) int { return strings.Compare(a.key, b.key) })
	for _, e := range entries {
		add(m, e.key, r.node(e.key, e.value, 0))
	}
	return m
}

func (r *redactor) driver(s *Store) *yaml.Node {
	if s.storage != nil {
		if e, given, err := s.storage.get("name"); given && err == nil {
			return r.node(e.key, e.value, 0)
		}
	}
	return text(s.Driver)
}

// maxShownDepth bounds the nesting that is printed; no option is nested.
const maxShownDepth = 8

// node copies what a key holds, without secrets, comments and anchors.
func (r *redactor) node(key string, n *yaml.Node, depth int) *yaml.Node {
	n = resolve(n)
	if r.budget--; r.budget < 0 || depth > maxShownDepth {
		return text(mask)
	}
	if n.Kind == yaml.ScalarNode {
		return r.scalar(key, n)
	}
	if r.secret(key) || r.foreign(key) {
		return text(mask)
	}
	c := &yaml.Node{Kind: n.Kind, Tag: n.Tag}
	for i, child := range n.Content {
		switch {
		case n.Kind == yaml.SequenceNode:
			c.Content = append(c.Content, r.node(key, child, depth+1))
		case i%2 == 1 && resolve(n.Content[i-1]).Kind == yaml.ScalarNode:
			name := resolve(n.Content[i-1]).Value
			add(c, name, r.node(name, child, depth+1))
		}
	}
	return c
}

func (r *redactor) scalar(key string, n *yaml.Node) *yaml.Node {
	if isNull(n) {
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null", Value: "null"}
	}
	v := scalar{text: n.Value, plain: n.Style == 0}
	if (r.secret(key) || r.foreign(key) && !v.isBoolean()) && reference.ReplaceAllString(n.Value, "") != "" {
		return text(mask)
	}
	if b, ok := v.boolean(); ok && v.isBoolean() {
		return boolean(b)
	}
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: n.Tag, Style: n.Style, Value: maskUserinfo(n.Value)}
}

// secret decides whether a key's value is masked.
func (r *redactor) secret(key string) bool { return field{secret: r.tags[key]}.isSecret(key) }

// foreign says that a key is none that kedge knows.
func (r *redactor) foreign(key string) bool {
	_, known := r.tags[key]
	return r.typed && !known && !slices.Contains(sectionKeys, key)
}

// sectionKeys are those that are shown of a store's section beside its driver's
// options.
var sectionKeys = []string{"enabled", "min_size_kbytes", "name"}

// secretName says whether a key is a secret's, by its name.
func secretName(key string) bool {
	key = strings.ToLower(key)
	return slices.ContainsFunc([]string{"key", "secret", "pass", "token"}, func(part string) bool { return strings.Contains(key, part) })
}

// userinfo matches what stands before the host in a URL, up to the last "@".
var userinfo = regexp.MustCompile(`(?s)://.*@`)

func maskUserinfo(value string) string {
	return userinfo.ReplaceAllLiteralString(value, "://"+mask+"@")
}

func mapping() *yaml.Node {
	return &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
}

func text(s string) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: s}
}

func boolean(b bool) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: strconv.FormatBool(b)}
}

func add(m *yaml.Node, key string, value *yaml.Node) {
	m.Content = append(m.Content, text(key), value)
}
