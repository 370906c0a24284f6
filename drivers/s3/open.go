package s3

import (
	"context"
	"net/http"
	"regexp"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/kedge/kedge/drivers"
)

// Open connects to the S3 bucket and checks that it is there, which takes the
// permission s3:ListBucket. A missing one is created where create_bucket says
// so. It makes one attempt and holds no goroutine.
//
// The error's kind is Config for options that cannot work, Denied for
// credentials that are wrong or lack a permission, Temporary for a server that
// cannot be reached.
func Open(ctx context.Context, o Options, t Tuning) (*Store, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	s := newStore(o.Bucket, o.Prefix, o.connection(), t)
	if err := s.open(ctx, o.CreateBucket); err != nil {
		_ = s.Close() // gives up idle connections; cannot fail
		return nil, err
	}
	return s, nil
}

func newStore(bucket, prefix string, conn connection, t Tuning) *Store {
	t = t.withDefaults()
	return &Store{
		bucket: bucket, prefix: prefix, conn: &conn, tuning: t,
		http:     &http.Client{Transport: transport(t, t.ResponseTimeout), CheckRedirect: noRedirect},
		slowHTTP: &http.Client{Transport: transport(t, slowFactor*t.ResponseTimeout), CheckRedirect: noRedirect},
		buffers:  newBuffers(t.PartBytes),
	}
}

// noRedirect: a signed request cannot be sent on to another host as it is.
func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

func (s *Store) open(ctx context.Context, create bool) error {
	if err := s.connect(ctx); err != nil {
		return err
	}
	err := s.probe(ctx)
	if region := regionAsked(err); region != "" && region != s.conn.region {
		// Amazon's client libraries follow this hint, so configurations with a
		// wrong region, or a url for a server that has one, work with Anchore.
		s.conn.region = region
		if err := s.connect(ctx); err != nil {
			return err
		}
		err = s.probe(ctx)
	}
	if err == nil {
		return nil
	}
	if code, _ := answer(err); code == "NoSuchBucket" {
		if create {
			return s.createBucket(ctx)
		}
		failed := s.failOpen(err)
		failed.Mend = "set create_bucket: True or create it"
		return failed
	}
	return s.failOpen(err)
}

func (s *Store) connect(ctx context.Context) error {
	client, err := s.conn.client(ctx, s.http)
	if err != nil {
		return s.failOpen(err)
	}
	s.client = client
	return nil
}

// probe lists one object: HeadBucket takes the same permission, and its answer
// has no body that would tell a wrong secret from a missing permission.
func (s *Store) probe(ctx context.Context) error {
	_, err := s.client.ListObjectsV2(ctx, &awss3.ListObjectsV2Input{
		Bucket: &s.bucket, Prefix: &s.prefix, MaxKeys: aws.Int32(1), EncodingType: types.EncodingTypeUrl,
	})
	return err
}

func (s *Store) createBucket(ctx context.Context) error {
	in := &awss3.CreateBucketInput{Bucket: &s.bucket}
	if s.conn.endpoint == "" && s.conn.region != defaultRegion {
		in.CreateBucketConfiguration = &types.CreateBucketConfiguration{
			LocationConstraint: types.BucketLocationConstraint(s.conn.region),
		}
	}
	_, err := s.client.CreateBucket(ctx, in)
	if code, _ := answer(err); err != nil && code != "BucketAlreadyOwnedByYou" {
		failed := s.failOpen(err)
		failed.Op = "create S3 bucket"
		if code == "AccessDenied" {
			failed.Mend = "grant s3:CreateBucket or create it"
		}
		return failed
	}
	return nil
}

var expecting = regexp.MustCompile(`expecting '([a-z0-9-]+)'`)

// regionAsked is the region that the server says the request should have been
// for: a header in Amazon's answers, else a part of the message.
func regionAsked(err error) string {
	if err == nil {
		return ""
	}
	if region := responseHeader(err, "X-Amz-Bucket-Region"); region != "" {
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

// failOpen is fail for what happens before there is a store.
func (s *Store) failOpen(err error) *drivers.Error {
	return s.fail("open", s.Place(), err)
}
