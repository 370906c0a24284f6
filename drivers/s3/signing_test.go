package s3

import (
	"bytes"
	"context"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/internal/testenv"
)

// signedOnly is a policy that lets nobody put what the signature does not cover.
func signedOnly(bucket string) string {
	const allowed, denied = `{"Effect":"Allow","Action":["s3:*"],"Resource":["arn:aws:s3:::%[1]s","arn:aws:s3:::%[1]s/*"]}`,
		`{"Effect":"Deny","Action":["s3:*"],"Resource":["arn:aws:s3:::%[1]s/*"],"Condition":{"StringEquals":{"s3:x-amz-content-sha256":"UNSIGNED-PAYLOAD"}}}`
	return fmt.Sprintf(`{"Version":"2012-10-17","Statement":[`+allowed+`,`+denied+`]}`, bucket)
}

// sessionOptions are options with the rights of a policy.
func sessionOptions(t *testing.T, server *testenv.S3Server, bucket, policy string) Options {
	t.Helper()
	session := server.Session(t, policy)
	o := optionsFor(server, bucket)
	o.AccessKey, o.SecretKey, o.SessionToken = session.AccessKey, session.SecretKey, session.SessionToken
	return o
}

// TestPolicyDeniesUnsignedPayloads: MinIO knows the condition. Each way of putting
// finds it out by itself, and what is put then is signed for at once.
func TestPolicyDeniesUnsignedPayloads(t *testing.T) {
	server := testenv.MinIO(t)
	large := noise(5, 6<<20)
	whole := large[:minPartBytes-1] // goes in one request
	opens := 0
	ways := map[string]drivers.Payload{
		"held":  drivers.InMemory([]byte("x"), md5Hex([]byte("x"))),
		"parts": streamOf(-1, func() io.Reader { return bytes.NewReader(large) }),
		"stream": {Length: int64(len(whole)), MD5: md5Hex(whole), Open: func(context.Context) (io.ReadCloser, error) {
			opens++
			return io.NopCloser(bytes.NewReader(whole)), nil
		}},
		"vacant": {Bytes: large, Length: int64(len(large)), MD5: md5Hex(large), ReadBack: true},
	}
	for name, payload := range ways {
		t.Run(name, func(t *testing.T) {
			bucket := server.Bucket(t)
			s := opened(t, sessionOptions(t, server, bucket, signedOnly(bucket)))
			uri := uriOf(t, s, name)
			receipt, err := s.Put(t.Context(), uri, payload)
			if err != nil {
				t.Fatal(err)
			}
			if receipt.ProvenMD5 != receipt.MD5 {
				t.Errorf("%+v", receipt)
			}
			if !s.direct.signing.is(payloadsSigned) {
				t.Error("it was not found out")
			}
			mustPut(t, s, uriOf(t, s, "next"), []byte("next"))
			want := map[string][]byte{"held": payload.Bytes, "parts": large, "stream": whole, "vacant": large}
			mustHold(t, s, uri, want[name])
		})
	}
	if opens != 3 {
		t.Errorf("the stream was opened %d times, want 3: refused, hashed, sent", opens)
	}
	t.Run("check", func(t *testing.T) {
		bucket := server.Bucket(t)
		s := opened(t, sessionOptions(t, server, bucket, signedOnly(bucket)))
		report, err := s.Probe(t.Context())
		if err != nil || len(report.Denied) > 0 || !report.SignsPayloads {
			t.Errorf("%+v, %v", report, err)
		}
	})
}

// TestPolicyOfSignaturesLater: the policy comes into force when much has been put.
func TestPolicyOfSignaturesLater(t *testing.T) {
	server := testenv.MinIO(t)
	bucket := server.Bucket(t)
	s := opened(t, optionsFor(server, bucket))
	mustPut(t, s, uriOf(t, s, "before"), []byte("x"))
	if !s.direct.signing.is(payloadsUnsigned) {
		t.Error("signed without need")
	}
	session := sessionOptions(t, server, bucket, signedOnly(bucket))
	later := opened(t, session)
	later.direct.signing.state.Store(int32(payloadsUnsigned))
	mustPut(t, later, uriOf(t, later, "after"), []byte("y"))
	mustHold(t, later, uriOf(t, later, "after"), []byte("y"))
}

// TestPutDeniedAnyhow: where no signature helps, the server's word stands.
func TestPutDeniedAnyhow(t *testing.T) {
	server := testenv.MinIO(t)
	s := opened(t, limited(t, server, server.Bucket(t), "s3:PutObject"))
	_, err := s.Put(t.Context(), uriOf(t, s, "k"), drivers.InMemory([]byte("x"), md5Hex([]byte("x"))))
	wantKind(t, err, drivers.Denied, "grant s3:PutObject")
	if s.direct.signing.is(payloadsSigned) {
		t.Error("it takes a missing permission for a policy of signatures")
	}
}

