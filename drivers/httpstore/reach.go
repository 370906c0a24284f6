package httpstore

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/url"
	"strings"

	"github.com/kedge/kedge/drivers"
)

// Reach is what messages say of a server that cannot be reached.
type Reach struct {
	Cannot    string // that it is so, and which server, as in "cannot reach S3 at https://host"
	Authority string // what mends a certificate that does not verify
	Plain     string // what mends that the server speaks no TLS
}

// JudgeConnection sorts failures below HTTP: Temporary unless they will be the
// same the next time, as a certificate that does not verify; Other for what is
// none of them.
func JudgeConnection(err error, r Reach) Verdict {
	cannot := r.Cannot + ": "
	switch {
	case isAbout[*tls.CertificateVerificationError](err), isAbout[x509.UnknownAuthorityError](err), isAbout[x509.HostnameError](err):
		return Verdict{drivers.Config, cannot + Innermost(err), r.Authority}
	case isAbout[tls.RecordHeaderError](err), strings.Contains(err.Error(), "HTTP response to HTTPS client"):
		return Verdict{drivers.Config, cannot + "the server does not speak TLS", r.Plain}
	case errors.Is(err, ErrStalled), errors.Is(err, io.ErrUnexpectedEOF):
		return Verdict{Kind: drivers.Temporary, Text: Innermost(err)}
	case errors.Is(err, io.EOF):
		return Verdict{Kind: drivers.Temporary, Text: cannot + "the server closed the connection"}
	}
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		return Verdict{Kind: drivers.Temporary, Text: cannot + dns.Error()}
	}
	if op, ok := errors.AsType[*net.OpError](err); ok {
		return Verdict{Kind: drivers.Temporary, Text: cannot + op.Error()}
	}
	var late interface{ Timeout() bool }
	if errors.As(err, &late) && late.Timeout() || errors.Is(err, context.DeadlineExceeded) {
		return Verdict{Kind: drivers.Temporary, Text: cannot + "no answer in time"}
	}
	if viaURL, ok := errors.AsType[*url.Error](err); ok {
		return Verdict{Kind: drivers.Temporary, Text: cannot + Innermost(viaURL.Err)}
	}
	return Verdict{Text: Innermost(err)}
}

func isAbout[E error](err error) bool {
	_, is := errors.AsType[E](err)
	return is
}
