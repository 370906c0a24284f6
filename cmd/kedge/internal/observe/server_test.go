package observe

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"
)

// serve serves a run whose state the test sets.
func serve(t *testing.T) (s *Server, r *Recorder, now *atomic.Pointer[Progress], log *bytes.Buffer) {
	t.Helper()
	now, log = new(atomic.Pointer[Progress]), new(bytes.Buffer)
	p := moment(10)
	now.Store(&p)
	r = Record(func() Progress { return *now.Load() })
	t.Cleanup(r.Close)
	s, err := Listen(t.Context(), "127.0.0.1:0", r, slog.New(slog.NewTextHandler(log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	return s, r, now, log
}

// ask makes one request.
func ask(t *testing.T, method, url, host string) (*http.Response, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Host = host
	response, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, string(body)
}

func TestServer(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	defer http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	s, r, now, log := serve(t)
	base := strings.TrimSuffix(s.URL(), "/")
	for _, test := range []struct {
		method, path, host string
		status             int
		holds              string
	}{
		{"GET", "/", "", 200, "<title>kedge migrate</title>"},
		{"GET", "/live", "localhost:1234", 200, `data-value="997"`},
		{"GET", "/progress", "[::1]", 200, `"task_id": 12`},
		{"GET", "/healthz", "127.0.0.1", 200, `"state": "running"`},
		{"GET", "/metrics", "", 200, "kedge_documents_moved_total 997"},
		{"HEAD", "/", "", 200, ""},
		{"POST", "/progress", "", 405, ""},
		{"DELETE", "/", "", 405, ""},
		{"GET", "/progress", "evil.example", 421, "localhost"},
		{"GET", "/progress", "localhost.evil.example:9187", 421, "localhost"},
		{"GET", "/favicon.ico", "", 404, ""},
	} {
		response, body := ask(t, test.method, base+test.path, test.host)
		if response.StatusCode != test.status || !strings.Contains(body, test.holds) {
			t.Errorf("%s %s from %q: %s\n%s", test.method, test.path, test.host, response.Status, body)
		}
		for name, want := range map[string]string{"Cache-Control": "no-store", "Content-Security-Policy": "default-src 'none'", "X-Content-Type-Options": "nosniff"} {
			if got := response.Header.Get(name); !strings.HasPrefix(got, want) {
				t.Errorf("%s %s: %s: %q", test.method, test.path, name, got)
			}
		}
		if strings.Contains(body, "<script>alert") && test.path != "/metrics" { // which is no page
			t.Errorf("%s: a name became part of the page:\n%s", test.path, body)
		}
	}

	p := paused(11)
	now.Store(&p)
	if response, body := ask(t, "GET", base+"/healthz", ""); response.StatusCode != 503 || !strings.Contains(body, `"reason": "s3://b/ does not answer"`) {
		t.Errorf("a paused run: %s %s", response.Status, body)
	}
	if _, body := ask(t, "GET", base+"/", ""); !strings.Contains(body, "connection refused &lt;script&gt;") {
		t.Errorf("a paused run's page:\n%s", body)
	}

	// Whoever waits for the end is told it, though the server is being closed.
	told := make(chan string, 1)
	go func() {
		_, body := ask(t, "GET", base+"/end", "")
		told <- body
	}()
	for len(s.waiting) == 0 {
		ask(t, "GET", base+"/healthz", "")
	}
	last := moment(20)
	last.State = Complete
	r.End(last)
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if body := <-told; !strings.Contains(body, `data-state="complete"`) {
		t.Errorf("the end is told as\n%s", body)
	}
	if strings.Contains(log.String(), "level=WARN") || strings.Contains(log.String(), "level=ERROR") {
		t.Errorf("the log says\n%s", log)
	}
}

// A page that still waits does not keep the program from ending.
func TestServerThatIsClosedBeforeTheEnd(t *testing.T) {
	s, _, _, _ := serve(t)
	go http.Get(s.URL() + "end")
	for len(s.waiting) == 0 {
		ask(t, "GET", s.URL()+"healthz", "")
	}
	_ = s.Close() // within seconds, or the test never ends
}

func TestListening(t *testing.T) {
	s, r, _, _ := serve(t)
	defer s.Close()
	_, err := Listen(t.Context(), s.listener.Addr().String(), r, slog.New(slog.DiscardHandler))
	if err == nil || !strings.Contains(err.Error(), "--listen: cannot serve at "+s.listener.Addr().String()) {
		t.Errorf("a port that is taken: %v", err)
	}
	var log bytes.Buffer
	wide, err := Listen(t.Context(), "0.0.0.0:0", r, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	defer wide.Close()
	if !strings.Contains(log.String(), "level=WARN") || !strings.Contains(log.String(), "beyond this machine") {
		t.Errorf("it does not warn:\n%s", log.String())
	}
	_, port, _ := strings.Cut(strings.TrimPrefix(wide.listener.Addr().String(), "[::]"), ":")
	if response, _ := ask(t, "GET", "http://127.0.0.1:"+port+"/healthz", "kedge.example"); response.StatusCode != 200 {
		t.Errorf("asked by a name: %s", response.Status)
	}
}

func TestAddresses(t *testing.T) {
	for written, want := range map[string]string{
		"9187": "127.0.0.1:9187", ":9187": "127.0.0.1:9187", "localhost:0": "localhost:0", "0.0.0.0:80": "0.0.0.0:80", "[::1]:9187": "[::1]:9187",
		"": "", "host": "", "host:": "", "1.2.3.4:x": "", "1.2.3.4:65536": "", "-1": "", "1.2.3.4:+80": "", "::1": "",
	} {
		got, err := Address(written)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v; want %q", written, got, err, want)
		}
	}
}

// The JSON form keeps its lists, also where they are empty.
func TestProgressHasListsAlways(t *testing.T) {
	text, err := json.Marshal(Run{}.progress("documents", begun))
	if err != nil {
		t.Fatal(err)
	}
	for _, null := range []string{`"stages":null`, `"paused":null`, `"failures":null`, `"buckets":null`, `"bounds":null`, `"counts":null`} {
		if strings.Contains(string(text), null) {
			t.Errorf("%s in %s", null, text)
		}
	}
}
