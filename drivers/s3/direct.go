package s3

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/auth"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/drivers/httpstore"
	"github.com/kedge/kedge/drivers/s3/internal/foreign"
	"github.com/kedge/kedge/drivers/s3/internal/version4"
)

// direct sends the requests that a migration consists of (PUT, GET and HEAD of
// one object) without the SDK's middleware, which takes two to three times the
// processor time of the request itself (docs/performance.md). Endpoints,
// credentials and signatures stay the SDK's. All other requests are the SDK's
// own. Safe for concurrent use.
type direct struct {
	http        *http.Client
	credentials aws.CredentialsProvider
	signer      awss3.HTTPSignerV4
	conn        *connection
	agent       string
	endpoints   sync.Map // S3 bucket -> endpoint
	regions     sync.Map // S3 bucket -> region, where that is not the configured one
	signing     signing
	// noExpect: the server, or something before it, knows no "Expect: 100-continue".
	noExpect atomic.Bool
}

// endpoint is where the objects of one S3 bucket are.
type endpoint struct {
	scheme, host string
	// path is what comes before the key, "/" or "/bucket/", and escaped is that
	// as it is sent.
	path, escaped string
	// service and region are what requests are signed for.
	service, region string
}

func newDirect(client *http.Client, conn *connection, provider aws.CredentialsProvider) *direct {
	return &direct{http: client, conn: conn, credentials: provider, signer: conn.signer(), agent: strings.TrimSpace("kedge " + conn.userAgent)}
}

// endpoint finds out once, with the SDK's rules, where an S3 bucket's objects
// are.
func (d *direct) endpoint(ctx context.Context, bucket string) (*endpoint, error) {
	if found, ok := d.endpoints.Load(bucket); ok {
		return found.(*endpoint), nil
	}
	c, region := d.conn, d.region(bucket)
	parameters := awss3.EndpointParameters{
		Bucket: &bucket, Region: &region, ForcePathStyle: &c.pathStyle,
		UseFIPS: aws.Bool(c.fips && c.endpoint == ""), UseDualStack: aws.Bool(c.dualStack && c.endpoint == ""),
		Accelerate: aws.Bool(c.accelerate && c.endpoint == ""), DisableMultiRegionAccessPoints: aws.Bool(true),
	}
	if c.endpoint != "" {
		parameters.Endpoint = &c.endpoint
	}
	resolved, err := awss3.NewDefaultEndpointResolverV2().ResolveEndpoint(ctx, parameters.WithDefaults())
	if err != nil {
		return nil, err
	}
	u := resolved.URI
	e := &endpoint{scheme: u.Scheme, host: u.Host, path: strings.TrimSuffix(u.Path, "/") + "/", escaped: strings.TrimSuffix(u.EscapedPath(), "/") + "/", service: "s3", region: region}
	if c.endpoint == "" && c.plain {
		e.scheme = "http"
	}
	options, _ := auth.GetAuthOptions(&resolved.Properties) // where there are none, what stands above holds
	for _, o := range options {
		if o.SchemeID != auth.SchemeIDSigV4 {
			continue
		}
		if name, ok := smithyhttp.GetSigV4SigningName(&o.SignerProperties); ok {
			e.service = name
		}
		if region, ok := smithyhttp.GetSigV4SigningRegion(&o.SignerProperties); ok {
			e.region = region
		}
	}
	found, _ := d.endpoints.LoadOrStore(bucket, e)
	return found.(*endpoint), nil
}

// address is the URL of an object there, with a query that is escaped.
func (e *endpoint) address(key, query string) *url.URL {
	return &url.URL{Scheme: e.scheme, Host: e.host, Path: e.path + key, RawPath: e.escaped + version4.Escape(key), RawQuery: query}
}

// unsigned says that the signature does not cover the body.
const unsigned = "UNSIGNED-PAYLOAD"

// emptySHA256 is the digest of no bytes.
var emptySHA256 = hex.EncodeToString(sha256.New().Sum(nil))

// idempotent lets the transport send a request once more when the server has
// just closed the idle connection that it went out on. Nothing is sent for it.
const idempotent = "X-Idempotency-Key"

// expectBytes is the length from which on a body waits until the server says
// that it wants it: one that does not would close the connection in the middle
// of it, and its reason would never be read.
const expectBytes = 2 << 20

// request makes a signed request for one object. header may hold more headers,
// under their canonical names, and is kept; query is that of the URL, escaped.
//
// The signature does not cover the body, unless the server wants that: for one with
// Content-MD5 it covers that, and the server compares.
func (d *direct) request(ctx context.Context, method string, loc location, query string, header http.Header, body []byte) (*http.Request, error) {
	e, err := d.endpoint(ctx, loc.bucket)
	if err != nil {
		return nil, err
	}
	r := (&http.Request{
		Method: method, Host: e.host, Header: header,
		URL:   e.address(loc.key, query),
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}).WithContext(ctx)
	if body != nil {
		if d.signing.is(payloadsSigned) {
			header[contentSHA256] = []string{sha256Hex(body)}
		}
		r.ContentLength = int64(len(body))
		r.Body = io.NopCloser(bytes.NewReader(body))
		r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
		if len(body) == 0 {
			r.Body = http.NoBody
		}
	}
	return r, nil
}

