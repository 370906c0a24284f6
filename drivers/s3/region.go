package s3

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"

	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/drivers/s3/internal/answers"
)

// Requests are signed for a region. Amazon's client libraries follow the region
// that an answer names, so configurations with a wrong one, or a url for a server
// that insists on one of its own, work with Anchore, which ignores region beside
// url. A server that names none may still take the one that the configuration
// gives, or the environment, where Anchore finds it.

// defaultRegionVariable is where Anchore's client library finds the region beside
// url.
const defaultRegionVariable = "AWS_DEFAULT_REGION"

// aboutRegion says whether an error may come from signing for a wrong region. An
// answer may name the region whatever it is about.
func aboutRegion(err error, signedFor string) bool {
	if asked := regionAsked(err); asked != "" {
		return asked != signedFor
	}
	switch code, _ := answer(err); code {
	case "AuthorizationHeaderMalformed", "SignatureDoesNotMatch", "PermanentRedirect", "InvalidRegion", "InvalidRegionName":
		return true
	}
	return false
}

// probeElsewhere is probe for the other regions that come into question, until one
// of them is right. cause is what the first has met; it is returned where none is.
// failed ends it all.
func (s *Store) probeElsewhere(ctx context.Context, cause error) (err, failed error) {
	first := s.conn.region
	tried := []string{first}
	for _, region := range s.otherRegions(ctx, cause) {
		if slices.Contains(tried, region) {
			continue
		}
		tried = append(tried, region)
		s.conn.region = region
		if err := s.conn.checkVersion2(); err != nil {
			return nil, err
		}
		if err := s.connect(ctx); err != nil {
			return nil, err
		}
		if err = s.probe(ctx); !aboutRegion(err, region) {
			return err, nil
		}
	}
	s.conn.region = first
	return cause, s.connect(ctx)
}

// otherRegions are the regions to try after an error, the likeliest first.
func (s *Store) otherRegions(ctx context.Context, err error) (regions []string) {
	asked := regionAsked(err)
	if code, _ := answer(err); asked == "" && code == "AuthorizationHeaderMalformed" {
		// Some servers name it outside of the message, which the SDK drops.
		// This follows to it, and tells it even where what is met there does not.
		_, _, err := s.direct.get(ctx, location{s.bucket, s.prefix + "kedge-probe"})
		asked = cmp.Or(regionAsked(err), s.direct.region(s.bucket))
	}
	candidates := []string{asked}
	if s.conn.endpoint != "" {
		candidates = append(candidates, s.conn.ignoredRegion, os.Getenv(defaultRegionVariable))
	}
	for _, region := range candidates {
		if regionForm.MatchString(region) {
			regions = append(regions, region)
		}
	}
	return regions
}

var expecting = regexp.MustCompile(`expecting '([a-z0-9-]+)'`)

// regionAsked is the region that the server says the request should have been
// for: a header in Amazon's answers, else a part of the message.
func regionAsked(err error) string {
	if err == nil {
		return ""
	}
	if region := responseHeader(err, bucketRegion); region != "" {
		return region
	}
	code, message := answer(err)
	if code != "AuthorizationHeaderMalformed" {
		return ""
	}
	if found := expecting.FindStringSubmatch(message); found != nil {
		return found[1]
	}
	return ""
}

// bucketRegion is the header by which Amazon tells the region of an S3 bucket.
const bucketRegion = "X-Amz-Bucket-Region"

// region is the one that requests about an S3 bucket are signed for.
func (d *direct) region(bucket string) string {
	if region, elsewhere := d.regions.Load(bucket); elsewhere {
		return region.(string)
	}
	return d.conn.region
}

// follow takes note of the region that an answer names, and says whether that is
// another one than the request was for: an S3 bucket of an earlier configuration may
// be in another than the configured one.
func (d *direct) follow(bucket string, err error) bool {
	asked := regionAsked(err)
	if d.conn.version2 || asked == d.region(bucket) || !regionForm.MatchString(asked) {
		return false
	}
	d.regions.Store(bucket, asked)
	d.endpoints.Delete(bucket)
	return true
}

// in makes a request of the SDK's for the region of an S3 bucket.
func (s *Store) in(bucket string) func(*awss3.Options) {
	return func(o *awss3.Options) { o.Region = s.direct.region(bucket) }
}

// wrongRegion says what helps where the region is wrong.
func (c *connection) wrongRegion() string {
	switch {
	case c.registry && c.endpoint != "":
		return "set region, beside regionendpoint, to the server's"
	case c.endpoint != "":
		return "set region to the server's: beside url it is used only where the server insists on one; for Anchore itself set " + defaultRegionVariable + " in its environment, for there region is ignored beside url"
	default:
		return answers.SetRegion
	}
}

// mayHoldBucket says whether the endpoint may name the S3 bucket: as the last
// component of a path, or at the beginning of the host.
func (c *connection) mayHoldBucket(bucket string) bool {
	u, err := url.Parse(c.endpoint)
	if err != nil || c.endpoint == "" {
		return false
	}
	return path.Base(u.Path) == bucket || strings.HasPrefix(u.Hostname(), bucket+".")
}

// hasPath says whether the endpoint has a path.
func (c *connection) hasPath() bool {
	u, err := url.Parse(c.endpoint)
	return err == nil && strings.Trim(u.Path, "/") != ""
}

// checkVersion2 refuses a region that takes signatures of version 4 only; the
// configured one has been checked before, but a server may name another.
func (c connection) checkVersion2() error {
	if region := c.amazonRegion(); c.version2 && region != "" && !slices.Contains(regionsVersion2, region) {
		return &drivers.Error{
			Op: "open", Kind: drivers.Config,
			Err: fmt.Errorf("v4auth: the S3 bucket's region %s takes signatures of version 4 only; leave out v4auth: false", region),
		}
	}
	return nil
}
