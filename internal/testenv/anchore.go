package testenv

import (
	"bufio"
	"bytes"
	_ "embed"
	"encoding/json"
	"os"
	"os/exec"
	"testing"

	"github.com/kedge/kedge/internal/testenv/tools"
)

//go:embed openstack/anchore_reader.py
var anchoreReader string

//go:embed openstack/anchore_swift.py
var anchoreSwift string

// ReadAsAnchore says of each URI whether Anchore's reader of its driver, which is
// Python's urllib.parse and, for swift, python-swiftclient's HTTP client, finds
// what is exactly where the URI says.
func ReadAsAnchore(tb testing.TB, uris []string) []bool {
	tb.Helper()
	return answersOf[string, bool](tb, anchoreReader, nil, uris)
}

// AnchoreRequest asks for an operation of Anchore's own driver for Swift.
type AnchoreRequest struct {
	Op   string `json:"op"` // put, get or delete
	URI  string `json:"uri"`
	Body []byte `json:"body,omitempty"` // of a put
}

// AnchoreAnswer is what came of it.
type AnchoreAnswer struct {
	Body  []byte `json:"body"`  // of a get
	Error string `json:"error"` // "" for success
}

// AsAnchore does operations in Swift one after the other as Anchore does them, by
// python-swiftclient, and gives an answer to each.
func (s *SwiftServer) AsAnchore(tb testing.TB, requests ...AnchoreRequest) []AnchoreAnswer {
	tb.Helper()
	args := []string{s.AuthURL, s.User, s.Key}
	if s.AuthVersion == 3 {
		args = append(args, s.Project)
	}
	return answersOf[AnchoreRequest, AnchoreAnswer](tb, anchoreSwift, args, requests)
}

// answersOf runs a Python program that answers each line of JSON with one.
func answersOf[Q, A any](tb testing.TB, program string, args []string, questions []Q) []A {
	tb.Helper()
	python, err := tools.SwiftClient()
	if err != nil {
		tb.Fatalf("testenv: %v", err)
	}
	var in, stderr bytes.Buffer
	asked := json.NewEncoder(&in)
	for _, question := range questions {
		if err := asked.Encode(question); err != nil {
			tb.Fatalf("testenv: %v", err)
		}
	}
	cmd := exec.CommandContext(tb.Context(), python, append([]string{"-c", program}, args...)...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "PYTHONDONTWRITEBYTECODE=1", "PYTHONIOENCODING=utf-8"}
	cmd.Stdin, cmd.Stderr = &in, &stderr
	out, err := cmd.Output()
	if err != nil {
		tb.Fatalf("testenv: Anchore's way in Python: %v\n%s", err, stderr.Bytes())
	}
	var answers []A
	lines := bufio.NewScanner(bytes.NewReader(out))
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		var answer A
		if err := json.Unmarshal(lines.Bytes(), &answer); err != nil {
			tb.Fatalf("testenv: %v in %s", err, lines.Bytes())
		}
		answers = append(answers, answer)
	}
	if lines.Err() != nil || len(answers) != len(questions) {
		tb.Fatalf("testenv: %d answers to %d questions (%v)\n%s", len(answers), len(questions), lines.Err(), stderr.Bytes())
	}
	return answers
}