// sign signs a request, just before it is sent.
func (d *direct) sign(r *http.Request, loc location) error {
	e, err := d.endpoint(r.Context(), loc.bucket)
	if err != nil {
		return err
	}
	creds, err := d.credentials.Retrieve(r.Context())
	if err != nil {
		return err
	}
	digest := r.Header.Get(contentSHA256)
	switch {
	case digest != "":
	case r.ContentLength > 0:
		digest = unsigned
	default:
		digest = emptySHA256
	}
	r.Header[contentSHA256] = []string{digest}
	r.Header["User-Agent"] = []string{d.agent}
	if r.ContentLength >= expectBytes && !d.noExpect.Load() {
		r.Header["Expect"] = []string{"100-continue"}
	}
	fresh := drivers.Fresh(r.Context())
	if fresh {
		delete(r.Header, "Cache-Control") // of an earlier attempt
	}
	if err := d.signer.SignHTTP(r.Context(), creds, r, digest, e.service, e.region, time.Now()); err != nil {
		return err
	}
	if fresh { // it is for what lies on the way, which may rewrite what is not signed
		r.Header["Cache-Control"] = []string{"no-cache"}
	}
	if r.Body == nil || r.GetBody != nil {
		r.Header[idempotent] = nil
	}
	return nil
}

// do signs and sends a request and returns an answer of status 200 or 204, whose
// body the caller closes. One that is refused for its "Expect", or for its region,
// goes again without, or for the right one, as do all later ones, if its body can be
// had again.
func (d *direct) do(r *http.Request, loc location) (*http.Response, error) {
	response, err := d.once(r, loc)
	switch {
	case expectationFailed(err):
		d.noExpect.Store(true)
	case d.follow(loc.bucket, err):
	default:
		return response, err
	}
	if r.Body != nil && r.GetBody == nil {
		return nil, err
	}
	e, unresolved := d.endpoint(r.Context(), loc.bucket)
	if unresolved != nil {
		return nil, err
	}
	r = r.Clone(r.Context())
	delete(r.Header, "Expect")
	r.Host, r.URL = e.host, e.address(loc.key, r.URL.RawQuery)
	if r.Body != nil {
		if r.Body, err = r.GetBody(); err != nil {
			return nil, err
		}
	}
	return d.once(r, loc)
}

// expectationFailed says whether a request was refused for its "Expect".
func expectationFailed(err error) bool {
	others, ofAnother := errors.AsType[*foreign.Answer](err)
	return ofAnother && others.ExpectationFailed() || status(err) == http.StatusExpectationFailed
}

// once is do without another attempt.
func (d *direct) once(r *http.Request, loc location) (*http.Response, error) {
	if err := d.sign(r, loc); err != nil {
		if r.Body != nil {
			_ = r.Body.Close() // not read
		}
		return nil, err
	}
	response, err := d.http.Transport.RoundTrip(r) // whatever it answers: nothing is redirected
	if err != nil {
		// As http.Client does: what broke off in the middle of an answer's headers
		// is told from nothing else by its type.
		return nil, &url.Error{Op: r.Method, URL: r.URL.Redacted(), Err: err}
	}
	if response.StatusCode == http.StatusOK || response.StatusCode == http.StatusNoContent {
		if r.Method != http.MethodDelete && response.Header.Get("Etag") == "" && !foreign.OfAmazonKind(response.Header) {
			return nil, foreign.Of(response) // every S3 server tells an object's ETag
		}
		return response, nil
	}
	defer response.Body.Close()
	return nil, refusal(response)
}

// maxAnswerBytes bounds what is read of an error's body.
const maxAnswerBytes = 64 << 10

// refusal makes of an answer the error that the SDK would make of it.
func refusal(response *http.Response) error {
	text, _ := io.ReadAll(io.LimitReader(response.Body, maxAnswerBytes)) // what is there tells enough
	var told struct {
		Code    string `xml:"Code"`
		Message string `xml:"Message"`
		Region  string `xml:"Region"`
	}
	failed := &smithy.GenericAPIError{Code: strings.ReplaceAll(http.StatusText(response.StatusCode), " ", "")}
	if err := xml.Unmarshal(text, &told); err == nil && told.Code != "" {
		failed.Code, failed.Message = told.Code, told.Message
	}
	if failed.Code == "AuthorizationHeaderMalformed" && told.Region != "" && response.Header.Get(bucketRegion) == "" {
		response.Header.Set(bucketRegion, told.Region) // where Amazon tells it
	}
	return &smithyhttp.ResponseError{Response: &smithyhttp.Response{Response: response}, Err: failed}
}

