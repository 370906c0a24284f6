package s3

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/kedge/kedge/drivers"
)

// Validate checks the options without any traffic. Its error has kind Config
// and begins with the key that is wrong.
func (o Options) Validate() error {
	for _, check := range []func() error{
		o.checkTwins, o.checkBucket, o.checkEndpoint, o.checkRegion, o.checkCredentials, o.checkCharacters, o.checkPrefix,
		o.checkSignature, o.checkAmazonOnly, o.checkChunkSize, o.checkObjects, o.checkUserAgent,
	} {
		if err := check(); err != nil {
			return &drivers.Error{Op: "open", Kind: drivers.Config, Err: err}
		}
	}
	return nil
}

// checkTwins refuses an option that is given in both vocabularies, even with
// one value: which of the two somebody will change later is anybody's guess.
func (o Options) checkTwins() error {
	for _, t := range []twin{o.accessKey(), o.secretKey(), o.endpointTwin(), o.prefixTwin()} {
		if t.both() {
			return fmt.Errorf("%s: means the same as %s, which is given too", t.registry, t.anchore)
		}
	}
	return nil
}

func (o Options) checkBucket() error {
	switch {
	case o.Bucket == "":
		return errors.New("bucket: missing; name the S3 bucket of the archive")
	case !usableBucket(o.Bucket):
		if strings.Contains(o.Bucket, "://") { // perhaps with a password in it
			return errors.New("bucket: is a URL and no name of an S3 bucket; url is for the server's")
		}
		return fmt.Errorf("bucket: %q is no name of an S3 bucket", o.Bucket)
	}
	return nil
}

// checkEndpoint never quotes the URL: it may hold a password.
func (o Options) checkEndpoint() error {
	endpoint, key := o.endpoint(), o.key(o.endpointTwin())
	if endpoint == "" {
		return nil
	}
	u, err := url.Parse(endpoint)
	switch {
	case err != nil || u.Hostname() == "" || (u.Scheme != "http" && u.Scheme != "https"):
		return fmt.Errorf("%s: not of the form https://host[:port]", key)
	case u.User != nil:
		return fmt.Errorf("%s: holds a user or password; use %s and %s", key, o.key(o.accessKey()), o.key(o.secretKey()))
	case u.RawQuery != "" || u.Fragment != "":
		return fmt.Errorf("%s: has a query or a fragment, which an endpoint cannot have", key)
	case o.URL != "" && o.Secure != nil && *o.Secure != (u.Scheme == "https"):
		// The registry lets the scheme of its regionendpoint win, without a word.
		return fmt.Errorf("secure: contradicts the scheme of %s", key)
	}
	return nil
}

// A region becomes a part of a host's name.
var regionForm = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)

func (o Options) checkRegion() error {
	switch {
	case o.URL != "": // the region is ignored
		return nil
	case o.Region == "" && o.endpoint() == "":
		return fmt.Errorf("region: missing; set region (Amazon S3) or %s (another server)", o.key(o.endpointTwin()))
	case o.Region != "" && !regionForm.MatchString(o.Region):
		return fmt.Errorf("region: %q is no name of a region, such as eu-west-1", o.Region)
	}
	return nil
}

func (o Options) checkCredentials() error {
	access, secret := o.accessKey(), o.secretKey()
	switch {
	case access.value() != "" && secret.value() == "":
		return fmt.Errorf("%s: missing; %s is set without it", o.key(secret), o.key(access))
	case access.value() == "" && secret.value() != "":
		return fmt.Errorf("%s: missing; %s is set without it", o.key(access), o.key(secret))
	case access.value() == "" && o.SessionToken != "":
		return fmt.Errorf("%s: missing; sessiontoken is set without it", o.key(access))
	case access.value() == "" && !o.ambient():
		return fmt.Errorf("%s: missing; set %s and %s, or iamauto: True", o.key(access), o.key(access), o.key(secret))
	}
	return nil
}

// checkCharacters looks for what does not show in the credentials. A secret key
// with a space between other characters signs as well as any other.
func (o Options) checkCharacters() error {
	access, secret := o.accessKey(), o.secretKey()
	for _, c := range []struct {
		key, value string
		may        drivers.Spaces
	}{
		{o.key(access), access.value(), drivers.NoSpaces},
		{o.key(secret), secret.value(), drivers.InnerSpaces},
		{"sessiontoken", o.SessionToken, drivers.NoSpaces},
	} {
		if err := drivers.CheckCredential(c.value, c.may); err != nil {
			return fmt.Errorf("%s: %w", c.key, err)
		}
	}
	return nil
}

