package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"time"
)

// unsigned says that the payload is not part of the signature.
const unsigned = "UNSIGNED-PAYLOAD"

// signer signs requests as AWS's Signature Version 4 has it, over the three
// headers that must be signed:
// https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
type signer struct {
	scope  string // date/region/s3/aws4_request
	access string
	key    []byte // of the day, region and service
	date   string // of all requests: valid for a quarter of an hour
}

func newSigner(region, access, secret string, now time.Time) *signer {
	day := now.Format("20060102")
	key := []byte("AWS4" + secret)
	for _, part := range []string{day, region, "s3", "aws4_request"} {
		key = sum(key, part)
	}
	return &signer{scope: day + "/" + region + "/s3/aws4_request", access: access, key: key, date: now.Format("20060102T150405Z")}
}

// sign adds the headers. The request's URL must have no query.
func (s *signer) sign(req *http.Request) {
	canonical := req.Method + "\n" + req.URL.EscapedPath() + "\n\nhost:" + req.Host + "\nx-amz-content-sha256:" + unsigned +
		"\nx-amz-date:" + s.date + "\n\nhost;x-amz-content-sha256;x-amz-date\n" + unsigned
	hash := sha256.Sum256([]byte(canonical))
	signature := sum(s.key, "AWS4-HMAC-SHA256\n"+s.date+"\n"+s.scope+"\n"+hex.EncodeToString(hash[:]))
	req.Header["X-Amz-Date"] = []string{s.date}
	req.Header["X-Amz-Content-Sha256"] = []string{unsigned}
	req.Header["Authorization"] = []string{"AWS4-HMAC-SHA256 Credential=" + s.access + "/" + s.scope +
		", SignedHeaders=host;x-amz-content-sha256;x-amz-date, Signature=" + hex.EncodeToString(signature)}
}

func sum(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}
