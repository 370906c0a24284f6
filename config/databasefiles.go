package config

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
)

// CheckFiles reads the certificates that the connection to the database will be
// made with, and gives an *Error that says which of the files is wrong, and how.
// Files that are not needed, because the connection will not be encrypted, are
// not looked at.
func (d Database) CheckFiles() error {
	if d.Kind != Postgres || d.sslMode() == "disable" {
		return nil
	}
	if d.SSLRootCert != "" && d.SSLRootCert != "system" {
		data, err := d.readFile("sslrootcert", d.SSLRootCert)
		if err != nil {
			return err
		}
		if !x509.NewCertPool().AppendCertsFromPEM(data) {
			return d.fileError("sslrootcert", d.SSLRootCert, "holds no certificate in PEM form"+ofDER(data), nil)
		}
	}
	return d.checkClientCertificate()
}

// checkClientCertificate looks at sslcert and sslkey.
func (d Database) checkClientCertificate() error {
	switch {
	case d.parameters["sslcertmode"] == "disable", d.SSLCert == "" && d.SSLKey == "":
		return nil
	case d.SSLCert == "":
		return d.fileError("sslkey", d.SSLKey, "is given without sslcert, the certificate of that key", nil)
	case d.SSLKey == "":
		return d.fileError("sslcert", d.SSLCert, "is given without sslkey, the key of that certificate", nil)
	}
	certificate, err := d.readFile("sslcert", d.SSLCert)
	if err != nil {
		return err
	}
	key, err := d.readFile("sslkey", d.SSLKey)
	if err != nil {
		return err
	}
	switch block, _ := pem.Decode(key); {
	case !hasBlock(certificate, "CERTIFICATE"):
		return d.fileError("sslcert", d.SSLCert, "holds no certificate in PEM form"+ofDER(certificate), nil)
	case block == nil:
		return d.fileError("sslkey", d.SSLKey, "holds no key in PEM form", nil)
	case block.Type == "ENCRYPTED PRIVATE KEY":
		return d.fileError("sslkey", d.SSLKey, "is encrypted in a form (PKCS #8) that kedge cannot read; decrypt it with openssl pkey", nil)
	case block.Headers["DEK-Info"] != "" && d.parameters["sslpassword"] == "":
		return d.fileError("sslkey", d.SSLKey, "is encrypted; give sslpassword, or decrypt it with openssl pkey", nil)
	case block.Headers["DEK-Info"] != "":
		return nil // only connecting will show whether the password fits
	}
	if _, err := tls.X509KeyPair(certificate, key); err != nil {
		return d.fileError("sslkey", d.SSLKey, "is not the key of the certificate in "+d.SSLCert, nil)
	}
	return nil
}

func hasBlock(data []byte, kind string) bool {
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == kind {
			return true
		}
	}
	return false
}

// ofDER is the mend for a certificate in the other form.
func ofDER(data []byte) string {
	if _, err := x509.ParseCertificate(bytes.TrimSpace(data)); err == nil {
		return " but one in DER form (openssl x509 -inform der -in FILE makes PEM of it)"
	}
	return ""
}

func (d Database) readFile(key, path string) ([]byte, error) {
	data, err := read(path)
	var fault *Error
	if errors.As(err, &fault) {
		// "is a directory, not a configuration file"
		what, _, _ := strings.Cut(fault.Msg, ", not a")
		what, _, _ = strings.Cut(what, ": not a")
		return nil, d.fileError(key, path, what, fault.Err)
	}
	return data, err
}

// fileError is what is wrong with a file that a parameter names.
func (d Database) fileError(key, path, what string, cause error) error {
	msg := fmt.Sprintf("%s: %s", path, what)
	if d.args != nil && (Options{d.args}).Has(key) {
		e := d.args.errorf(key, "%s", msg)
		e.Err, e.excerpt = cause, ""
		return e
	}
	return &Error{Msg: "database URL: the parameter " + key + ": " + msg, Err: cause}
}