func (o Options) checkPrefix() error {
	prefix, key := o.prefix(), o.key(o.prefixTwin())
	switch {
	case !utf8.ValidString(prefix) || strings.ContainsRune(prefix, 0):
		return fmt.Errorf("%s: holds a NUL or is not UTF-8", key)
	case len(prefix) > maxKeyBytes/2:
		return fmt.Errorf("%s: %d bytes, which leaves no room in a key of %d", key, len(prefix), maxKeyBytes)
	}
	return nil
}

// regionsVersion2 are Amazon's regions that take signatures of version 2: those
// that are older than 30 January 2014.
var regionsVersion2 = []string{
	"us-east-1", "us-west-1", "us-west-2", "eu-west-1", "ap-southeast-1", "ap-southeast-2", "ap-northeast-1", "sa-east-1",
}

// checkSignature looks at the region that Amazon has in its endpoint's name as
// well.
func (o Options) checkSignature() error {
	region := o.connection().amazonRegion()
	switch {
	case o.v4auth() || region == "":
		return nil
	case !slices.Contains(regionsVersion2, region):
		return fmt.Errorf("v4auth: the region %s takes signatures of version 4 only; leave out v4auth: false", region)
	case o.Encrypt && o.KeyID != "":
		return errors.New("v4auth: Amazon S3 takes requests with keyid in signature version 4 only; leave out v4auth: false")
	}
	return nil
}

func (o Options) checkAmazonOnly() error {
	for _, option := range []struct {
		key   string
		given bool
	}{{"usedualstack", o.UseDualStack}, {"accelerate", o.Accelerate}, {"usefipsendpoint", o.UseFIPSEndpoint}} {
		if option.given && o.endpoint() != "" {
			return fmt.Errorf("%s: only Amazon S3 has such endpoints; %s names another server", option.key, o.key(o.endpointTwin()))
		}
	}
	switch {
	case o.Accelerate && strings.Contains(o.Bucket, "."):
		return fmt.Errorf("accelerate: not possible with dots in the name of the S3 bucket (%q)", o.Bucket)
	case o.Accelerate && o.pathStyle():
		return errors.New("accelerate: not possible with forcepathstyle: true")
	case o.Accelerate && o.UseFIPSEndpoint:
		return errors.New("accelerate: not possible with usefipsendpoint: true")
	}
	return nil
}

func (o Options) checkChunkSize() error {
	const maxPartBytes = 5 << 30 // S3's limit
	switch {
	case o.ChunkSize == nil:
		return nil
	case *o.ChunkSize < minPartBytes:
		return fmt.Errorf("chunksize: %d bytes; S3 takes parts of at least %d (5 MiB)", *o.ChunkSize, minPartBytes)
	case *o.ChunkSize > maxPartBytes:
		return fmt.Errorf("chunksize: %d bytes; S3 takes parts of at most %d (5 GiB)", *o.ChunkSize, int64(maxPartBytes))
	}
	return nil
}

// storageClasses are those from which an object can be read at once. NONE is
// the registry's word for leaving it to the server.
var storageClasses = []string{
	"STANDARD", "REDUCED_REDUNDANCY", "STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING", "GLACIER_IR", "OUTPOSTS", "NONE",
}

func (o Options) checkObjects() error {
	class := strings.ToUpper(o.StorageClass)
	acl := types.ObjectCannedACL(o.ObjectACL)
	switch {
	case class == "GLACIER" || class == "DEEP_ARCHIVE":
		return fmt.Errorf("storageclass: objects in %s cannot be read before they are restored, so that the archive would be out of reach", class)
	case class != "" && !slices.Contains(storageClasses, class):
		return fmt.Errorf("storageclass: %q is none of %s", o.StorageClass, strings.Join(storageClasses, ", "))
	case acl != "" && !slices.Contains(acl.Values(), acl):
		return fmt.Errorf("objectacl: %q is none of %s", o.ObjectACL, joined(acl.Values()))
	case strings.ContainsFunc(o.KeyID, func(r rune) bool { return r <= ' ' || r > '~' }):
		return errors.New("keyid: holds characters that no key's identifier has")
	}
	return nil
}

func (o Options) checkUserAgent() error {
	if strings.ContainsFunc(o.UserAgent, func(r rune) bool { return unicode.IsControl(r) || r > '~' }) {
		return errors.New("useragent: holds characters that a request's header cannot")
	}
	return nil
}

func joined[T ~string](values []T) string {
	texts := make([]string, len(values))
	for i, v := range values {
		texts[i] = string(v)
	}
	return strings.Join(texts, ", ")
}
