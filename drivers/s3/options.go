package s3

import (
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/kedge/kedge/drivers"
)

// Options are the keys below storage_driver.config for the driver s3, in
// Anchore's vocabulary.
type Options struct {
	AccessKey    string `config:"access_key" secret:"true"`
	SecretKey    string `config:"secret_key" secret:"true"`
	IAMAuto      bool   `config:"iamauto"`
	URL          string `config:"url"`
	Region       string `config:"region" falsy:"empty"`
	Bucket       string `config:"bucket"`
	CreateBucket bool   `config:"create_bucket"`
	Prefix       string `config:"prefix"`
}

// String is where the options point, without the credentials.
func (o Options) String() string {
	return scheme + o.Bucket + "/" + o.Prefix + " " + o.connection().String()
}

// GoString is String: no way of printing shows the credentials.
func (o Options) GoString() string { return o.String() }

// LogValue is String.
func (o Options) LogValue() slog.Value { return slog.StringValue(o.String()) }

// Validate checks the options without any traffic. Its error has kind Config
// and begins with the key that is wrong.
func (o Options) Validate() error {
	for _, check := range []func() error{o.checkBucket, o.checkEndpoint, o.checkCredentials, o.checkPrefix} {
		if err := check(); err != nil {
			return &drivers.Error{Op: "open", Kind: drivers.Config, Err: err}
		}
	}
	return nil
}

func (o Options) checkBucket() error {
	switch {
	case o.Bucket == "":
		return errors.New("bucket: missing; name the S3 bucket of the archive")
	case !usableBucket(o.Bucket):
		return fmt.Errorf("bucket: %q is no name of an S3 bucket", o.Bucket)
	}
	return nil
}

// checkEndpoint never quotes the URL: it may hold a password.
func (o Options) checkEndpoint() error {
	if o.URL == "" {
		if o.Region == "" {
			return errors.New("region: missing; set region (Amazon S3) or url (another server)")
		}
		return nil
	}
	u, err := url.Parse(o.URL)
	switch {
	case err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https"):
		return errors.New("url: not of the form https://host[:port]")
	case u.User != nil:
		return errors.New("url: holds a user or password; use access_key and secret_key")
	case u.RawQuery != "" || u.Fragment != "":
		return errors.New("url: has a query or a fragment, which an endpoint cannot have")
	}
	return nil
}

func (o Options) checkCredentials() error {
	switch {
	case o.AccessKey != "" && o.SecretKey == "":
		return errors.New("secret_key: missing; access_key is set without it")
	case o.AccessKey == "" && o.SecretKey != "":
		return errors.New("access_key: missing; secret_key is set without it")
	case o.AccessKey == "" && !o.IAMAuto:
		return errors.New("access_key: missing; set access_key and secret_key, or iamauto: True")
	}
	return nil
}

func (o Options) checkPrefix() error {
	switch {
	case !utf8.ValidString(o.Prefix) || strings.ContainsRune(o.Prefix, 0):
		return errors.New("prefix: holds a NUL or is not UTF-8")
	case len(o.Prefix) > maxKeyBytes/2:
		return fmt.Errorf("prefix: %d bytes, which leaves no room in a key of %d", len(o.Prefix), maxKeyBytes)
	case o.URL != "" && !plainPath(o.Prefix+"x"):
		return fmt.Errorf("prefix: %q has an empty, \".\" or \"..\" component, which servers other than Amazon's may rewrite", o.Prefix)
	}
	return nil
}

// connection translates Anchore's vocabulary. With url the region is ignored,
// as Anchore does; a request has to be signed for some region all the same.
func (o Options) connection() connection {
	c := connection{accessKey: o.AccessKey, secretKey: o.SecretKey, region: o.Region}
	if o.URL != "" {
		c.endpoint, c.region = strings.TrimRight(o.URL, "/"), defaultRegion
	}
	return c
}
