// Package version4 signs requests with signatures of version 4 in such a way that
// they pass intermediaries. What a server need not see as it was sent is left out
// of the signature: the front ends of Google's storage and of Cloudflare rewrite
// Accept-Encoding, which the SDK sets and signs, and the server then computes
// another signature. Amazon's other client libraries do not sign it either.
package version4

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// Signer stands in for the SDK's signer. Safe for concurrent use.
type Signer struct{ inner *v4.Signer }

// New makes one.
func New() Signer {
	return Signer{v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })}
}

// SignHTTP signs a request: its host, path, query and length, and those of its
// headers that say what becomes of an object.
func (s Signer) SignHTTP(ctx context.Context, creds aws.Credentials, r *http.Request, digest, service, region string, now time.Time, options ...func(*v4.SignerOptions)) error {
	var aside http.Header
	for name, values := range r.Header {
		if !isSigned(name) && name != "Authorization" {
			if aside == nil {
				aside = make(http.Header, 4)
			}
			aside[name] = values
			delete(r.Header, name)
		}
	}
	err := s.inner.SignHTTP(ctx, creds, r, digest, service, region, now, options...)
	for name, values := range aside {
		r.Header[name] = values
	}
	return err
}

// isSigned: the protocol wants Host and all of X-Amz signed; the others here decide
// what is stored, and under which condition.
func isSigned(name string) bool {
	for _, prefix := range []string{"X-Amz-", "Content-", "If-"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}
