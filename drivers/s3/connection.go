package s3

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/kedge/kedge/drivers/httpstore"
	"github.com/kedge/kedge/drivers/s3/internal/foreign"
	"github.com/kedge/kedge/drivers/s3/internal/version2"
	"github.com/kedge/kedge/drivers/s3/internal/version4"
)

// defaultRegion is what requests to a server without regions are signed for.
const defaultRegion = "us-east-1"

// Tuning is what may be measured and set per store; zero values are defaults.
type Tuning struct {
	// Workers is how many operations are worth having in flight (32).
	Workers int
	// PartBytes is the length of one part of a multipart upload and the longest
	// stream that is sent in one request (8 MiB; at least 5 MiB, S3's minimum).
	PartBytes int64
	// WholeBytes is the longest stream that is sent in one request where its
	// length and MD5 are known (256 MiB; PartBytes where that was given).
	WholeBytes int64
	// ConnectTimeout bounds dialling and, separately, the TLS handshake (10 s).
	ConnectTimeout time.Duration
	// ResponseTimeout bounds every silence of the server: before its answer,
	// within a body, and while it takes in what is sent (60 s). Completing a
	// multipart upload, for which servers copy, may take ten times as long.
	ResponseTimeout time.Duration
	// Look opens the store for somebody who only looks: an S3 bucket that
	// create_bucket would make is not made, see Store.Missing.
	Look bool
	// Writes says that documents are going to be put: with a prefix that not every
	// server keeps as it is, Open tries what this one does, and fails with kind
	// Config if it takes it for another.
	Writes bool
}

const (
	minPartBytes = 5 << 20
	// wholeBytes is little enough to begin again after a failure.
	wholeBytes = 256 << 20
	// bufferBytes is what a connection reads and writes at once: a usual
	// document with its headers.
	bufferBytes = 64 << 10
)

func (t Tuning) withDefaults() Tuning {
	t.Workers = cmp.Or(max(t.Workers, 0), 32)
	if t.WholeBytes <= 0 {
		t.WholeBytes = max(t.PartBytes, 0)
	}
	t.WholeBytes = cmp.Or(t.WholeBytes, wholeBytes)
	t.PartBytes = max(cmp.Or(max(t.PartBytes, 0), 8<<20), minPartBytes)
	t.ConnectTimeout = cmp.Or(max(t.ConnectTimeout, 0), 10*time.Second)
	t.ResponseTimeout = cmp.Or(max(t.ResponseTimeout, 0), 60*time.Second)
	return t
}

// connection is all it takes to reach S3 buckets, in no configuration's
// vocabulary.
type connection struct {
	endpoint string // URL of a server other than Amazon's, "" for Amazon's
	region   string
	// ignoredRegion is the region that the configuration gives beside url.
	ignoredRegion string
	// accessKey and secretKey are both empty where the credentials come from
	// the environment (variables, shared files, the role of container or host).
	accessKey, secretKey, sessionToken string

	pathStyle  bool // the S3 bucket is named in the path, not in the host
	plain      bool // http to Amazon
	skipVerify bool // any certificate will do
	version2   bool // signatures of version 2
	userAgent  string

	dualStack, accelerate, fips bool // Amazon's kinds of endpoints

	registry bool // messages use the registry's names of options
	// roots are the authorities that vouch for the server, nil for the system's.
	roots *x509.CertPool
	seen  *seenCredentials
}

// String names the server for messages.
func (c connection) String() string {
	if c.endpoint != "" {
		return "at " + c.endpoint
	}
	return "in region " + c.region
}

var amazonEndpoint = regexp.MustCompile(`^https?://(?:s3[.-]([a-z0-9-]+)|s3)\.amazonaws\.com(?:\.cn)?(?:[:/]|$)`)

// amazonRegion is the region where the server is Amazon's, also where the
// endpoint names it; "" for another server.
func (c connection) amazonRegion() string {
	if c.endpoint == "" {
		return c.region
	}
	if found := amazonEndpoint.FindStringSubmatch(c.endpoint); found != nil {
		return cmp.Or(found[1], defaultRegion)
	}
	return ""
}

