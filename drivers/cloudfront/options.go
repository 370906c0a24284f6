// Package cloudfront is a decorator over a store in S3 that fetches payloads
// through Amazon CloudFront by URLs signed with a canned policy. A registry with the
// middleware of that name sends its clients there in the same way. Only Get of
// payloads that never change goes there; everything else goes to S3 itself.
package cloudfront

import (
	"cmp"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/kedge/kedge/drivers"
)

// Options are those of the registry's middleware.
type Options struct {
	BaseURL    string `config:"baseurl" required:"true" doc:"URL of the CloudFront distribution; https unless it says otherwise." example:"https://abcdefghijklmn.cloudfront.net/"`
	PrivateKey string `config:"privatekey" required:"true" secret:"false" doc:"File with the RSA key that signs, in PEM (PKCS #1 or PKCS #8)." example:"/etc/docker/cloudfront/pk-ABCEDFGHIJKLMNOPQRST.pem"`
	KeyPairID  string `config:"keypairid" required:"true" secret:"false" doc:"Id of the key pair, or public key, at CloudFront." example:"ABCEDFGHIJKLMNOPQRST"`
	Duration   string `config:"duration" default:"20m" doc:"How long a URL holds, with its unit." example:"3000s"`

	// What follows decides whom the registry sends to S3 directly; kedge always
	// goes through CloudFront.
	IPFilteredBy    string `config:"ipfilteredby" default:"none" doc:"Checked, and of no effect on kedge: none, aws or awsregion." example:"none"`
	AWSRegion       string `config:"awsregion" doc:"Of no effect on kedge." example:"us-east-1, use-east-2"`
	UpdateFrequency string `config:"updatefrequency,aliases=updatefrenquency" default:"12h" doc:"Of no effect on kedge." example:"12h"`
	IPRangesURL     string `config:"iprangesurl" doc:"Of no effect on kedge." example:"https://ip-ranges.amazonaws.com/ip-ranges.json"`
	responseTimeout time.Duration
	now             func() time.Time
}

const defaultDuration = 20 * time.Minute

// Validate says what is wrong with the options by themselves, as an error of
// kind Config.
func (o Options) Validate() error {
	_, err := o.base()
	if err == nil {
		_, err = o.duration()
	}
	if err == nil {
		switch strings.ToLower(strings.TrimSpace(o.IPFilteredBy)) {
		case "", "none", "aws":
		case "awsregion":
			if o.AWSRegion == "" {
				err = errors.New("ipfilteredby: awsregion wants awsregion, a list of regions")
			}
		default:
			err = errors.New("ipfilteredby must be none, aws or awsregion")
		}
	}
	if err == nil {
		if err = drivers.CheckCredential(o.KeyPairID, drivers.NoSpaces); err != nil {
			err = fmt.Errorf("keypairid %w", err)
		}
	}
	return misconfigured("", err)
}

// base is baseurl with a scheme and a slash at its end.
func (o Options) base() (string, error) {
	base := o.BaseURL
	if !strings.Contains(base, "://") {
		base = "https://" + base
	}
	base = strings.TrimRight(base, "/") + "/"
	u, err := url.Parse(base)
	if err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") || u.RawQuery != "" || u.User != nil {
		return "", errors.New("baseurl is not a URL such as https://abcdefghijklmn.cloudfront.net/")
	}
	return base, nil
}

// duration is how long URLs hold. A bare number counts for nothing, as in the
// registry.
func (o Options) duration() (time.Duration, error) {
	if strings.Trim(o.Duration, "0123456789") == "" {
		return defaultDuration, nil
	}
	d, err := time.ParseDuration(o.Duration)
	if err != nil || d <= 0 {
		return 0, errors.New("duration is none, such as 20m or 3000s")
	}
	return d, nil
}

// loadKey reads the key file.
func (o Options) loadKey() (*rsa.PrivateKey, error) {
	text, err := os.ReadFile(o.PrivateKey)
	if err != nil {
		return nil, fmt.Errorf("privatekey: %w", err)
	}
	block, _ := pem.Decode(text)
	switch {
	case block == nil:
		return nil, fmt.Errorf("privatekey: %s holds no PEM", o.PrivateKey)
	case strings.Contains(block.Type, "PUBLIC") || block.Type == "CERTIFICATE":
		return nil, fmt.Errorf("privatekey: %s holds a %s, not the private key", o.PrivateKey, strings.ToLower(block.Type))
	case block.Type == "ENCRYPTED PRIVATE KEY" || block.Headers["DEK-Info"] != "":
		return nil, fmt.Errorf("privatekey: %s is encrypted with a password; the registry takes only a plain key", o.PrivateKey)
	}
	if key, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
		return key, nil
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("privatekey: %s holds no RSA key in PKCS #1 or PKCS #8", o.PrivateKey)
	}
	key, ok := parsed.(*rsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("privatekey: %s holds a key that is not RSA; canned policies are signed with RSA", o.PrivateKey)
	}
	return key, nil
}

func (o Options) timeout() time.Duration { return cmp.Or(o.responseTimeout, 60*time.Second) }

func misconfigured(uri string, err error) error {
	if err == nil {
		return nil
	}
	return &drivers.Error{Op: "open", URI: uri, Kind: drivers.Config, Err: err}
}
