package faults

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"strings"
)

// Effect is what happens to a request that is hit.
type Effect func(*exchange)

// exchange is one request on its way through the proxy.
type exchange struct {
	proxy  *HTTP
	w      http.ResponseWriter
	r      *http.Request
	effect Effect
	public string // the proxy's URL, for clients
	random *rand.Rand
}

// pass lets the request and its answer through.
func pass(x *exchange) {
	answer := x.send(x.r.Body)
	defer answer.Body.Close()
	x.head(answer)
	_, err := io.Copy(x.w, answer.Body)
	if err != nil {
		x.abort()
	}
}

// head passes on status and headers of an answer.
func (x *exchange) head(answer *http.Response) {
	for name, values := range answer.Header {
		x.w.Header()[name] = values
	}
	x.w.WriteHeader(answer.StatusCode)
}

// whole passes the request on, with this body, and reads all of the answer.
func (x *exchange) whole(body io.Reader) (*http.Response, []byte) {
	answer := x.send(body)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		x.abort()
	}
	return answer, text
}

// abort ends the connection without, or in the middle of, an answer.
func (x *exchange) abort() { panic(http.ErrAbortHandler) }

// swallow reads the request to its end.
func (x *exchange) swallow() {
	if _, err := io.Copy(io.Discard, x.r.Body); err != nil {
		x.abort()
	}
}

// hang waits until the client has given up.
func (x *exchange) hang() {
	<-x.r.Context().Done()
	x.abort()
}

// Answer answers in the server's place, in S3's form where there is a code, and
// the server knows nothing of the request. retryAfter is the header of that
// name, "" for none.
func Answer(status int, code, retryAfter string) Effect {
	return func(x *exchange) {
		x.swallow()
		h := x.w.Header()
		if retryAfter != "" {
			h.Set("Retry-After", retryAfter)
		}
		var body []byte
		if code != "" {
			body = errorXML(code, x.r.URL.Path)
			h.Set("Content-Type", "application/xml")
		}
		h.Set("Content-Length", strconv.Itoa(len(body)))
		x.w.WriteHeader(status)
		if x.r.Method != http.MethodHead {
			_, _ = x.w.Write(body) // a client that has gone wants none
		}
	}
}

// errorXML is an error as S3 writes it: see "Error responses" in its API
// reference.
func errorXML(code, resource string) []byte {
	messages := map[string]string{
		"InternalError":      "We encountered an internal error. Please try again.",
		"ServiceUnavailable": "Service is unable to handle request.",
		"SlowDown":           "Please reduce your request rate.",
	}
	text, err := xml.Marshal(struct {
		XMLName                            xml.Name `xml:"Error"`
		Code, Message, Resource, RequestId string
	}{Code: code, Message: messages[code], Resource: resource, RequestId: "4442587FB7D0A2F9"})
	if err != nil {
		panic(err) // strings only
	}
	return append([]byte(xml.Header), text...)
}

// Truncated ends the connection in the middle of the answer's body, whose length
// was announced.
func Truncated(x *exchange) {
	answer, text := x.whole(x.r.Body)
	if len(text) == 0 {
		x.abort()
	}
	answer.Header.Set("Content-Length", strconv.Itoa(len(text)))
	x.head(answer)
	_, _ = x.w.Write(text[:len(text)/2]) // to a client that is there or not
	_ = http.NewResponseController(x.w).Flush()
	x.abort()
}

// ResetAnswer resets the connection when so many bytes of the answer's body were
// sent, or half of a shorter one.
func ResetAnswer(after int) Effect {
	return func(x *exchange) {
		answer, text := x.whole(x.r.Body)
		after := min(after, len(text)/2)
		conn := x.hijack()
		var start bytes.Buffer
		fmt.Fprintf(&start, "HTTP/1.1 %s\r\n", answer.Status)
		answer.Header.Set("Content-Length", strconv.Itoa(len(text)))
		_ = answer.Header.Write(&start) // a Buffer takes everything
		start.WriteString("\r\n")
		start.Write(text[:after])
		_, _ = conn.Write(start.Bytes())
		resetConn(conn)
	}
}