// client builds the SDK's client: one attempt a request, since retries stand
// outside of a driver, and no checksums but those that S3 itself requires,
// since other servers refuse them. Content-MD5 is what every server checks.
func (c connection) client(ctx context.Context, httpClient *http.Client) (*awss3.Client, error) {
	provider, err := c.credentials(ctx)
	if err != nil {
		return nil, err
	}
	options := awss3.Options{
		Region:                      c.region,
		Credentials:                 provider,
		HTTPClient:                  httpClient,
		Retryer:                     aws.NopRetryer{},
		RequestChecksumCalculation:  aws.RequestChecksumCalculationWhenRequired,
		ResponseChecksumValidation:  aws.ResponseChecksumValidationWhenRequired,
		DisableS3ExpressSessionAuth: aws.Bool(true),
		UsePathStyle:                c.pathStyle,
		HTTPSignerV4:                c.signer(),
	}
	if c.endpoint != "" {
		options.BaseEndpoint = aws.String(c.endpoint)
	} else {
		c.toAmazon(&options)
	}
	if c.userAgent != "" {
		options.APIOptions = append(options.APIOptions, appendUserAgent(c.userAgent))
	}
	return awss3.New(options), nil
}

// signer makes the signatures that the server takes.
func (c connection) signer() awss3.HTTPSignerV4 {
	if c.version2 {
		return version2.Signer{Host: c.host()}
	}
	return version4.New()
}

// toAmazon chooses among Amazon's endpoints.
func (c connection) toAmazon(options *awss3.Options) {
	options.EndpointOptions.DisableHTTPS = c.plain
	options.UseAccelerate = c.accelerate
	if c.dualStack {
		options.EndpointOptions.UseDualStackEndpoint = aws.DualStackEndpointStateEnabled
	}
	if c.fips {
		options.EndpointOptions.UseFIPSEndpoint = aws.FIPSEndpointStateEnabled
	}
}

// host is that of a server other than Amazon's, with its port.
func (c connection) host() string {
	if u, err := url.Parse(c.endpoint); err == nil {
		return u.Host
	}
	return ""
}

// appendUserAgent adds a text to what the SDK says of itself.
func appendUserAgent(text string) func(*middleware.Stack) error {
	step := middleware.BuildMiddlewareFunc("AppendConfiguredUserAgent",
		func(ctx context.Context, in middleware.BuildInput, next middleware.BuildHandler) (middleware.BuildOutput, middleware.Metadata, error) {
			if r, ok := in.Request.(*smithyhttp.Request); ok {
				r.Header.Set("User-Agent", strings.TrimSpace(r.Header.Get("User-Agent")+" "+text))
			}
			return next.HandleBuild(ctx, in)
		})
	return func(stack *middleware.Stack) error { return stack.Build.Add(step, middleware.After) }
}

// transport is an HTTP transport whose every wait is bounded.
func transport(c *connection, t Tuning, answerTimeout time.Duration) http.RoundTripper {
	inner := httpstore.Transport{
		Workers: t.Workers, ConnectTimeout: t.ConnectTimeout, Silence: t.ResponseTimeout, InPieces: true,
		TLS: &tls.Config{RootCAs: c.roots, InsecureSkipVerify: c.skipVerify, MinVersion: tls.VersionTLS12},
	}.Until(answerTimeout)
	inner.OnProxyConnectResponse = foreign.RefusedByProxy
	inner.ExpectContinueTimeout = time.Second
	inner.ReadBufferSize, inner.WriteBufferSize = bufferBytes, bufferBytes
	return foreign.Transport{Transport: inner}
}

// caBundle names the file with the authorities that vouch for the server, in
// place of the system's, as it does for Amazon's own clients.
const caBundle = "AWS_CA_BUNDLE"

// trust reads the authorities that the environment names.
func (c *connection) trust() error {
	file := os.Getenv(caBundle)
	if file == "" {
		return nil
	}
	pem, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("%s: %w", caBundle, err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return errors.New(caBundle + ": no certificate in " + file)
	}
	c.roots = roots
	return nil
}
