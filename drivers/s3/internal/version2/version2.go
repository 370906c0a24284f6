// Package version2 signs requests in the way that S3 had before version 4, which
// old servers still want: an HMAC-SHA1 of the method, some headers and the
// resource, see "Signing and authenticating REST requests" in the guide to
// Amazon S3. Content-MD5 covers the body.
package version2

import (
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// Signer stands in for the SDK's signer of version 4.
type Signer struct {
	Host string // of a server other than Amazon's, "" for Amazon's
}

// signedQueries are the parts of a query that name another resource.
var signedQueries = []string{
	"acl", "delete", "lifecycle", "location", "logging", "notification", "partNumber", "policy", "requestPayment",
	"response-cache-control", "response-content-disposition", "response-content-encoding", "response-content-language",
	"response-content-type", "response-expires", "tagging", "torrent", "uploadId", "uploads", "versionId", "versioning",
	"versions", "website",
}

// SignHTTP signs a request, and takes back what the SDK has prepared for version 4.
func (s Signer) SignHTTP(_ context.Context, creds aws.Credentials, r *http.Request, _, _, _ string, now time.Time, _ ...func(*v4.SignerOptions)) error {
	r.Header.Del("X-Amz-Content-Sha256")
	r.Header.Del("X-Amz-Date")
	r.Header.Set("Date", now.UTC().Format(http.TimeFormat))
	if creds.SessionToken != "" {
		r.Header.Set("X-Amz-Security-Token", creds.SessionToken)
	}
	mac := hmac.New(sha1.New, []byte(creds.SecretAccessKey))
	mac.Write([]byte(s.stringToSign(r))) // a hash takes all
	r.Header.Set("Authorization", "AWS "+creds.AccessKeyID+":"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	return nil
}

func (s Signer) stringToSign(r *http.Request) string {
	return strings.Join([]string{
		r.Method,
		r.Header.Get("Content-Md5"),
		r.Header.Get("Content-Type"),
		r.Header.Get("Date"),
		amazonHeaders(r.Header) + s.resource(r),
	}, "\n")
}

// amazonHeaders are the headers that begin with x-amz-, one a line.
func amazonHeaders(header http.Header) string {
	var lines []string
	for name, values := range header {
		if name = strings.ToLower(name); strings.HasPrefix(name, "x-amz-") {
			lines = append(lines, name+":"+strings.TrimSpace(strings.Join(values, ",")))
		}
	}
	slices.Sort(lines)
	var text strings.Builder
	for _, line := range lines {
		text.WriteString(line)
		text.WriteByte('\n')
	}
	return text.String()
}

// resource is the path with the S3 bucket, as it is sent, and those parts of
// the query that name another resource, unescaped.
func (s Signer) resource(r *http.Request) string {
	path := r.URL.EscapedPath()
	if path == "" {
		path = "/"
	}
	if bucket := s.bucketInHost(r); bucket != "" {
		path = "/" + bucket + path
	}
	query := r.URL.Query()
	var parts []string
	for _, name := range signedQueries {
		if !query.Has(name) {
			continue
		}
		if value := query.Get(name); value != "" {
			name += "=" + value
		}
		parts = append(parts, name)
	}
	if len(parts) == 0 {
		return path
	}
	return path + "?" + strings.Join(parts, "&")
}

var amazonHost = regexp.MustCompile(`^(.+)\.s3(?:[.-][a-z0-9.-]+)?\.amazonaws\.com(?:\.cn)?$`)

// bucketInHost is the S3 bucket when the host names it, else "".
func (s Signer) bucketInHost(r *http.Request) string {
	host := r.Host
	if host == "" {
		host = r.URL.Host
	}
	if s.Host != "" {
		bucket, _ := strings.CutSuffix(host, "."+s.Host)
		if bucket == host {
			return ""
		}
		return bucket
	}
	if found := amazonHost.FindStringSubmatch((&url.URL{Host: host}).Hostname()); found != nil {
		return found[1]
	}
	return ""
}
