package testenv

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

// What a page asks for and complains of is seen, or tests of pages would see
// nothing.
func TestBrowserTellsOfRequestsAndComplaints(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/" {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "text/html")
		w.Write([]byte(`<title>hello</title><link rel="icon" href="data:,"><script>fetch("/asked").then(() => { document.title += " again"; console.error("lost"); });</script>`))
	}))
	defer server.Close()
	b := NewBrowser(t)
	b.Show(t, 360, 640, true)
	b.Open(t, server.URL+"/")
	var seen struct {
		Title  string
		Window int
		Dark   bool
	}
	for seen.Title != "hello again" {
		b.Evaluate(t, `return {Title: document.title, Window: innerWidth, Dark: matchMedia("(prefers-color-scheme: dark)").matches}`, &seen)
	}
	if !seen.Dark || seen.Window == 0 {
		t.Errorf("the page is shown as %+v", seen)
	}
	if got := b.Requests(t); !slices.Equal(got, []string{server.URL + "/", server.URL + "/asked"}) {
		t.Errorf("it asked for %q", got)
	}
	if got := strings.Join(b.Complaints(t), "\n"); !strings.Contains(got, "404") || !strings.Contains(got, "lost") {
		t.Errorf("it complained: %s", got)
	}
	if png := b.Screenshot(t); !strings.HasPrefix(string(png), "\x89PNG") {
		t.Errorf("the screenshot begins with %q", png[:min(len(png), 8)])
	}
}
