package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// endpoint is an S3 bucket or a container.
type endpoint struct {
	transport *http.Transport
	base      *url.URL
	authorise func(req *http.Request)
}

// newEndpoint gives nil for no address.
func newEndpoint(transport *http.Transport, address, authorisation string) (*endpoint, error) {
	if address == "" {
		return nil, nil
	}
	base, err := url.Parse(strings.TrimSuffix(address, "/"))
	if err != nil {
		return nil, errors.New("no URL")
	}
	e := &endpoint{transport: transport, base: base}
	switch words := strings.Fields(authorisation); {
	case len(words) == 4 && words[0] == "s3":
		e.authorise = newSigner(words[1], words[2], words[3], time.Now().UTC()).sign
	case len(words) == 2 && words[0] == "swift":
		token := words[1:]
		e.authorise = func(req *http.Request) { req.Header["X-Auth-Token"] = token }
	default:
		return nil, errors.New(`no authorisation: want "s3 REGION ACCESSKEY SECRETKEY" or "swift TOKEN"`)
	}
	return e, nil
}

func (e *endpoint) get(key string) (io.ReadCloser, int64, error) {
	resp, err := e.do(http.MethodGet, key, nil, 0)
	if err != nil {
		return nil, 0, err
	}
	return resp.Body, resp.ContentLength, nil
}

func (e *endpoint) put(key string, body io.ReadCloser, length int64) error {
	resp, err := e.do(http.MethodPut, key, body, length)
	if err != nil {
		return err
	}
	// To its end, so that the connection can be used again.
	_, err = io.Copy(io.Discard, resp.Body)
	return errors.Join(err, resp.Body.Close())
}

func (e *endpoint) do(method, key string, body io.ReadCloser, length int64) (*http.Response, error) {
	u := *e.base
	u.Path += "/" + key
	u.RawPath = e.base.EscapedPath() + "/" + escape(key)
	req := &http.Request{
		Method: method, URL: &u, Host: u.Host, Header: make(http.Header, 4), Body: body, ContentLength: length,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}
	if length == 0 && body != nil {
		req.Body = http.NoBody
	}
	e.authorise(req)
	resp, err := e.transport.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode/100 != 2 {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 300)) // the status says enough
		return nil, errors.Join(fmt.Errorf("%s: %s: %s", method, resp.Status, text), resp.Body.Close())
	}
	return resp, nil
}

// escape escapes a key as a signature of S3 wants it: all but unreserved
// characters and the slash.
func escape(key string) string { return asPath.Replace(url.QueryEscape(key)) }

var asPath = strings.NewReplacer("+", "%20", "%2F", "/")
