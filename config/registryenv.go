package config

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// override is an environment variable that changes a registry's configuration:
// REGISTRY_STORAGE_S3_BUCKET sets storage.s3.bucket. Its value is YAML.
type override struct {
	name, value string
	path        []string // in upper case, as it stands in the name
}

// overrides picks those that are about the storage, in the order in which the
// registry applies them: by name, so that REGISTRY_STORAGE comes before
// REGISTRY_STORAGE_S3_BUCKET.
func overrides(environ []string) (list []override) {
	for _, variable := range environ {
		name, value, _ := strings.Cut(variable, "=")
		path := strings.Split(name, "_")
		if path[0] == "REGISTRY" && len(path) > 1 && (path[1] == "STORAGE" || path[1] == "MIDDLEWARE") {
			list = append(list, override{name, value, path[1:]})
		}
	}
	slices.SortFunc(list, func(a, b override) int { return strings.Compare(a.name, b.name) })
	return list
}

// apply changes the tree of a configuration. A key matches whatever its case; a
// new one is in lower case.
func (o override) apply(root *yaml.Node) error {
	var value yaml.Node
	if err := yaml.Unmarshal([]byte(o.value), &value); err != nil {
		return errors.New("its value is not valid YAML") // which may be a secret
	}
	leaf := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null"}
	if len(value.Content) == 1 {
		leaf = value.Content[0]
	}
	clearLines(leaf, 0)
	return o.set(root, o.path, leaf)
}

func (o override) set(n *yaml.Node, path []string, leaf *yaml.Node) error {
	if path[0] == "" {
		return errors.New("two underscores follow each other")
	}
	if n.Kind == yaml.SequenceNode {
		return o.setElement(n, path, leaf)
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if !strings.EqualFold(n.Content[i].Value, path[0]) {
			continue
		}
		if len(path) == 1 {
			n.Content[i].Line, n.Content[i+1] = 0, leaf
			return nil
		}
		n.Content[i+1] = container(n.Content[i+1], path[1:])
		return o.set(n.Content[i+1], path[1:], leaf)
	}
	child := leaf
	if len(path) > 1 {
		child = container(nil, path[1:])
		if err := o.set(child, path[1:], leaf); err != nil {
			return err
		}
	}
	n.Content = append(n.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: strings.ToLower(path[0])}, child)
	return nil
}

// setElement changes an element of a list, or the one behind its end.
func (o override) setElement(n *yaml.Node, path []string, leaf *yaml.Node) error {
	i, err := strconv.Atoi(path[0])
	if err != nil || i < 0 || i > len(n.Content) {
		return fmt.Errorf("%q is no place in the list, which has %d entries", path[0], len(n.Content))
	}
	if i == len(n.Content) {
		n.Content = append(n.Content, container(nil, path[1:]))
	}
	if len(path) == 1 {
		n.Content[i] = leaf
		return nil
	}
	n.Content[i] = container(n.Content[i], path[1:])
	return o.set(n.Content[i], path[1:], leaf)
}

// container is the mapping or list that a path leads into: what is there, or a
// new one. A scalar in its place ("storage: filesystem") gives way.
func container(n *yaml.Node, path []string) *yaml.Node {
	if n != nil {
		if n.Kind == yaml.AliasNode { // what others refer to as well stays as it is
			n = cloneNode(resolve(n), 0)
		}
		if n.Kind == yaml.MappingNode || n.Kind == yaml.SequenceNode {
			return n
		}
	}
	if n != nil && n.Kind == yaml.ScalarNode && !isNull(n) {
		return &yaml.Node{Kind: yaml.MappingNode, Content: []*yaml.Node{{Kind: yaml.ScalarNode, Tag: "!!str", Value: n.Value, Line: n.Line}, {Kind: yaml.MappingNode, Line: n.Line}}}
	}
	if len(path) > 0 && isNumber(path[0]) {
		return &yaml.Node{Kind: yaml.SequenceNode}
	}
	return &yaml.Node{Kind: yaml.MappingNode}
}

func isNumber(s string) bool {
	_, err := strconv.Atoi(s)
	return err == nil
}

// clearLines takes away the lines that nodes have in a variable: they would be
// taken for lines of the file.
func clearLines(n *yaml.Node, depth int) {
	n.Line = 0
	if depth < maxAliasDepth {
		for _, c := range n.Content {
			clearLines(c, depth+1)
		}
	}
}

// cloneNode copies a tree. Aliases go on leading to the original.
func cloneNode(n *yaml.Node, depth int) *yaml.Node {
	c := *n
	if depth >= maxAliasDepth {
		return &c
	}
	c.Content = make([]*yaml.Node, len(n.Content))
	for i, child := range n.Content {
		c.Content[i] = cloneNode(child, depth+1)
	}
	return &c
}