// stored is what an answer tells about an object.
type stored struct {
	bytes    int64 // negative if not told, see httpstore.Length
	etag     *string
	sse      types.ServerSideEncryption
	modified time.Time // in whole seconds, zero if not told
	// customerAlgorithm: encrypted with a key that came with the request.
	customerAlgorithm *string
}

func told(response *http.Response) stored {
	s := stored{bytes: httpstore.Length(response), sse: types.ServerSideEncryption(response.Header.Get("X-Amz-Server-Side-Encryption"))}
	if etag := response.Header.Get("Etag"); etag != "" {
		s.etag = &etag
	}
	if algorithm := response.Header.Get("X-Amz-Server-Side-Encryption-Customer-Algorithm"); algorithm != "" {
		s.customerAlgorithm = &algorithm
	}
	return s
}

// md5 is the MD5 that the object's ETag is, "" where it need not be one.
func (s stored) md5() string { return storedMD5(s.etag, s.sse, s.customerAlgorithm) }

// info is what a driver tells of it.
func (s stored) info() drivers.Info {
	return drivers.Info{Bytes: s.bytes, MD5: s.md5(), Version: tag(s.etag), Modified: s.modified}
}

// put stores an object in one request.
func (d *direct) put(ctx context.Context, loc location, payload []byte, c conditions, a attributes) (stored, error) {
	header := http.Header{"Content-Type": {contentType}}
	c.asHeaders(header)
	a.asHeaders(header)
	if payload == nil {
		payload = []byte{}
	}
	return d.sendHeld(ctx, loc, "", header, payload)
}

// putStream stores an object of length bytes in one request, signed with the
// digest of its body (SHA-256 in hex) or, for "", without. It closes body, perhaps
// after it has returned.
func (d *direct) putStream(ctx context.Context, loc location, body io.ReadCloser, length int64, digest string, c conditions, a attributes) (stored, error) {
	header := http.Header{"Content-Type": {contentType}}
	if digest != "" {
		header[contentSHA256] = []string{digest}
	}
	c.asHeaders(header)
	a.asHeaders(header)
	r, err := d.request(ctx, http.MethodPut, loc, "", header, nil)
	if err != nil {
		_ = body.Close() // not read
		return stored{}, err
	}
	r.Body, r.ContentLength = body, length
	return d.send(r, loc)
}

// putPart stores one part of an upload and returns its ETag.
func (d *direct) putPart(ctx context.Context, loc location, upload string, number int32, part []byte, contentMD5 string) (etag *string, err error) {
	query := "partNumber=" + strconv.Itoa(int(number)) + "&uploadId=" + strings.ReplaceAll(version4.Escape(upload), "/", "%2F")
	out, err := d.sendHeld(ctx, loc, query, http.Header{"Content-Md5": {contentMD5}}, part)
	return out.etag, err
}

// send sends a request whose answer's body tells nothing; read, it leaves the
// connection for the next request.
func (d *direct) send(r *http.Request, loc location) (stored, error) {
	response, err := d.do(r, loc)
	if err != nil {
		return stored{}, err
	}
	_, err = io.Copy(io.Discard, io.LimitReader(response.Body, maxAnswerBytes))
	_ = response.Body.Close() // the answer is there
	return told(response), err
}

// get opens an object. The caller closes the body.
func (d *direct) get(ctx context.Context, loc location) (io.ReadCloser, stored, error) {
	r, err := d.request(ctx, http.MethodGet, loc, "", make(http.Header, 8), nil)
	if err != nil {
		return nil, stored{}, err
	}
	response, err := d.do(r, loc)
	if err != nil {
		return nil, stored{}, err
	}
	return response.Body, told(response), nil
}

// head asks for what is known of an object.
func (d *direct) head(ctx context.Context, loc location) (stored, error) {
	r, err := d.request(ctx, http.MethodHead, loc, "", make(http.Header, 8), nil)
	if err != nil {
		return stored{}, err
	}
	response, err := d.do(r, loc)
	if err != nil {
		return stored{}, err
	}
	_ = response.Body.Close() // there is none
	s := told(response)
	s.modified, _ = http.ParseTime(response.Header.Get("Last-Modified")) // zero where it tells none
	return s, nil
}

// remove deletes an object, whatever its name.
func (d *direct) remove(ctx context.Context, loc location) (stored, error) {
	r, err := d.request(ctx, http.MethodDelete, loc, "", make(http.Header, 8), nil)
	if err != nil {
		return stored{}, err
	}
	return d.send(r, loc)
}
