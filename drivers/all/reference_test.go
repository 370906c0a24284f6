package all

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/kedge/kedge/config"
)

// TestReferenceIsUpToDate keeps docs/drivers what the option structs say.
// KEDGE_UPDATE_DOCS=1 writes the files.
func TestReferenceIsUpToDate(t *testing.T) {
	for _, d := range Descriptions() {
		want, err := Reference(d.Name)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join("..", "..", "docs", "drivers", d.Name+".md")
		if os.Getenv("KEDGE_UPDATE_DOCS") != "" {
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		got, err := os.ReadFile(path)
		if err != nil || string(got) != want {
			t.Errorf("%s is not what the option struct says (%v): run KEDGE_UPDATE_DOCS=1 go test ./drivers/all", path, err)
		}
	}
	if _, err := Reference("azure"); err == nil {
		t.Error("there is a reference for a driver that there is not")
	}
}

// Every option says what it is and has an example that decodes.
func TestEveryOptionIsDescribed(t *testing.T) {
	for _, e := range table {
		for _, f := range optionFields(reflect.TypeOf(e.options()).Elem()) {
			if f.tag.Get("doc") == "" || f.tag.Get("example") == "" {
				t.Errorf("driver %s: option %s has no doc or no example", e.Name, f.key)
				continue
			}
			text := "services:\n  catalog:\n    object_store:\n      storage_driver:\n        name: " + e.Name + "\n        config:\n          " + f.key + ": " + quoted(f.tag.Get("example")) + "\n"
			file, err := config.Parse("example.yaml", []byte(text))
			if err != nil {
				t.Errorf("%s\n%v", text, err)
				continue
			}
			file.Lookup = func(string) (string, bool) { return "value", true }
			s, err := file.ObjectStore()
			if err == nil {
				err = s.Options.Decode(e.options())
			}
			if err != nil {
				t.Errorf("driver %s: the example of %s: %v", e.Name, f.key, err)
			}
		}
		for _, key := range e.example {
			if !strings.Contains(reference(e), "          "+key+": ") {
				t.Errorf("driver %s: the example names %s, which there is not", e.Name, key)
			}
		}
	}
}
