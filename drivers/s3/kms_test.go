package s3

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"io"
	"testing"

	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/internal/testenv"
)

// encrypting is a MinIO with one key of its own, named archive-key.
func encrypting(t *testing.T) *testenv.S3Server {
	t.Helper()
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails
	return testenv.NewMinIO(t, "MINIO_KMS_SECRET_KEY=archive-key:"+base64.StdEncoding.EncodeToString(key))
}

// TestEncryption puts in one request and in parts. What an ETag proves must be
// true, and where it proves nothing it must not be taken for a proof: neither
// of what was sent, nor of what is stored.
func TestEncryption(t *testing.T) {
	server := encrypting(t)
	small, large := []byte("kept secret"), noise(7, 6<<20)
	tests := []struct {
		name  string
		edit  func(*Options)
		want  types.ServerSideEncryption
		key   string
		proof bool // whether the ETag of one request is the MD5
	}{
		{"none", func(*Options) {}, "", "", true},
		{"keyid alone", func(o *Options) { o.KeyID = "archive-key" }, "", "", true},
		{"encrypt", func(o *Options) { o.Encrypt = true }, types.ServerSideEncryptionAes256, "", true},
		{"encrypt with keyid", func(o *Options) { o.Encrypt, o.KeyID = true, "archive-key" }, types.ServerSideEncryptionAwsKms, "archive-key", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := optionsFor(server, server.Bucket(t))
			tt.edit(&o)
			s := opened(t, o)
			whole, parts := uriOf(t, s, "whole"), uriOf(t, s, "parts")
			receipt := mustPut(t, s, whole, small)
			if proven := receipt.ProvenMD5 == md5Hex(small); proven != tt.proof || (!proven && receipt.ProvenMD5 != "") {
				t.Errorf("whole: receipt %+v", receipt)
			}
			receipt, err := s.Put(t.Context(), parts, streamOf(-1, func() io.Reader { return bytes.NewReader(large) }))
			if err != nil || receipt.MD5 != md5Hex(large) || (receipt.ProvenMD5 != "" && receipt.ProvenMD5 != receipt.MD5) || (!tt.proof && receipt.ProvenMD5 != "") {
				t.Errorf("parts: receipt %+v, %v", receipt, err)
			}
			for uri, body := range map[string][]byte{whole: small, parts: large} {
				mustHold(t, s, uri, body)
				info, err := s.Stat(t.Context(), uri)
				if err != nil || info.Bytes != int64(len(body)) || (info.MD5 != "" && info.MD5 != md5Hex(body)) {
					t.Errorf("%s: stat %+v, %v", uri, info, err)
				}
				loc, _ := split(uri)
				out, err := server.Client().HeadObject(context.Background(), &awss3.HeadObjectInput{Bucket: &loc.bucket, Key: &loc.key})
				if err != nil || out.ServerSideEncryption != tt.want {
					t.Errorf("%s: encryption %q, %v", uri, out.ServerSideEncryption, err)
				}
				if tt.key != "" && (out.SSEKMSKeyId == nil || *out.SSEKMSKeyId != "arn:aws:kms:"+tt.key) {
					t.Errorf("%s: encrypted with %v", uri, out.SSEKMSKeyId)
				}
			}
			report, err := s.Probe(t.Context())
			if err != nil || report.MD5ETag != tt.proof || report.Encryption != string(tt.want) {
				t.Errorf("probe: %+v, %v", report, err)
			}
		})
	}
}

// TestEncryptionUnknownKey: the key's name is wrong.
func TestEncryptionUnknownKey(t *testing.T) {
	server := encrypting(t)
	o := optionsFor(server, server.Bucket(t))
	o.Encrypt, o.KeyID = true, "no-such-key"
	s := opened(t, o)
	uri := uriOf(t, s, "doc")
	_, err := s.Put(t.Context(), uri, drivers.InMemory(nil, md5Hex(nil)))
	wantKind(t, err, drivers.Config, "key for encryption", "check keyid")
	mustMiss(t, s, uri)
}

// TestEncryptionImpossible: one server refuses, for it has no keys; the other
// takes no notice, and would store the payload for all to see.
func TestEncryptionImpossible(t *testing.T) {
	onEach(t, func(t *testing.T, server *testenv.S3Server) {
		o := optionsFor(server, server.Bucket(t))
		o.Encrypt = true
		s := opened(t, o)
		uri := uriOf(t, s, "doc")
		_, err := s.Put(t.Context(), uri, drivers.InMemory(nil, md5Hex(nil)))
		wantKind(t, err, drivers.Config, "leave out encrypt")
		mustMiss(t, s, uri)
		_, err = s.Put(t.Context(), uri, streamOf(-1, func() io.Reader { return bytes.NewReader(noise(1, 9<<20)) }))
		wantKind(t, err, drivers.Config, "leave out encrypt")
		mustMiss(t, s, uri)
		if left := uploads(t, server, s.bucket); len(left) > 0 {
			t.Errorf("unfinished uploads: %q", left)
		}
		if _, err := s.Probe(t.Context()); err == nil {
			t.Error("the probe finds nothing wrong")
		}
	})
}
