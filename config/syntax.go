package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v3"
)

// parseYAML parses the one document that data must hold and gives its root.
func parseYAML(path string, data []byte) (*yaml.Node, error) {
	lines := &lineReader{data: data}
	decoder := yaml.NewDecoder(lines)
	var document, second yaml.Node
	switch err := decoder.Decode(&document); {
	case errors.Is(err, io.EOF):
		return nil, &Error{File: path, Msg: "is empty"}
	case err != nil:
		return nil, syntaxError(path, data, lines.delivered, err)
	}
	switch err := decoder.Decode(&second); {
	case err == nil:
		return nil, &Error{File: path, Line: second.Line,
			Msg: "holds several YAML documents (a line \"---\" or \"...\" begins another), wants one"}
	case !errors.Is(err, io.EOF):
		return nil, syntaxError(path, data, lines.delivered, err)
	}
	if len(document.Content) != 1 {
		return nil, &Error{File: path, Msg: "is empty"}
	}
	root := resolve(document.Content[0])
	if isNull(root) {
		return nil, &Error{File: path, Msg: "is empty"}
	}
	return root, nil
}

// lineReader hands out one line a call, so that the lines delivered when the
// parser fails tell how far it had come.
type lineReader struct {
	data      []byte
	delivered int
}

func (r *lineReader) Read(p []byte) (int, error) {
	if len(r.data) == 0 {
		return 0, io.EOF
	}
	n := min(len(p), len(r.data))
	if i := bytes.IndexByte(r.data[:n], '\n'); i >= 0 {
		n = i + 1
		r.delivered++
	} else if n == len(r.data) {
		r.delivered++
	}
	copy(p, r.data[:n])
	r.data = r.data[n:]
	return n, nil
}

// syntaxError makes an Error of one of the YAML parser's. reached is the number
// of lines that the parser had seen.
func syntaxError(path string, data []byte, reached int, err error) *Error {
	line := brokenLine(data, reached)
	return &Error{File: path, Line: line, Msg: "not valid YAML: " + explain(err), excerpt: excerptOfBroken(data, line)}
}

// searchBytes bounds what brokenLine may parse again in all.
const searchBytes = 8 << 20

// brokenLine finds the line at fault. The parser itself names the line on which
// the surrounding block began, if any: of no use in a long file. Instead: all
// lines up to some line parse by themselves, and no longer piece up to where the
// parser gave up does. The line behind that is at fault.
func brokenLine(data []byte, reached int) int {
	ends := []int{0}
	for i, b := range data {
		if b == '\n' {
			ends = append(ends, i+1)
		}
	}
	if ends[len(ends)-1] != len(data) {
		ends = append(ends, len(data))
	}
	reached = min(reached, len(ends)-1)
	work := 0
	for whole := reached - 1; whole >= 0; whole-- {
		work += ends[whole]
		if work > searchBytes {
			break
		}
		if parses(data[:ends[whole]]) {
			return whole + 1
		}
	}
	return reached
}

// parses says whether data is YAML, of any number of documents.
func parses(data []byte) bool {
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	for {
		var n yaml.Node
		if err := decoder.Decode(&n); err != nil {
			return errors.Is(err, io.EOF)
		}
	}
}

// explanations put the parser's findings into the words of somebody who edits
// the file.
var explanations = []struct{ found, plain string }{
	{"did not find expected key", "the indentation fits none of the lines above"},
	{"did not find expected '-' indicator", "the indentation fits none of the lines above"},
	{"mapping values are not allowed", "a second \": \" where one value belongs (wrong indentation, or a value that needs quotes)"},
	{"cannot start any token", "a character that no value may begin with (a tab, or a value that needs quotes)"},
	{"found a tab character", "a tab in the indentation, which must be spaces"},
	{"could not find expected ':'", "a line without \": \" between key and value"},
	{"unknown anchor", "a value that begins with \"*\" refers to a name (&name) that is not in the file; quote it if it is meant as it stands"},
	{"control characters are not allowed", "it holds control characters, so it is no text"},
	{"UTF-8", "it is not text in UTF-8"},
	{"did not find expected node content", "something stands where a value belongs (a line \"...\" ends the document)"},
	{"unexpected end of stream", "a quotation mark that is never closed"},
	{"expected ',' or", "a bracket that is never closed, or a comma missing inside (${NAME} inside brackets needs quotes)"},
}

// explain gives the reason for a syntax error. What the parser says is passed
// on only where it is one of its fixed sentences: an unknown anchor would be
// quoted, and that may be a password that begins with an asterisk.
func explain(err error) string {
	msg := err.Error()
	for _, e := range explanations {
		if strings.Contains(msg, e.found) {
			return e.plain
		}
	}
	msg = strings.TrimPrefix(msg, "yaml: ")
	var line int
	if n, _ := fmt.Sscanf(msg, "line %d:", &line); n == 1 {
		_, msg, _ = strings.Cut(msg, ": ")
	}
	return msg
}