// ResetRequest resets the connection when so many bytes of the request's body
// have come; the server knows nothing of it.
func ResetRequest(after int64) Effect {
	return func(x *exchange) {
		_, _ = io.CopyN(io.Discard, x.r.Body, after) // as far as there is so much
		resetConn(x.hijack())
	}
}

func (x *exchange) hijack() *net.TCPConn {
	conn, _, err := http.NewResponseController(x.w).Hijack()
	if err != nil {
		panic(err) // HTTP/1.1 over TCP can be
	}
	return conn.(*net.TCPConn)
}

func resetConn(conn *net.TCPConn) {
	_ = conn.SetLinger(0) // fails only on a connection that is closed
	_ = conn.Close()
}

// md5Form is what an MD5 looks like in an ETag.
var md5Form = regexp.MustCompile(`[0-9a-f]{32}`)

// WrongETag alters the ETag that the answer gives in its headers, or in a body of
// S3's XML. The answer to a request without one passes.
func WrongETag(x *exchange) {
	answer, text := x.whole(x.r.Body)
	if etag := answer.Header.Get("Etag"); etag != "" {
		answer.Header.Set("Etag", string(md5Form.ReplaceAllFunc([]byte(etag), x.another)))
	} else if at := bytes.Index(text, []byte("<ETag>")); at >= 0 {
		text = append(text[:at:at], md5Form.ReplaceAllFunc(text[at:], x.another)...)
	}
	x.head(answer)
	_, _ = x.w.Write(text)
}

// another gives an MD5 that differs in one digit.
func (x *exchange) another(md5 []byte) []byte {
	other := bytes.Clone(md5)
	at := x.random.IntN(len(other))
	const digits = "0123456789abcdef"
	other[at] = digits[(strings.IndexByte(digits, other[at])+1)%len(digits)]
	return other
}

// Corrupted flips one bit of the answer's body.
func Corrupted(x *exchange) {
	answer, text := x.whole(x.r.Body)
	x.flip(text)
	x.head(answer)
	_, _ = x.w.Write(text)
}

// CorruptedRequest flips one bit of the request's body.
func CorruptedRequest(x *exchange) {
	body, err := io.ReadAll(x.r.Body)
	if err != nil {
		x.abort()
	}
	x.flip(body)
	answer, text := x.whole(bytes.NewReader(body))
	x.head(answer)
	_, _ = x.w.Write(text)
}

func (x *exchange) flip(text []byte) {
	if len(text) > 0 {
		text[x.random.IntN(len(text))] ^= 1 << x.random.IntN(8)
	}
}

// Lost lets the server do what was asked, and closes the connection in place of
// its answer.
func Lost(x *exchange) {
	x.whole(x.r.Body)
	x.abort()
}

// Unanswered lets the server do what was asked, and says nothing.
func Unanswered(x *exchange) {
	x.whole(x.r.Body)
	x.hang()
}

// Swallowed takes the request, of which the server knows nothing, and says
// nothing: a black hole.
func Swallowed(x *exchange) {
	x.swallow()
	x.hang()
}

// Untold answers "access denied" where the server says that there is no such object,
// as Amazon S3 does without the permission s3:ListBucket; MinIO tells it anyway.
func Untold(x *exchange) {
	answer, text := x.whole(x.r.Body)
	if answer.StatusCode == http.StatusNotFound {
		answer.StatusCode = http.StatusForbidden
		if len(text) > 0 {
			text = errorXML("AccessDenied", x.r.URL.Path)
		}
		answer.Header.Set("Content-Length", strconv.Itoa(len(text)))
		answer.Header.Del("X-Minio-Error-Code")
	}
	x.head(answer)
	_, _ = x.w.Write(text) // to a client that is there or not
}
