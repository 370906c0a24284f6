// Package foreign tells answers of S3 from those that no S3 server gave: a proxy's
// page of errors, a login page, a load balancer's word.
package foreign

import (
	"bytes"
	"context"
	"fmt"
	"html"
	"io"
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/drivers/httpstore"
)

// Answer is one that no S3 server gave, as an error. Whatever its status says, it
// tells nothing of an object: a 404 does not mean that there is none, nor a 200 that
// it was stored.
type Answer struct {
	status     int
	words      string // how its body begins
	RetryAfter string // its header of that name
	proxy      string // host of the proxy that refused to connect, "" where it is not known who answered
}

// Error tells who answered, and how the answer begins.
func (f *Answer) Error() string {
	says := fmt.Sprintf("%d %s", f.status, http.StatusText(f.status))
	if f.words != "" {
		says += fmt.Sprintf(": %q", f.words)
	}
	if f.proxy != "" {
		return "the proxy " + f.proxy + " lets nobody through to the server: it answered " + says
	}
	return "not an answer of S3: a proxy between? It says " + says
}

// Judge says what it means to the caller. A proxy's servers may come back.
func (f *Answer) Judge() httpstore.Verdict {
	v := httpstore.Verdict{Text: f.Error(), Mend: "check url, HTTPS_PROXY, HTTP_PROXY and NO_PROXY"}
	switch {
	case f.status == http.StatusProxyAuthRequired:
		v.Mend = "give the proxy's user and password in HTTPS_PROXY or HTTP_PROXY, or name the server in NO_PROXY"
	case f.status == http.StatusRequestEntityTooLarge:
		v.Kind, v.Mend = drivers.TooLarge, "let the proxy pass longer requests"
	case f.status == http.StatusNetworkAuthenticationRequired:
	case httpstore.Passes(f.status):
		v.Kind = drivers.Temporary
	}
	return v
}

// ExpectationFailed says whether what answered knows no "Expect: 100-continue".
func (f *Answer) ExpectationFailed() bool { return f.status == http.StatusExpectationFailed }

// Refuses says whether it forbids the request, which another one may pass: a rule
// against a method, say.
func (f *Answer) Refuses() bool {
	return f.proxy == "" && f.status >= 400 && f.status < 500 && f.status != http.StatusProxyAuthRequired && !httpstore.Passes(f.status)
}

// Transport tells answers of S3 from those of others, which it turns into an error.
type Transport struct{ *http.Transport }

// RoundTrip sends a request.
func (t Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := t.Transport.RoundTrip(r)
	if err != nil || !isForeign(response) {
		return response, err
	}
	return nil, Of(response)
}

// isForeign judges by what all S3 servers do: their errors are XML, their headers
// include some that begin with X-Amz, and none of what kedge asks for is HTML.
func isForeign(response *http.Response) bool {
	if OfAmazonKind(response.Header) {
		return false
	}
	kind, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type")) // "" where there is none
	method, refused := response.Request.Method, response.StatusCode >= 300
	switch {
	case response.StatusCode == http.StatusProxyAuthRequired, kind == "text/html", kind == "application/xhtml+xml":
		return true
	case kind == "text/plain", kind == "application/json":
		if method == http.MethodHead {
			return refused
		}
		return (refused || method == http.MethodDelete) && !beginsAsXML(response)
	case kind == "" && refused && method != http.MethodHead:
		return beginsAsHTML(response)
	}
	return false
}

// OfAmazonKind says whether a header shows that an S3 server wrote the answer.
func OfAmazonKind(header http.Header) bool {
	for name := range header {
		if strings.HasPrefix(name, "X-Amz-") {
			return true
		}
	}
	return false
}

func beginsAsXML(response *http.Response) bool {
	start := bytes.TrimSpace(peek(response))
	return len(start) == 0 || bytes.HasPrefix(start, []byte("<")) && !htmlStart.Match(start)
}

func beginsAsHTML(response *http.Response) bool {
	return htmlStart.Match(bytes.TrimSpace(peek(response)))
}

var htmlStart = regexp.MustCompile(`(?i)^<(!doctype html|html|head|body)`)

// peekBytes is as much of an answer as its first words take, peekTimeout how long
// they are waited for.
const (
	peekBytes   = 4 << 10
	peekTimeout = 10 * time.Second
)

// peek gives how an answer's body begins, and leaves it as it was.
func peek(response *http.Response) []byte {
	inner := response.Body
	defer time.AfterFunc(peekTimeout, func() { _ = inner.Close() }).Stop()
	start, _ := io.ReadAll(io.LimitReader(inner, peekBytes)) // what is there tells enough
	response.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(start), inner), inner}
	return start
}

// Of reads an answer that is not S3's, and closes it.
func Of(response *http.Response) *Answer {
	f := &Answer{status: response.StatusCode, RetryAfter: response.Header.Get("Retry-After"), words: firstWords(peek(response))}
	_ = response.Body.Close() // nothing more is wanted of it
	return f
}

var (
	htmlTitle  = regexp.MustCompile(`(?is)<title[^>]*>(.*?)</title>`)
	htmlHidden = regexp.MustCompile(`(?is)<(script|style|head)\b.*?</(script|style|head)>|<!--.*?-->`)
	htmlTag    = regexp.MustCompile(`<[^>]*>`)
)

// maxWords is how many bytes of a page a message quotes.
const maxWords = 80

// firstWords is what a person would read at the beginning of a page.
func firstWords(page []byte) string {
	text := string(htmlTag.ReplaceAll(htmlHidden.ReplaceAll(page, nil), []byte(" ")))
	if title := htmlTitle.FindSubmatch(page); title != nil {
		text = string(title[1]) + " " + text
	}
	words := strings.Join(strings.Fields(strings.ToValidUTF8(html.UnescapeString(text), "")), " ")
	if len(words) > maxWords {
		words = strings.ToValidUTF8(words[:maxWords], "") + "…"
	}
	return words
}

// RefusedByProxy is told the answer of a proxy that was asked to connect.
func RefusedByProxy(_ context.Context, proxy *url.URL, _ *http.Request, answer *http.Response) error {
	if answer.StatusCode == http.StatusOK {
		return nil
	}
	return &Answer{status: answer.StatusCode, proxy: proxy.Host}
}
