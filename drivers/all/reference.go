package all

import (
	"fmt"
	"reflect"
	"strings"
)

// Reference is the documentation of a driver's options as Markdown, made from
// the tags of its option struct: config, default, env, doc and example.
func Reference(name string) (string, error) {
	e, err := find(name)
	if err != nil {
		return "", err
	}
	return reference(e), nil
}

func reference(e entry) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Driver `%s`\n\n<!-- Generated from the option struct: KEDGE_UPDATE_DOCS=1 go test ./drivers/all -->\n\n", e.Name)
	fmt.Fprintf(&b, "Documents are %s. Their URIs begin with `%s`.", e.Summary, e.Scheme)
	if e.Compresses {
		b.WriteString(" Compression is supported.\n")
	} else {
		b.WriteString(" Compression is not supported: what the configuration says of it is ignored.\n")
	}
	fields := optionFields(reflect.TypeOf(e.options()).Elem())
	if len(fields) == 0 {
		b.WriteString("\nThere are no options.\n")
	} else {
		b.WriteString("\n| option | type | default | environment | what it does |\n|---|---|---|---|---|\n")
		for _, f := range fields {
			fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", f.key, f.kind, code(f.tag.Get("default")), cell(f.tag.Get("env")), cell(f.tag.Get("doc")))
		}
	}
	fmt.Fprintf(&b, "\n## Example\n\n```yaml\nservices:\n  catalog:\n    object_store:\n      compression:\n        enabled: %s\n        min_size_kbytes: 100\n      storage_driver:\n        name: %s\n        config:", map[bool]string{true: "True", false: "False"}[e.Compresses], e.Name)
	if len(e.example) == 0 {
		b.WriteString(" {}\n```\n")
	} else {
		b.WriteString("\n")
		for _, key := range e.example {
			for _, f := range fields {
				if f.key == key {
					fmt.Fprintf(&b, "          %s: %s\n", key, quoted(f.tag.Get("example")))
				}
			}
		}
		b.WriteString("```\n")
	}
	for i, note := range notes[e.Name] {
		if i == 0 {
			b.WriteString("\n## What to know\n\n")
		}
		fmt.Fprintf(&b, "- %s\n", note)
	}
	if len(fields) > 0 {
		b.WriteString("\n## Examples of every option\n\n```yaml\n")
		for _, f := range fields {
			fmt.Fprintf(&b, "%s: %s\n", f.key, quoted(f.tag.Get("example")))
		}
		b.WriteString("```\n")
	}
	return b.String()
}

// optionField is an option as its struct describes it.
type optionField struct {
	key, kind string
	tag       reflect.StructTag
}

func optionFields(t reflect.Type) (fields []optionField) {
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Anonymous && f.Type.Kind() == reflect.Struct {
			fields = append(fields, optionFields(f.Type)...)
			continue
		}
		key, _, _ := strings.Cut(f.Tag.Get("config"), ",")
		if key == "" {
			continue
		}
		kind := f.Type
		if kind.Kind() == reflect.Pointer {
			kind = kind.Elem()
		}
		name := map[reflect.Kind]string{reflect.String: "text", reflect.Bool: "boolean", reflect.Int: "number", reflect.Int64: "number"}[kind.Kind()]
		if f.Tag.Get("secret") == "true" {
			name += ", secret"
		}
		fields = append(fields, optionField{key: key, kind: name, tag: f.Tag})
	}
	return fields
}

func cell(s string) string { return strings.ReplaceAll(s, "|", `\|`) }

func code(s string) string {
	if s == "" {
		return ""
	}
	return "`" + cell(s) + "`"
}

// quoted is a value as YAML takes it without being misunderstood.
func quoted(s string) string {
	if strings.ContainsAny(s, ":#{}[]&*!|>'\"%@`,") || s == "" {
		return "'" + strings.ReplaceAll(s, "'", "''") + "'"
	}
	return s
}
