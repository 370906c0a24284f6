package anchore

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// addresses are all the places where the database may be, each once, in the order
// in which they are tried.
func addresses(c *pgx.ConnConfig) []string {
	list := []string{address(c.Host, c.Port)}
	seen := map[string]bool{list[0]: true}
	for _, f := range c.Fallbacks { // a host is there again for each way to it
		if at := address(f.Host, f.Port); !seen[at] {
			seen[at] = true
			list = append(list, at)
		}
	}
	return list
}

func address(host string, port uint16) string {
	if strings.HasPrefix(host, "/") {
		return fmt.Sprintf("%s (port %d)", host, port)
	}
	return hostPort(host, port)
}

// tlsCause is what is wrong with the server's certificate, in our words; "" for
// another error.
func tlsCause(err error) string {
	var (
		unknown x509.UnknownAuthorityError
		name    x509.HostnameError
		invalid x509.CertificateInvalidError
		record  tls.RecordHeaderError
	)
	switch {
	case errors.As(err, &unknown):
		return "its certificate is not signed by an authority that is trusted here: sslrootcert must name the file with that authority's certificate"
	case errors.As(err, &name):
		return "its certificate is for another name than the one that it was called by (sslmode verify-full asks for that; verify-ca does not)"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "its certificate has expired, or is not valid yet by this machine's clock"
	case errors.As(err, &record):
		return "what answers there does not speak TLS"
	case strings.Contains(err.Error(), "server refused TLS connection"):
		return "it does not speak TLS, which the sslmode demands"
	}
	return ""
}
