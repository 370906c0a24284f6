package all

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kedge/kedge/config"
)

// refusedExamples are the examples of the documentation that cannot work as
// they stand there, and what is said of them.
var refusedExamples = map[string]string{
	"kubernetes-config.yaml":         "bucket",             // an excerpt that shows only the keys
	"kubernetes-values.yaml":         "has no services",    // the chart's values: the configuration is inside of them
	"migrate-source.yaml":            ":1: not valid YAML", // an excerpt, with "..."
	"s3-empty-url.yaml":              "url: is empty",
	"swift-legacy.yaml":              "auth", // auth: ''
	"swift-v2.yaml":                  "did you mean min_size_kbytes",
	"swift-v3-misindented.yaml":      ":15: not valid YAML",
	"swift-v3-name-misindented.yaml": ":9: not valid YAML",
}

// TestDocumentedExamples gives every example of the documentation to its
// driver's options.
func TestDocumentedExamples(t *testing.T) {
	paths, err := filepath.Glob("../../config/testdata/documented/*")
	if err != nil || len(paths) < 5 {
		t.Fatalf("%d examples, %v", len(paths), err)
	}
	for _, path := range paths {
		name := filepath.Base(path)
		t.Run(name, func(t *testing.T) {
			err := checkExample(t, path)
			want, refused := refusedExamples[name]
			switch {
			case !refused && err != nil:
				t.Error(err)
			case refused && (err == nil || !strings.Contains(err.Error(), want)):
				t.Errorf("got %v, want an error that says %q", err, want)
			}
		})
	}
}

func checkExample(t *testing.T, path string) error {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text := string(data)
	if strings.HasPrefix(text, "object_store:") || strings.HasPrefix(text, "archive:") || strings.HasPrefix(text, " ") {
		text = "services:\n  catalog:\n    " + strings.ReplaceAll(strings.TrimSuffix(text, "\n"), "\n", "\n    ") + "\n"
	}
	f, err := config.Parse(path, []byte(text))
	if err != nil {
		return err
	}
	f.Lookup = func(string) (string, bool) { return "value", true }
	s, err := f.ObjectStore()
	if err != nil {
		return err
	}
	return Check(s)
}
