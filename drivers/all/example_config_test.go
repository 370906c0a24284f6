package all

import (
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/kedge/kedge/config"
)

// TestExamplesAreConfigurations reads every example as it stands, and with all
// options in place of the comments.
func TestExamplesAreConfigurations(t *testing.T) {
	commented := regexp.MustCompile(`(?m)^( *)# ([a-z0-9_]+: )`)
	for _, name := range Names() {
		text, err := Example(name)
		if err != nil {
			t.Fatal(err)
		}
		s := storeOf(t, text)
		if s.Driver != name {
			t.Errorf("the example for %s is one for %s", name, s.Driver)
		}
		if err := Check(s); err != nil {
			t.Errorf("driver %s: %v\n%s", name, err, text)
		}
		options, err := NewOptions(s)
		if err != nil {
			t.Fatal(err)
		}
		full := storeOf(t, commented.ReplaceAllString(text, "$1$2"))
		if err := full.Options.Decode(options); err != nil {
			t.Errorf("driver %s with every option: %v", name, err)
		}
		if got, want := len(full.Options.Keys()), len(optionFields(reflect.TypeOf(options).Elem())); got != want {
			t.Errorf("driver %s: %d options in the example, want %d", name, got, want)
		}
		for _, line := range strings.Split(text, "\n") {
			if len(line) > 120 {
				t.Errorf("driver %s: a line of %d bytes: %s", name, len(line), line)
			}
		}
	}
	if _, err := Example("azure"); err == nil {
		t.Error("there is an example for a driver that there is not")
	}
}

func storeOf(t *testing.T, text string) *config.Store {
	t.Helper()
	f, err := config.Parse("example.yaml", []byte(text))
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	f.Lookup = func(string) (string, bool) { return "value", true }
	if _, err := f.Database(); err != nil {
		t.Error(err)
	}
	s, err := f.ObjectStore()
	if err != nil {
		t.Fatal(err)
	}
	return s
}
