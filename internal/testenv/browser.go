package testenv

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/kedge/kedge/internal/testenv/tools"
)

// Browser is a headless Chromium with one window, driven by ChromeDriver.
type Browser struct {
	process *process
	url     string // of the driver
	session string // path of the session, from "/session/" on
}

// browserFlags are for a Chromium without a display, as root, that talks to
// nobody on its own account.
var browserFlags = []string{
	"--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-dev-shm-usage", "--no-first-run",
	"--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions",
	"--hide-scrollbars", "--force-color-profile=srgb",
	"--remote-debugging-pipe", // so that it ends with its driver, however that ends
}

// NewBrowser starts a browser for one test, which ends with the test.
func NewBrowser(tb testing.TB) *Browser {
	tb.Helper()
	b, err := environmentOf(tb).newBrowser()
	if err != nil {
		tb.Fatalf("testenv: %v", err)
	}
	tb.Cleanup(func() {
		// Closes the window; the driver's end ends what is left.
		_ = b.call(context.Background(), http.MethodDelete, "", nil, nil)
		b.process.stop(syscall.SIGTERM)
	})
	return b
}

func (e *environment) newBrowser() (*Browser, error) {
	program, driver, err := tools.Browser()
	if err != nil {
		return nil, err
	}
	folder, err := e.serverFolder("browser")
	if err != nil {
		return nil, err
	}
	b := new(Browser)
	err = onFreePort(func(port int) error {
		cmd := exec.Command(driver, fmt.Sprintf("--port=%d", port))
		cmd.Env = append(cmd.Environ(), "HOME="+folder, "TMPDIR="+folder)
		if b.process, err = startProcess("ChromeDriver", cmd, filepath.Join(folder, "log")); err != nil {
			return err
		}
		b.url = fmt.Sprintf("http://127.0.0.1:%d", port)
		return awaitReady(b.process, func(ctx context.Context) error { return b.send(ctx, http.MethodGet, "/status", nil, nil) })
	})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	var opened struct{ SessionID string }
	options := map[string]any{"binary": program, "args": append([]string{"--user-data-dir=" + filepath.Join(folder, "profile")}, browserFlags...)}
	wanted := map[string]any{"browserName": "chrome", "goog:chromeOptions": options, "goog:loggingPrefs": map[string]string{"performance": "ALL", "browser": "ALL"}}
	if err := b.send(ctx, http.MethodPost, "/session", map[string]any{"capabilities": map[string]any{"alwaysMatch": wanted}}, &opened); err != nil {
		b.process.stop(syscall.SIGTERM)
		return nil, fmt.Errorf("open a browser: %w; the driver's last words:\n%s", err, b.process.tail())
	}
	b.session = "/session/" + opened.SessionID
	return b, nil
}

// Open goes to a page and waits until it is loaded.
func (b *Browser) Open(tb testing.TB, url string) {
	tb.Helper()
	b.must(tb, "/url", map[string]any{"url": url}, nil)
}

// Evaluate runs a function's body in the page, and decodes the JSON of what it
// returns into result.
func (b *Browser) Evaluate(tb testing.TB, body string, result any) {
	tb.Helper()
	// The driver's own way to pass on objects stumbles over some names.
	var text string
	b.must(tb, "/execute/sync", map[string]any{"script": "return JSON.stringify((() => {" + body + "})())", "args": []any{}}, &text)
	if err := json.Unmarshal([]byte(text), result); err != nil {
		tb.Fatalf("testenv: browser: %v", err)
	}
}

// Show makes the window so many pixels wide, and prefers light or dark colours.
func (b *Browser) Show(tb testing.TB, width, height int, dark bool) {
	tb.Helper()
	b.command(tb, "Emulation.setDeviceMetricsOverride", map[string]any{"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}, nil)
	scheme := map[bool]string{true: "dark", false: "light"}[dark]
	b.command(tb, "Emulation.setEmulatedMedia", map[string]any{"features": []any{map[string]string{"name": "prefers-color-scheme", "value": scheme}}}, nil)
}

// Screenshot is the visible part of the page as a PNG.
func (b *Browser) Screenshot(tb testing.TB) []byte {
	tb.Helper()
	var shot struct{ Data string }
	b.command(tb, "Page.captureScreenshot", map[string]any{"format": "png"}, &shot)
	png, err := base64.StdEncoding.DecodeString(shot.Data)
	if err != nil {
		tb.Fatalf("testenv: screenshot: %v", err)
	}
	return png
}

// Requests gives the URLs that the browser has asked for since the last call,
// without those that lead nowhere ("data:") and those of its own empty page.
func (b *Browser) Requests(tb testing.TB) []string {
	tb.Helper()
	var urls []string
	for _, entry := range b.log(tb, "performance") {
		var event struct {
			Message struct {
				Method string
				Params struct{ Request struct{ URL string } }
			}
		}
		if err := json.Unmarshal([]byte(entry.Message), &event); err != nil {
			tb.Fatalf("testenv: browser's log: %v", err)
		}
		if url := event.Message.Params.Request.URL; event.Message.Method == "Network.requestWillBeSent" && !strings.HasPrefix(url, "data:") && !strings.HasPrefix(url, "chrome:") {
			urls = append(urls, url)
		}
	}
	return urls
}

// Complaints gives what the browser's console has said since the last call:
// errors and warnings of scripts, policies and requests.
func (b *Browser) Complaints(tb testing.TB) []string {
	tb.Helper()
	var said []string
	for _, entry := range b.log(tb, "browser") {
		said = append(said, entry.Level+": "+entry.Message)
	}
	return said
}

type browserLogEntry struct{ Level, Message string }

func (b *Browser) log(tb testing.TB, kind string) (entries []browserLogEntry) {
	tb.Helper()
	b.must(tb, "/se/log", map[string]any{"type": kind}, &entries)
	return entries
}

// command sends a command of the DevTools protocol.
func (b *Browser) command(tb testing.TB, name string, parameters map[string]any, result any) {
	tb.Helper()
	b.must(tb, "/goog/cdp/execute", map[string]any{"cmd": name, "params": parameters}, result)
}

func (b *Browser) must(tb testing.TB, path string, parameters, result any) {
	tb.Helper()
	if err := b.call(tb.Context(), http.MethodPost, path, parameters, result); err != nil {
		tb.Fatalf("testenv: browser: %s: %v", path, err)
	}
}

func (b *Browser) call(ctx context.Context, method, path string, parameters, result any) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	return b.send(ctx, method, b.session+path, parameters, result)
}

// send makes one request of the WebDriver protocol.
func (b *Browser) send(ctx context.Context, method, path string, parameters, result any) error {
	var body bytes.Buffer
	if parameters != nil {
		if err := json.NewEncoder(&body).Encode(parameters); err != nil {
			return err
		}
	}
	request, err := http.NewRequestWithContext(ctx, method, b.url+path, &body)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	var answer struct{ Value json.RawMessage }
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		return fmt.Errorf("status %s: %w", response.Status, err)
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", response.Status, answer.Value)
	}
	if result == nil {
		return nil
	}
	return json.Unmarshal(answer.Value, result)
}
