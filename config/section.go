package config

import (
	"fmt"
	"slices"

	"go.yaml.in/yaml/v3"
)

// Limits against files that are small to write and endless to read.
const (
	maxAliasDepth  = 64
	maxMergedPairs = 10_000
)

// section is one mapping of the file with its aliases and merge keys resolved.
type section struct {
	file    *File
	path    string
	line    int
	entries []entry        // in the file's order, those from merge keys last
	index   map[string]int // key -> place in entries
	twice   map[string]int // key -> line of its second appearance
	oddKey  *yaml.Node     // a key that is a mapping or a list, nil if there is none
}

type entry struct {
	key   string
	line  int
	value *yaml.Node
}

// resolve follows an alias to what it stands for.
func resolve(n *yaml.Node) *yaml.Node {
	for range maxAliasDepth {
		if n.Kind != yaml.AliasNode {
			break
		}
		n = n.Alias
	}
	return n
}

func isNull(n *yaml.Node) bool {
	return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null"
}

// describe names what a node is, with its article.
func describe(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.MappingNode:
		return "a mapping"
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case isNull(n):
		return "empty"
	default:
		return "a single value"
	}
}

// section makes a section of a node; path and line are where it stands.
func (f *File) section(path string, line int, n *yaml.Node) (*section, error) {
	n = resolve(n)
	if n.Kind != yaml.MappingNode {
		return nil, f.errorf(line, path, "is %s, wants a mapping of keys", describe(n))
	}
	s := &section{file: f, path: path, line: line, index: map[string]int{}, twice: map[string]int{}}
	budget := maxMergedPairs
	if err := s.collect(n, 0, &budget); err != nil {
		return nil, err
	}
	return s, nil
}

// collect adds a mapping's pairs and then those of its merge keys. A key that
// is there already wins, as YAML's merge key type has it.
func (s *section) collect(n *yaml.Node, depth int, budget *int) error {
	if depth > maxAliasDepth {
		return s.file.errorf(n.Line, s.path, "merge keys (<<) go too deep or in a circle")
	}
	merges, err := s.collectPairs(n, depth, budget)
	switch {
	case err != nil:
		return err
	case len(merges) == 0:
		return nil
	case len(merges) > 1:
		return s.file.errorf(merges[1].Line, s.path, "has more than one merge key (<<)")
	}
	return s.merge(merges[0], depth, budget)
}

// collectPairs adds a mapping's pairs and gives what its merge keys refer to.
func (s *section) collectPairs(n *yaml.Node, depth int, budget *int) (merges []*yaml.Node, err error) {
	here := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := resolve(n.Content[i]), n.Content[i+1]
		if depth > 0 {
			if err := s.spend(n.Line, budget); err != nil {
				return nil, err
			}
		}
		if key.Kind != yaml.ScalarNode {
			s.oddKey = key // only a fault where keys are checked
			continue
		}
		if key.ShortTag() == "!!merge" {
			merges = append(merges, value)
			continue
		}
		_, known := s.index[key.Value]
		switch {
		case known && here[key.Value]:
			if _, again := s.twice[key.Value]; !again {
				s.twice[key.Value] = key.Line
			}
		case !known:
			here[key.Value] = true
			s.index[key.Value] = len(s.entries)
			s.entries = append(s.entries, entry{key: key.Value, line: key.Line, value: resolve(value)})
		}
	}
	return merges, nil
}

// spend takes one from the budget of keys that merge keys may bring in.
func (s *section) spend(line int, budget *int) error {
	if *budget--; *budget < 0 {
		return s.file.errorf(line, s.path, "merge keys (<<) bring in more than %d keys", maxMergedPairs)
	}
	return nil
}

// merge adds what one merge key refers to: a mapping, or a list of mappings of
// which the earlier wins.
func (s *section) merge(n *yaml.Node, depth int, budget *int) error {
	line := n.Line
	sources := []*yaml.Node{resolve(n)}
	if sources[0].Kind == yaml.SequenceNode {
		sources = sources[0].Content
	}
	for _, source := range sources {
		if err := s.spend(line, budget); err != nil {
			return err
		}
		source = resolve(source)
		if source.Kind != yaml.MappingNode {
			return s.file.errorf(line, s.path, "a merge key (<<) refers to what is not a mapping")
		}
		if err := s.collect(source, depth+1, budget); err != nil {
			return err
		}
	}
	return nil
}

// get finds a key. A null is a key that is not given. A key that stands twice
// is an error, because no reader could tell which one holds.
func (s *section) get(key string) (entry, bool, error) {
	i, ok := s.index[key]
	if !ok {
		return entry{}, false, nil
	}
	if line, twice := s.twice[key]; twice {
		return entry{}, false, s.file.errorf(line, join(s.path, key), "is given twice, first on line %d", s.entries[i].line)
	}
	return s.entries[i], !isNull(s.entries[i].value), nil
}

// has says whether a key is there; it may be null.
func (s *section) has(key string) bool {
	_, there := s.index[key]
	return there
}

// value gives the single value of a key that is neither missing nor null.
func (s *section) value(key string) (v scalar, given bool, err error) {
	e, given, err := s.get(key)
	if err != nil || !given {
		return scalar{}, false, err
	}
	v, err = s.scalar(e)
	return v, err == nil, err
}

// falsy says whether a key is missing, or holds what Anchore takes for nothing:
// null, False, 0, an empty text, mapping or list.
func (s *section) falsy(key string) (bool, error) {
	e, given, err := s.get(key)
	switch {
	case err != nil || !given:
		return true, err
	case e.value.Kind != yaml.ScalarNode:
		return len(e.value.Content) == 0, nil
	}
	v, err := s.scalar(e)
	return v.text == "" || v.isFalse() || v.plain && v.text == "0", err
}

// child gives the section under a key, nil if the key is missing or null.
func (s *section) child(key string) (*section, error) {
	e, given, err := s.get(key)
	if err != nil || !given {
		return nil, err
	}
	return s.file.section(join(s.path, key), e.line, e.value)
}

// check warns of keys that are not known. It refuses those that seem to be
// misspelt, because they were meant to count, and those that stand twice.
func (s *section) check(known ...string) error {
	if s.oddKey != nil {
		return s.file.errorf(s.oddKey.Line, s.path, "has a key that is %s, wants words as keys", describe(s.oddKey))
	}
	for _, e := range s.entries {
		if !slices.Contains(known, e.key) {
			if near := nearMiss(e.key, known); near != "" {
				return s.errorf(e.key, "%s", unknownKey(near, known))
			}
			s.warnf(e.key, "%s; kedge leaves it out", unknownKey("", known))
			continue
		}
		if _, _, err := s.get(e.key); err != nil {
			return err
		}
	}
	return nil
}

// lineOf is the line of a key, the section's own where it has no such key.
func (s *section) lineOf(key string) int {
	if i, ok := s.index[key]; ok {
		return s.entries[i].line
	}
	return s.line
}

func (s *section) errorf(key, format string, args ...any) *Error {
	return s.file.errorf(s.lineOf(key), join(s.path, key), "%s", fmt.Sprintf(format, args...))
}
