package s3

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/drivers/s3/internal/answers"
	"github.com/kedge/kedge/internal/testenv"
	"github.com/kedge/kedge/internal/testenv/faults"
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
		// These kedge does without; others may not, so the probe tells.
		{"s3:ListMultipartUploadParts", nil, []operation{put, parts, get, stat, list, abort, remove}},
		{"s3:ListBucket", []operation{list}, []operation{put, parts, get, stat, abort, remove}},
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
	if v := answers.Judge("put", "AccessDenied", message, 403); v.Kind != drivers.Denied || v.Mend != "grant kms:GenerateDataKey" {
		t.Errorf("%+v", v)
	}
}

// onPrefixOnly is a policy for what a migration does, below one prefix.
func onPrefixOnly(bucket, prefix string) string {
	return fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow",`+
		`"Action":["s3:GetObject","s3:PutObject","s3:DeleteObject"],"Resource":["arn:aws:s3:::%s/%s*"]}]}`, bucket, prefix)
}

// TestPolicyForOnePrefix: without any permission on the S3 bucket all that a
// migration does works, and where the server does not tell a document that is not
// there, it is neither called missing nor there.
func TestPolicyForOnePrefix(t *testing.T) {
	server := testenv.MinIO(t)
	t.Run("as MinIO", func(t *testing.T) { testPolicyForOnePrefix(t, server, server.URL, drivers.NotFound, "no such object") })
	t.Run("as Amazon", func(t *testing.T) {
		proxy, err := faults.NewHTTP(server.URL, 1)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = proxy.Close() }) // nothing is left to be said
		untold := &faults.Fault{Do: faults.Untold, On: func(r *http.Request) bool { return r.Method == http.MethodGet || r.Method == http.MethodHead }}
		proxy.Inject(untold)
		testPolicyForOnePrefix(t, server, proxy.URL(), drivers.Untold, "no such object, or no permission to read it", "s3:ListBucket")
		if untold.Hits() == 0 {
			t.Error("the test proves nothing")
		}
	})
}

func testPolicyForOnePrefix(t *testing.T, server *testenv.S3Server, url string, missing drivers.Kind, mentions ...string) {
	bucket := server.Bucket(t)
	o := sessionOptions(t, server, bucket, onPrefixOnly(bucket, "anchore/"))
	o.Prefix, o.URL = "anchore/", url
	s := opened(t, o)
	uri, large := uriOf(t, s, "k"), noise(3, 6<<20)
	mustPut(t, s, uri, []byte("x"))
	mustHold(t, s, uri, []byte("x"))
	if _, err := s.Put(t.Context(), uri, streamOf(-1, func() io.Reader { return bytes.NewReader(large) })); err != nil {
		t.Error(err)
	}
	if info, err := s.Stat(t.Context(), uri); err != nil || info.Bytes != int64(len(large)) {
		t.Errorf("%+v, %v", info, err)
	}
	for _, err := range s.DeleteBatch(t.Context(), []string{uri, uriOf(t, s, "l")}) {
		if err != nil {
			t.Error(err)
		}
	}
	_, err := s.Stat(t.Context(), uri)
	wantKind(t, err, missing, mentions...)
	_, _, err = s.Get(t.Context(), uri)
	wantKind(t, err, missing, mentions...)
	findings, err := s.Inspect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var without []string
	for _, f := range findings {
		if f.Amiss {
			t.Errorf("amiss: %+v", f)
		}
		if f.Name == "done without" {
			without = append(without, f.Value)
		}
	}
	for _, permission := range []string{"s3:ListBucket", "s3:GetBucketLocation"} {
		if !strings.Contains(strings.Join(without, "\n"), permission) {
			t.Errorf("%s is not told: %q", permission, without)
		}
	}
	if findings, err = s.SurveyPlace(t.Context()); err != nil {
		t.Error(err)
	}
	for _, f := range findings {
		if f.Amiss {
			t.Errorf("amiss: %+v", f)
		}
	}
}
