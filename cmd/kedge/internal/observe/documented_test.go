package observe

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/kedge/kedge/internal/testenv/tools"
)

// read gives a file of the repository.
func read(t *testing.T, parts ...string) string {
	t.Helper()
	root, err := tools.Root()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(append([]string{root}, parts...)...))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Prometheus itself finds nothing to say against the metrics.
func TestMetricsPassPromtool(t *testing.T) {
	promtool, err := tools.Promtool()
	if err != nil {
		t.Fatal(err)
	}
	s, _, _, _ := serve(t)
	defer s.Close()
	_, body := ask(t, "GET", s.URL()+"metrics", "")
	check := func(text string) string {
		cmd := exec.Command(promtool, "check", "metrics")
		cmd.Stdin = strings.NewReader(text)
		out, err := cmd.CombinedOutput()
		if err != nil {
			return string(out) + err.Error()
		}
		return string(out)
	}
	if said := check(body); said != "" {
		t.Errorf("promtool says %s", said)
	}
	if said := check(body + "bad_name_total{ 1\n"); said == "" {
		t.Error("promtool says nothing to nonsense either")
	}
}

// What is offered is documented, and what the dashboard asks for is offered.
func TestMetricsAreDocumentedAndDrawn(t *testing.T) {
	page, offered := read(t, "docs", "observing.md"), make(map[string]bool)
	for _, m := range runMetrics {
		offered[m.name] = true
		if m.histograms != nil {
			offered[m.name+"_bucket"], offered[m.name+"_sum"], offered[m.name+"_count"] = true, true, true
		}
		if !strings.Contains(page, "| `"+m.name+"` |") {
			t.Errorf("docs/observing.md has no row for %s: %s", m.name, m.help)
		}
	}
	name := regexp.MustCompile(`kedge_[a-z_]+`)
	for _, documented := range name.FindAllString(page, -1) {
		if !offered[documented] {
			t.Errorf("docs/observing.md names %s, which there is not", documented)
		}
	}
	var dashboard struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal([]byte(read(t, "contrib", "grafana", "kedge.json")), &dashboard); err != nil {
		t.Fatal(err)
	}
	asked := 0
	for _, panel := range dashboard.Panels {
		for _, target := range panel.Targets {
			for _, wanted := range name.FindAllString(target.Expr, -1) {
				if asked++; !offered[wanted] {
					t.Errorf("the dashboard's %q asks for %s, which there is not", panel.Title, wanted)
				}
			}
		}
	}
	if asked < 20 {
		t.Errorf("the dashboard asks for %d metrics", asked)
	}
}

// Every field of the JSON form is documented.
func TestProgressIsDocumented(t *testing.T) {
	page := read(t, "docs", "observing.md")
	var fields func(of reflect.Type, path string)
	fields = func(of reflect.Type, path string) {
		switch of.Kind() {
		case reflect.Slice, reflect.Pointer:
			fields(of.Elem(), path)
			return
		case reflect.Struct:
		default:
			return
		}
		for i := range of.NumField() {
			field := of.Field(i)
			if name, _, _ := strings.Cut(field.Tag.Get("json"), ","); name != "" && name != "-" {
				if !strings.Contains(page, "`"+name+"`") {
					t.Errorf("docs/observing.md does not tell of %s%s", path, name)
				}
				fields(field.Type, path+name+".")
			}
		}
	}
	fields(reflect.TypeFor[Progress](), "")
	for _, s := range States {
		if !strings.Contains(page, "`"+string(s)+"`") {
			t.Errorf("docs/observing.md does not tell of the state %s", s)
		}
	}
}