// TestServerWithoutUnsignedPayloads: some compute the body's digest, whatever the
// request says.
func TestServerWithoutUnsignedPayloads(t *testing.T) {
	refused := 0
	s := behind(t, testenv.MinIO(t), func(w http.ResponseWriter, r *http.Request) bool {
		if r.Header.Get(contentSHA256) != unsigned {
			return false
		}
		refused++
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, xml.Header+"<Error><Code>XAmzContentSHA256Mismatch</Code></Error>")
		return true
	}, nil)
	mustPut(t, s, uriOf(t, s, "k"), []byte("x"))
	mustPut(t, s, uriOf(t, s, "l"), []byte("x"))
	if refused != 1 {
		t.Errorf("%d refused, want 1", refused)
	}
}

// versionOne lets a server have no ListObjectsV2, or take it for the older request.
func versionOne(t *testing.T, asOlder bool) (s *Store, newer *atomic.Int64) {
	t.Helper()
	newer = new(atomic.Int64)
	s = behind(t, testenv.MinIO(t), func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Query().Get("list-type") != "2" {
			return false
		}
		newer.Add(1)
		if asOlder {
			w.Header().Set("Content-Type", "application/xml")
			out, err := testenv.MinIO(t).Client().ListObjects(r.Context(), &awss3.ListObjectsInput{
				Bucket: &strings.Split(r.URL.Path, "/")[1], Prefix: ptr(r.URL.Query().Get("prefix")), MaxKeys: ptr(int32(1000)),
			})
			if err != nil {
				t.Error(err)
				return true
			}
			fmt.Fprintf(w, "<ListBucketResult><IsTruncated>%t</IsTruncated>", *out.IsTruncated)
			for _, o := range out.Contents {
				fmt.Fprintf(w, "<Contents><Key>%s</Key><Size>%d</Size><ETag>%s</ETag></Contents>", *o.Key, *o.Size, *o.ETag)
			}
			fmt.Fprint(w, "</ListBucketResult>")
			return true
		}
		w.WriteHeader(http.StatusNotImplemented)
		_, _ = io.WriteString(w, xml.Header+"<Error><Code>NotImplemented</Code></Error>")
		return true
	}, nil)
	return s, newer
}

// TestOlderListing: servers without ListObjectsV2 are asked as they were before it,
// over more than one page.
func TestOlderListing(t *testing.T) {
	for _, asOlder := range []bool{false, true} {
		t.Run(fmt.Sprint("taken for the older one: ", asOlder), func(t *testing.T) {
			s, newer := versionOne(t, asOlder)
			const n = 1003
			requests := make([]drivers.PutRequest, n)
			for i := range requests {
				requests[i] = drivers.PutRequest{URI: uriOf(t, s, fmt.Sprintf("%04d", i)), Payload: []byte("x"), MD5: md5Hex([]byte("x"))}
			}
			for _, r := range s.PutBatch(t.Context(), requests) {
				if r.Err != nil {
					t.Fatal(r.Err)
				}
			}
			seen := map[string]bool{}
			if err := s.List(t.Context(), func(uri string, _ drivers.Info) error { seen[uri] = true; return nil }); err != nil || len(seen) != n {
				t.Errorf("%d listed, want %d, %v", len(seen), n, err)
			}
			last, count := "", 0
			err := s.ListAfter(t.Context(), "admin/", "admin/manifest_data/0999", func(path string, _ drivers.Info) error {
				last, count = path, count+1
				return nil
			})
			if !asOlder && (err != nil || count != 3 || last != "admin/manifest_data/1002") {
				t.Errorf("%d listed, the last %s, %v", count, last, err)
			}
			if newer.Load() == 0 {
				t.Error("it was not asked in the newer way: the test proves nothing")
			}
		})
	}
}

// TestNoListing: a migration's operations take none.
func TestNoListing(t *testing.T) {
	server := testenv.MinIO(t)
	s := behind(t, server, func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodGet || strings.Count(r.URL.Path, "/") > 1 || r.URL.Query().Has("location") || r.URL.Query().Has("uploads") {
			return false
		}
		w.WriteHeader(http.StatusNotImplemented)
		_, _ = io.WriteString(w, xml.Header+"<Error><Code>NotImplemented</Code></Error>")
		return true
	}, nil)
	uri := uriOf(t, s, "k")
	mustPut(t, s, uri, []byte("x"))
	mustHold(t, s, uri, []byte("x"))
	if err := s.Delete(t.Context(), uri); err != nil {
		t.Error(err)
	}
	mustMiss(t, s, uri)
	findings, err := s.Inspect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range findings {
		if f.Amiss {
			t.Errorf("%+v", f)
		}
	}
}

// TestDeniedBesideAnother: of two requests that are under way unsigned, one is sent
// again, signed, before the other one is denied, too. That one needs it no less.
func TestDeniedBesideAnother(t *testing.T) {
	var s signing
	denied := &smithy.GenericAPIError{Code: "AccessDenied"}
	if !s.wanted(denied) {
		t.Fatal("the first is not sent again")
	}
	if err := s.settle(denied, nil); err != nil || !s.is(payloadsSigned) {
		t.Fatal(err)
	}
	if !s.wanted(denied) {
		t.Error("the second is not sent again")
	}
}
