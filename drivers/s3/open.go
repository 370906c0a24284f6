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
	conn := o.connection()
	if err := conn.trust(); err != nil {
		return nil, &drivers.Error{Op: "open", Kind: drivers.Config, Err: err}
	}
	s := newStore(o.Bucket, o.prefix(), conn, o.tuned(t))
	s.attributes = o.attributes()
	if err := s.open(ctx, o.CreateBucket); err != nil {
		_ = s.Close() // gives up idle connections; cannot fail
		return nil, err
	}
	return s, nil
}

func newStore(bucket, prefix string, conn connection, t Tuning) *Store {
	t = t.withDefaults()
	conn.seen = &seenCredentials{}
	return &Store{
		bucket: bucket, prefix: prefix, conn: &conn, tuning: t,
		http:     &http.Client{Transport: transport(&conn, t, t.ResponseTimeout), CheckRedirect: noRedirect},
		slowHTTP: &http.Client{Transport: transport(&conn, t, slowFactor*t.ResponseTimeout), CheckRedirect: noRedirect},
		buffers:  newBuffers(t.PartBytes),
		heed:     newHeed(conn.version2),
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
		if err := s.conn.checkVersion2(); err != nil {
			return err
		}
		if err := s.connect(ctx); err != nil {
			return err
		}
		err = s.probe(ctx)
	}
	if err == nil {
		return nil
	}
	if code, _ := answer(err); code == "NoSuchBucket" {
		if s.missing = create && s.tuning.Look; s.missing {
			return nil
		}
		if create {
			return s.createBucket(ctx)
		}
		failed := s.failOpen(err)
		failed.Mend = "set create_bucket: True or create it"
		return failed
	}
	failed := s.failOpen(err)
	if code, _ := answer(err); s.conn.version2 && code == "AccessDenied" {
		// A server without version 2 may see nobody's request in one.
		failed.Mend += "; or leave out v4auth: false, if the server takes signatures of version 4 only"
	}
	return failed
}

func (s *Store) connect(ctx context.Context) error {
	client, err := s.conn.client(ctx, s.http)
	if err != nil {
		return s.failOpen(err)
	}
	s.client = client
	s.direct = newDirect(s.http, s.conn, client.Options().Credentials)
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

// createBucket creates the S3 bucket. Amazon wants the region named outside of
// us-east-1; other servers may refuse any name, or want it too.
func (s *Store) createBucket(ctx context.Context) error {
	named := s.conn.region != defaultRegion
	err := s.createBucketIn(ctx, named && s.conn.endpoint == "")
	if code, _ := answer(err); named && s.conn.endpoint != "" && code == "IllegalLocationConstraintException" {
		err = s.createBucketIn(ctx, true)
	}
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

func (s *Store) createBucketIn(ctx context.Context, named bool) error {
	in := &awss3.CreateBucketInput{Bucket: &s.bucket}
	if named {
		in.CreateBucketConfiguration = &types.CreateBucketConfiguration{
			LocationConstraint: types.BucketLocationConstraint(s.conn.region),
		}
	}
	_, err := s.client.CreateBucket(ctx, in)
	return err
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
