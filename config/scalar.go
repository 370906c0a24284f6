package config

import (
	"regexp"
	"slices"
	"strconv"

	"go.yaml.in/yaml/v3"
)

// scalar is a single value as it was read.
type scalar struct {
	text     string // with environment variables filled in
	plain    bool   // neither quoted nor tagged as a string: YAML gives it a type
	expanded bool   // holds the content of an environment variable
}

// reference matches ${NAME} and nothing else that begins with a dollar sign.
var reference = regexp.MustCompile(`\$\{([A-Za-z_][A-Za-z0-9_]*)\}`)

// scalar reads a key's single value and fills in environment variables. What a
// variable holds is not searched for further references.
func (s *section) scalar(e entry) (scalar, error) {
	n := e.value
	if n.Kind != yaml.ScalarNode {
		return scalar{}, s.errorf(e.key, "is %s, wants a single value", describe(n))
	}
	plain, known := isPlain(n)
	if !known {
		return scalar{}, s.file.errorf(n.Line, join(s.path, e.key), "has a YAML tag (!) that has no meaning here")
	}
	v := scalar{text: n.Value, plain: plain}
	if s.file.verbatim || !reference.MatchString(n.Value) {
		return v, nil
	}
	if err := s.file.readEnvFile(); err != nil {
		return scalar{}, err
	}
	missing := ""
	v.text = reference.ReplaceAllStringFunc(n.Value, func(ref string) string {
		name := ref[2 : len(ref)-1]
		content, set := s.file.lookup(name)
		if !set && missing == "" {
			missing = name
		}
		v.expanded = true
		return content
	})
	if missing != "" {
		return scalar{}, s.file.errorf(n.Line, join(s.path, e.key), "the environment variable %s is not set%s", missing, s.file.env.miss())
	}
	return v, nil
}

// isPlain says whether YAML gives a value a type; known is false for a tag that
// means nothing here.
func isPlain(n *yaml.Node) (plain, known bool) {
	if n.Style&yaml.TaggedStyle == 0 {
		return n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) == 0, true
	}
	switch n.ShortTag() {
	case "!!str":
		return false, true
	case "!!bool", "!!int", "!!float", "!!null":
		return true, true
	}
	return false, false
}

var (
	nulls  = []string{"", "~", "null", "Null", "NULL"}
	falses = []string{"false", "False", "FALSE", "no", "No", "NO", "off", "Off", "OFF"}
	trues  = []string{"true", "True", "TRUE", "yes", "Yes", "YES", "on", "On", "ON"}
)

// boolean takes the value as a boolean in the spellings of YAML 1.1, quoted or
// not. ok says whether it is one.
func (v scalar) boolean() (value, ok bool) {
	switch {
	case v.text == "" && v.expanded: // a variable that is set to nothing
		return false, true
	case slices.Contains(trues, v.text), v.text == "y", v.text == "Y":
		return true, true
	case slices.Contains(falses, v.text), v.text == "n", v.text == "N":
		return false, true
	}
	return false, false
}

// isBoolean says whether Anchore's YAML reader makes a boolean of the value
// where nobody asked for one. To that reader y and n are words.
func (v scalar) isBoolean() bool {
	return v.plain && (slices.Contains(trues, v.text) || slices.Contains(falses, v.text))
}

// isFalse says whether the value is one of those by which Anchore's users say
// "none": an unquoted false or null.
func (v scalar) isFalse() bool {
	return v.plain && (slices.Contains(falses, v.text) || slices.Contains(nulls, v.text))
}

// pythonText is what Python prints for a boolean or null, "" for another value.
func (v scalar) pythonText() string {
	switch {
	case !v.plain:
	case slices.Contains(nulls, v.text):
		return "None"
	case slices.Contains(trues, v.text):
		return "True"
	case slices.Contains(falses, v.text):
		return "False"
	}
	return ""
}

// decimal matches whole numbers that mean the same to every YAML reader: a
// leading zero would make them octal to some.
var decimal = regexp.MustCompile(`^[-+]?(0|[1-9][0-9]*)$`)

// integer takes the value as a whole number of at most the given bits.
func (v scalar) integer(bits int) (int64, bool) {
	if !decimal.MatchString(v.text) {
		return 0, false
	}
	n, err := strconv.ParseInt(v.text, 10, bits)
	return n, err == nil
}

// boolean reads a single boolean, nil where the key is not given.
func (s *section) boolean(key string) (*bool, error) {
	v, given, err := s.value(key)
	if !given {
		return nil, err
	}
	b, ok := v.boolean()
	if !ok {
		return nil, s.errorf(key, "wants true or false")
	}
	return &b, nil
}

// text reads a single text, "" where the key is not given.
func (s *section) text(key string) (string, error) {
	v, given, err := s.value(key)
	if !given {
		return "", err
	}
	return field{}.text(s, key, v)
}
