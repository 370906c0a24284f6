package all

import (
	"fmt"
	"reflect"
	"strings"
)

// Example is a configuration for a driver with every option explained, made from
// the tags of its option struct. What a first configuration needs is there, the
// rest is commented out.
func Example(name string) (string, error) {
	e, err := find(name)
	if err != nil {
		return "", err
	}
	return example(e), nil
}

// exampleHead is the same for all drivers: name, summary, what to do with
// compression.
const exampleHead = `# A configuration for the driver %s: documents are
# %s.
# ${NAME} in a value is replaced by the environment variable NAME.
credentials:
  database:
    # The database that holds the installation's catalog. --db-connect goes before it.
    db_connect: 'postgresql://anchore:${ANCHORE_DB_PASSWORD}@db.example.com:5432/anchore'
services:
  catalog:
    object_store:
      compression:
        # Compress documents before they are put.%s
        enabled: %s
        # Only documents larger than this, in units of 1024 bytes.
        min_size_kbytes: 100
      storage_driver:
        name: %s
`

func example(e entry) string {
	var b strings.Builder
	note, enabled := "", "True"
	if !e.Compresses {
		note, enabled = " This driver cannot: it is ignored.", "False"
	}
	fmt.Fprintf(&b, exampleHead, e.Name, e.Summary, note, enabled, e.Name)
	fields := optionFields(reflect.TypeOf(e.options()).Elem())
	if len(fields) == 0 {
		b.WriteString("        # There are no options.\n        config: {}\n")
		return b.String()
	}
	b.WriteString("        config:\n")
	const margin = "          "
	for _, f := range fields {
		for _, line := range wrap(optionNote(f), 100-len(margin)-2) {
			b.WriteString(margin + "# " + line + "\n")
		}
		off := "# "
		for _, key := range e.example {
			if key == f.key {
				off = ""
			}
		}
		fmt.Fprintf(&b, "%s%s%s: %s\n", margin, off, f.key, quoted(f.tag.Get("example")))
	}
	return b.String()
}

// optionNote is what there is to say about an option.
func optionNote(f optionField) string {
	note := f.tag.Get("doc") + " (" + f.kind
	if standard := f.tag.Get("default"); standard != "" {
		note += "; default " + standard
	}
	if variables := f.tag.Get("env"); variables != "" {
		note += "; environment " + variables
	}
	return note + ")"
}

// wrap breaks a text into lines of at most so many bytes, where its words allow.
func wrap(text string, width int) (lines []string) {
	line := ""
	for _, word := range strings.Fields(text) {
		switch {
		case line == "":
			line = word
		case len(line)+1+len(word) > width:
			lines = append(lines, line)
			line = word
		default:
			line += " " + word
		}
	}
	return append(lines, line)
}
