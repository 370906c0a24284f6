package s3

import (
	"fmt"
	"slices"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/internal/testenv"
)

// TestDeleteBatch removes 2,500 objects in three requests, some asked for
// twice, some not there, some in another S3 bucket, and leaves the rest alone.
func TestDeleteBatch(t *testing.T) {
	onEach(t, func(t *testing.T, server *testenv.S3Server) {
		s, other := fresh(t, server), fresh(t, server)
		var requests []drivers.PutRequest
		var uris []string
		for i := range 2500 {
			body := fmt.Appendf(nil, "payload %d", i)
			uri := uriOf(t, s, fmt.Sprintf("doc <&'\">%d", i))
			requests = append(requests, drivers.PutRequest{URI: uri, Payload: body, MD5: md5Hex(body)})
			uris = append(uris, uri)
		}
		kept := uriOf(t, s, "kept")
		for _, uri := range []string{kept, uriOf(t, other, "doc"), uriOf(t, other, "doc 2")} {
			requests = append(requests, drivers.PutRequest{URI: uri, MD5: md5Hex(nil)})
		}
		for _, r := range s.PutBatch(t.Context(), requests) {
			if r.Err != nil {
				t.Fatal(r.Err)
			}
		}
		uris = append(uris, uris[7], uriOf(t, s, "never there"), uriOf(t, other, "doc"), uriOf(t, other, "doc 2"), "s3://"+s.bucket)
		errs := s.DeleteBatch(t.Context(), uris)
		for i, err := range errs[:len(uris)-1] {
			if err != nil {
				t.Errorf("delete %s: %v", uris[i], err)
			}
		}
		wantKind(t, errs[len(uris)-1], drivers.InvalidKey)
		var left []string
		collect := func(uri string, _ drivers.Info) error { left = append(left, uri); return nil }
		if err := s.List(t.Context(), collect); err != nil {
			t.Fatal(err)
		}
		if err := other.List(t.Context(), collect); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(left, []string{kept}) {
			t.Errorf("%d objects are left: %q", len(left), left[:min(len(left), 10)])
		}
	})
}

// TestDeleteBatchNoBucket: when the whole request fails, each has the error.
func TestDeleteBatchNoBucket(t *testing.T) {
	onEach(t, func(t *testing.T, server *testenv.S3Server) {
		s := fresh(t, server)
		for _, err := range s.DeleteBatch(t.Context(), []string{"s3://no-such-bucket-here/a", "s3://no-such-bucket-here/b"}) {
			wantKind(t, err, drivers.Config, "no such S3 bucket")
		}
	})
}

// TestDeleteBatchRefused: an S3 bucket whose policy denies one key.
func TestDeleteBatchRefused(t *testing.T) {
	server := testenv.MinIO(t)
	admin := fresh(t, server)
	uris := []string{uriOf(t, admin, "free"), uriOf(t, admin, "held"), uriOf(t, admin, "free too")}
	for _, uri := range uris {
		mustPut(t, admin, uri, []byte("x"))
	}
	// Nobody in particular may delete two of the three.
	policy := fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":["*"]},
		"Action":["s3:DeleteObject"],"Resource":["arn:aws:s3:::%s/admin/manifest_data/free*"]}]}`, admin.bucket)
	if _, err := server.Client().PutBucketPolicy(t.Context(), &awss3.PutBucketPolicyInput{Bucket: &admin.bucket, Policy: &policy}); err != nil {
		t.Fatal(err)
	}
	s := anonymous(t, server, admin.bucket)
	errs := s.DeleteBatch(t.Context(), uris)
	if errs[0] != nil || errs[2] != nil {
		t.Errorf("those that are allowed: %v, %v", errs[0], errs[2])
	}
	wantKind(t, errs[1], drivers.Denied, uris[1], "grant s3:DeleteObject")
	mustHold(t, admin, uris[1], []byte("x"))
	mustMiss(t, admin, uris[0])
	_, err := s.Put(t.Context(), uris[1], drivers.InMemory(nil, md5Hex(nil)))
	wantKind(t, err, drivers.Denied, "put "+uris[1]+": access denied (grant s3:PutObject)")
	_, _, err = s.Get(t.Context(), uris[1])
	wantKind(t, err, drivers.Untold, "get "+uris[1]+": no such object, or no permission to read it", "grant s3:GetObject")
	wantKind(t, s.probeError(t), drivers.Denied, "access denied (grant s3:ListBucket)")
}

func (s *Store) probeError(t *testing.T) error { return s.failOpen(s.probe(t.Context())) }

func TestTravelsInXML(t *testing.T) {
	for key, want := range map[string]bool{
		"plain": true, "<&>\"'": true, "in side": true, "é🐎": true,
		" front": false, "back ": false, "tab\tin": false, "nl\n": false, "cr\rin": false, "esc\x1b": false,
		"del\x7f": false, "nel\u0085in": false, "\ufffe": false, "\uffff": false, "\ufffd": false,
	} {
		if got := travelsInXML(key); got != want {
			t.Errorf("travelsInXML(%q) = %v", key, got)
		}
	}
}

// TestRefusedDelete: per-key errors are judged as those of single deletes are.
func TestRefusedDelete(t *testing.T) {
	s := newStore("b", "", connection{endpoint: "http://localhost"}, Tuning{})
	for code, kind := range map[string]drivers.Kind{
		"InternalError": drivers.Temporary, "SlowDown": drivers.Temporary, "AccessDenied": drivers.Denied, "Whatever": drivers.Other,
	} {
		err := s.refusedDelete("s3://b/k", types.Error{Code: &code, Message: aws.String("in the server's words")})
		wantKind(t, err, kind, "delete s3://b/k: ")
	}
	if err := s.refusedDelete("s3://b/k", types.Error{Code: aws.String("NoSuchKey")}); err != nil {
		t.Errorf("delete of what is not there: %v", err)
	}
}
