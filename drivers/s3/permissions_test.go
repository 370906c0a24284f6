package s3

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/internal/testenv"
)

// The policy in the registry's documentation.
var (
	onBucket  = []string{"s3:ListBucket", "s3:GetBucketLocation", "s3:ListBucketMultipartUploads"}
	onObjects = []string{"s3:PutObject", "s3:GetObject", "s3:DeleteObject", "s3:ListMultipartUploadParts", "s3:AbortMultipartUpload"}
)

// policyWithout is that policy for an S3 bucket, less one permission.
func policyWithout(t *testing.T, bucket, lacking string) string {
	t.Helper()
	type statement struct {
		Effect   string
		Action   []string
		Resource string
	}
	less := func(actions []string) []string {
		return slices.DeleteFunc(slices.Clone(actions), func(a string) bool { return a == lacking })
	}
	policy, err := json.Marshal(map[string]any{"Version": "2012-10-17", "Statement": []statement{
		{"Allow", less(onBucket), "arn:aws:s3:::" + bucket},
		{"Allow", less(onObjects), "arn:aws:s3:::" + bucket + "/*"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	return string(policy)
}

// limited are options with the rights of that policy.
func limited(t *testing.T, server *testenv.S3Server, bucket, lacking string) Options {
	t.Helper()
	session := server.Session(t, policyWithout(t, bucket, lacking))
	o := optionsFor(server, bucket)
	o.AccessKey, o.SecretKey, o.SessionToken = session.AccessKey, session.SecretKey, session.SessionToken
	return o
}

// TestPolicySuffices does all there is to do under exactly that policy.
func TestPolicySuffices(t *testing.T) {
	server := testenv.MinIO(t)
	bucket := server.Bucket(t)
	s := opened(t, limited(t, server, bucket, ""))
	whole, parts, large := uriOf(t, s, "whole"), uriOf(t, s, "parts"), noise(3, 6<<20)
	mustPut(t, s, whole, []byte("x"))
	if _, err := s.Put(t.Context(), parts, streamOf(-1, func() io.Reader { return bytes.NewReader(large) })); err != nil {
		t.Fatal(err)
	}
	cut := errors.New("cut off")
	_, err := s.Put(t.Context(), uriOf(t, s, "aborted"), streamOf(-1, func() io.Reader {
		return io.MultiReader(bytes.NewReader(large), errReader{cut})
	}))
	if !errors.Is(err, cut) || strings.Contains(err.Error(), "parts stay behind") {
		t.Errorf("aborted: %v", err)
	}
	mustHold(t, s, whole, []byte("x"))
	mustHold(t, s, parts, large)
	if _, err := s.Stat(t.Context(), parts); err != nil {
		t.Error(err)
	}
	mustMiss(t, s, uriOf(t, s, "never there"))
	listed := 0
	if err := s.List(t.Context(), func(string, drivers.Info) error { listed++; return nil }); err != nil || listed != 2 {
		t.Errorf("%d listed, %v", listed, err)
	}
	if err := s.AbortUploads(t.Context(), parts); err != nil {
		t.Error(err)
	}
	report, err := s.Probe(t.Context())
	if err != nil || len(report.Denied) > 0 || !report.MultiDelete || !report.MD5ETag {
		t.Errorf("probe: %+v, %v", report, err)
	}
	if err := s.Delete(t.Context(), whole); err != nil {
		t.Error(err)
	}
	for _, err := range s.DeleteBatch(t.Context(), []string{whole, parts}) {
		if err != nil {
			t.Error(err)
		}
	}
	mustMiss(t, s, parts)
}

// TestPolicyLacking takes one permission away at a time. What needs it fails and
// names it; what does not works on; the probe names it and nothing else.
func TestPolicyLacking(t *testing.T) {
	server := testenv.MinIO(t)
	bucket := server.Bucket(t)
	admin := opened(t, optionsFor(server, bucket))
	there := uriOf(t, admin, "there")
	large := noise(3, 6<<20)
	put := func(t *testing.T, s *Store) error {
		_, err := s.Put(t.Context(), uriOf(t, s, "new"), drivers.InMemory(nil, md5Hex(nil)))
		return err
	}
	parts := func(t *testing.T, s *Store) error {
		_, err := s.Put(t.Context(), uriOf(t, s, "new"), streamOf(-1, func() io.Reader { return bytes.NewReader(large) }))
		return err
	}
	get := func(t *testing.T, s *Store) error {
		r, _, err := s.Get(t.Context(), there)
		if err == nil {
			r.Close()
		}
		return err
	}
	stat := func(t *testing.T, s *Store) error { _, err := s.Stat(t.Context(), there); return err }
	list := func(t *testing.T, s *Store) error {
		return s.List(t.Context(), func(string, drivers.Info) error { return nil })
	}
	remove := func(t *testing.T, s *Store) error { return s.Delete(t.Context(), there) }
	removeMany := func(t *testing.T, s *Store) error {
		return errors.Join(s.DeleteBatch(t.Context(), []string{there, uriOf(t, s, "new")})...)
	}
	abort := func(t *testing.T, s *Store) error { return s.AbortUploads(t.Context(), there) }
	cut := func(t *testing.T, s *Store) error {
		_, err := s.Put(t.Context(), uriOf(t, s, "cut"), streamOf(-1, func() io.Reader {
			return io.MultiReader(bytes.NewReader(large), errReader{&drivers.Error{Op: "get", Kind: drivers.Denied, Err: io.ErrUnexpectedEOF}})
		}))
		return err
	}
	type operation = func(*testing.T, *Store) error
	tests := []struct {
		lacking      string
		fails, works []operation
	}{
		{"s3:PutObject", []operation{put, parts}, []operation{get, stat, list, abort, remove}},
		{"s3:GetObject", []operation{get, stat}, []operation{put, parts, list, abort, remove}},
		{"s3:DeleteObject", []operation{remove, removeMany}, []operation{put, parts, get, stat, list, abort}},
		{"s3:AbortMultipartUpload", []operation{cut}, []operation{put, parts, get, stat, list, remove}},
		{"s3:ListBucketMultipartUploads", []operation{abort}, []operation{put, parts, get, stat, list, remove}},
		// These two kedge does without; others may not, so the probe tells.
		{"s3:ListMultipartUploadParts", nil, []operation{put, parts, get, stat, list, abort, remove}},
		{"s3:GetBucketLocation", nil, []operation{put, parts, get, stat, list, abort, remove}},
	}
	for _, tt := range tests {
		t.Run(tt.lacking, func(t *testing.T) {
			mustPut(t, admin, there, []byte("x"))
			s := opened(t, limited(t, server, bucket, tt.lacking))
			for _, fails := range tt.fails {
				wantKind(t, fails(t, s), drivers.Denied, tt.lacking)
			}
			for i, works := range tt.works {
				if err := works(t, s); err != nil {
					t.Errorf("operation %d: %v", i, err)
				}
			}
			report, err := s.Probe(t.Context())
			if err != nil || len(report.Denied) != 1 {
				t.Fatalf("probe: %+v, %v", report, err)
			}
			wantKind(t, report.Denied[0], drivers.Denied, tt.lacking)
		})
	}
	t.Run("s3:ListBucket", func(t *testing.T) {
		_, err := Open(t.Context(), limited(t, server, bucket, "s3:ListBucket"), Tuning{})
		wantKind(t, err, drivers.Denied, "grant s3:ListBucket")
	})
	t.Run("s3:CreateBucket", func(t *testing.T) {
		o := limited(t, server, "absent-and-ours", "")
		o.Bucket, o.CreateBucket = "absent-and-ours", true
		_, err := Open(t.Context(), o, Tuning{})
		wantKind(t, err, drivers.Denied, "grant s3:CreateBucket")
	})
	left := uploads(t, server, bucket)
	if len(left) == 0 {
		t.Error("nothing stays behind without s3:AbortMultipartUpload: the test proves nothing")
	}
	for _, key := range left {
		if err := admin.AbortUploads(t.Context(), scheme+bucket+"/"+key); err != nil {
			t.Error(err)
		}
	}
}

// TestPolicyOfAttributes: what else a put may take.
func TestPolicyOfAttributes(t *testing.T) {
	server := testenv.MinIO(t)
	o := limited(t, server, server.Bucket(t), "s3:PutObject")
	o.ObjectACL, o.Encrypt, o.KeyID = "private", true, "archive-key"
	s := opened(t, o)
	_, err := s.Put(t.Context(), uriOf(t, s, "k"), drivers.InMemory(nil, md5Hex(nil)))
	wantKind(t, err, drivers.Denied, "(grant s3:PutObject, for objectacl s3:PutObjectAcl, for keyid kms:GenerateDataKey and kms:Decrypt)")
}

// TestPolicyNamedByServer: Amazon's answers name the permission, which may be
// one that no operation tells of, such as the use of a key.
func TestPolicyNamedByServer(t *testing.T) {
	const message = "User: arn:aws:iam::1:user/u is not authorized to perform: kms:GenerateDataKey on resource: arn:aws:kms:x because no identity-based policy allows it"
	if v := judgeAnswer("put", "AccessDenied", message, 403); v.kind != drivers.Denied || v.mend != "grant kms:GenerateDataKey" {
		t.Errorf("%+v", v)
	}
}
