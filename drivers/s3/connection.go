package s3

import (
	"cmp"
	"context"
	"net"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
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
	// ConnectTimeout bounds dialling and, separately, the TLS handshake (10 s).
	ConnectTimeout time.Duration
	// ResponseTimeout bounds every silence of the server: before its answer,
	// within a body, and while it takes in what is sent (60 s). Completing a
	// multipart upload, for which servers copy, may take ten times as long.
	ResponseTimeout time.Duration
}

const (
	minPartBytes = 5 << 20
	// slowFactor is how much longer than ResponseTimeout the first byte of an
	// answer to a request that makes the server work may take.
	slowFactor = 10
	// idleConns keeps a connection for each worker of the largest sensible
	// configuration: a transport that closes and reopens them is several times
	// slower.
	idleConns = 256
)

func (t Tuning) withDefaults() Tuning {
	t.Workers = cmp.Or(max(t.Workers, 0), 32)
	t.PartBytes = max(cmp.Or(max(t.PartBytes, 0), 8<<20), minPartBytes)
	t.ConnectTimeout = cmp.Or(max(t.ConnectTimeout, 0), 10*time.Second)
	t.ResponseTimeout = cmp.Or(max(t.ResponseTimeout, 0), 60*time.Second)
	return t
}

// connection is all it takes to reach S3 buckets, in no configuration's
// vocabulary: each vocabulary makes one of these from its own options.
type connection struct {
	endpoint string // URL of a server other than Amazon's, "" for Amazon's
	region   string
	// accessKey and secretKey are both empty where the credentials come from
	// the environment (variables, shared files, the role of container or host).
	accessKey, secretKey string
}

// String names the server for messages.
func (c connection) String() string {
	if c.endpoint != "" {
		return "at " + c.endpoint
	}
	return "in region " + c.region
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
	}
	if c.endpoint != "" {
		options.BaseEndpoint = aws.String(c.endpoint)
		options.UsePathStyle = true
	}
	return awss3.New(options), nil
}

func (c connection) credentials(ctx context.Context) (aws.CredentialsProvider, error) {
	if c.accessKey != "" {
		return credentials.NewStaticCredentialsProvider(c.accessKey, c.secretKey, ""), nil
	}
	// Only the credentials are taken from the environment. An endpoint or a
	// region found there would put documents in a place nobody configured.
	cfg, err := awsconfig.LoadDefaultConfig(ctx, awsconfig.WithRegion(c.region))
	if err != nil {
		return nil, &credentialsError{err}
	}
	return aws.NewCredentialsCache(ambient{cfg.Credentials}), nil
}

// ambient marks failures to get credentials, so that they can be told from
// failures of the server.
type ambient struct{ inner aws.CredentialsProvider }

func (a ambient) Retrieve(ctx context.Context) (aws.Credentials, error) {
	creds, err := a.inner.Retrieve(ctx)
	if err != nil {
		return creds, &credentialsError{err}
	}
	return creds, nil
}

type credentialsError struct{ err error }

func (e *credentialsError) Error() string { return "no credentials: " + e.err.Error() }
func (e *credentialsError) Unwrap() error { return e.err }

// transport is an HTTP transport whose every wait is bounded. It speaks
// HTTP/1.1 only: one connection a request is what S3 servers scale by.
func transport(t Tuning, answerTimeout time.Duration) *http.Transport {
	dialer := &net.Dialer{Timeout: t.ConnectTimeout, KeepAlive: 30 * time.Second}
	idle := max(idleConns, t.Workers)
	return &http.Transport{
		Proxy: http.ProxyFromEnvironment,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			c, err := dialer.DialContext(ctx, network, address)
			if err != nil {
				return nil, err
			}
			return &patientConn{Conn: c, stall: t.ResponseTimeout}, nil
		},
		TLSHandshakeTimeout:   t.ConnectTimeout,
		ResponseHeaderTimeout: answerTimeout,
		ExpectContinueTimeout: time.Second,
		IdleConnTimeout:       90 * time.Second,
		MaxIdleConns:          2 * idle,
		MaxIdleConnsPerHost:   idle,
		// A payload that happens to be gzip must arrive as it is stored.
		DisableCompression: true,
		Protocols:          http1(),
	}
}

func http1() *http.Protocols {
	p := new(http.Protocols)
	p.SetHTTP1(true)
	return p
}

// patientConn gives up a write that the server does not take in: the
// transport bounds the wait for an answer, but not for that.
type patientConn struct {
	net.Conn
	stall time.Duration
}

// Write fails when nothing of p could be sent for as long as the stall allows.
func (c *patientConn) Write(p []byte) (int, error) {
	if err := c.SetWriteDeadline(time.Now().Add(c.stall)); err != nil {
		return 0, err
	}
	return c.Conn.Write(p)
}
