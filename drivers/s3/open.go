package s3

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"

	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/drivers/httpstore"
)

// Open connects to the S3 bucket and checks that it is there, as far as the
// permission s3:ListBucket goes: what a migration does takes no listing. A missing
// one is created where create_bucket says so. It makes one attempt and holds no goroutine.
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
	err := s.open(ctx, o.CreateBucket)
	if err == nil && t.Writes && !t.Look && s.rewrites(s.prefix+"x") {
		err = s.tryPrefix(ctx, o.key(o.prefixTwin()))
	}
	if err != nil {
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
		http:       &http.Client{Transport: transport(&conn, t, t.ResponseTimeout), CheckRedirect: noRedirect},
		slowHTTP:   &http.Client{Transport: transport(&conn, t, httpstore.SlowFactor*t.ResponseTimeout), CheckRedirect: noRedirect},
		buffers:    httpstore.NewBuffers(t.PartBytes),
		heed:       newHeed(conn.version2),
		oldListing: new(atomic.Bool), many: new(many),
	}
}

// noRedirect: a signed request cannot be sent on to another host as it is.
func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

func (s *Store) open(ctx context.Context, create bool) error {
	if err := s.connect(ctx); err != nil {
		return err
	}
	err := s.probe(ctx)
	if aboutRegion(err, s.conn.region) {
		var failed error
		if err, failed = s.probeElsewhere(ctx, err); failed != nil {
			return failed
		}
	}
	if s.recognized = err == nil; s.recognized {
		return nil
	}
	failed := s.failOpen(err)
	switch code, _ := answer(err); {
	case code == "NoSuchBucket":
		if s.missing = create && s.tuning.Look; s.missing {
			return nil
		}
		if create {
			return s.createBucket(ctx)
		}
		failed.Mend = "set create_bucket: True or create it"
		if s.conn.hasPath() || s.conn.mayHoldBucket(s.bucket) {
			// Of which S3 bucket the server speaks is then anybody's guess.
			failed.Mend += "; or " + s.holdsBucket(false).Mend + ", where url holds it (or a path)"
		}
	case code == "NoSuchKey":
		// The server took the S3 bucket's name for a key.
		return s.holdsBucket(false)
	case denies(err) && s.conn.version2:
		// A server without version 2 may see nobody's request in one.
		failed.Mend += "; or leave out v4auth: false, if the server takes signatures of version 4 only"
	case denies(err) && s.conn.mayHoldBucket(s.bucket):
		// Without a listing there is nothing to tell it by.
		return s.holdsBucket(true)
	case denies(err):
		// What a migration does takes no listing.
		failed.Op = "list"
		s.unlisted = failed
		return nil
	case unknownRequest(err):
		failed.Op, failed.Err = "list", httpstore.Told(failed.Err.Error(), errors.ErrUnsupported)
		s.unlisted = failed
		return nil
	}
	return failed
}

// holdsBucket is the error for an endpoint that names the S3 bucket once more: the
// server took the S3 bucket's name for a key, or, where the listing is denied, may.
func (s *Store) holdsBucket(denied bool) *drivers.Error {
	url := s.conn.inVocabulary("url")
	failed := &drivers.Error{
		Op: "open", URI: s.Place(), Kind: drivers.Config,
		Err:  errors.New(url + " holds the S3 bucket (or a path): the server takes the S3 bucket's name for an object's"),
		Mend: "write " + url + " without it, as https://host:port; bucket names the S3 bucket",
	}
	if denied {
		failed.Err = errors.New(url + " may hold the S3 bucket (or a path), and without s3:ListBucket that cannot be told")
		failed.Mend += "; if the server's own name begins, or its path ends, in this way, grant s3:ListBucket"
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

// probe lists one object: the answer to HeadBucket has no body that would tell a
// wrong secret from a missing permission.
func (s *Store) probe(ctx context.Context) error {
	w := &walk{store: s, bucket: s.bucket, prefix: s.prefix, most: 1}
	if s.rewrites(s.prefix + "x") {
		w.prefix = "" // for some servers refuse to list such a one
	}
	_, err := w.next(ctx)
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

// failOpen is fail for what happens before there is a store.
func (s *Store) failOpen(err error) *drivers.Error {
	return s.fail("open", s.Place(), err)
}
