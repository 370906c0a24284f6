package s3

import (
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/kedge/kedge/drivers/httpstore"
)

// tag is an ETag without its quotes.
func tag(etag *string) string {
	if etag == nil {
		return ""
	}
	return strings.Trim(*etag, `"`)
}

// storedMD5 is the MD5 that an object's ETag is, "" where it need not be one:
// multipart uploads, and objects encrypted with a key that is not the server's
// own (their ETags look like an MD5 and are none).
func storedMD5(etag *string, sse types.ServerSideEncryption, customerAlgorithm *string) string {
	if (sse != "" && sse != types.ServerSideEncryptionAes256) || customerAlgorithm != nil {
		return ""
	}
	if t := tag(etag); httpstore.IsMD5(t) {
		return t
	}
	return ""
}

// provenMD5 is what an ETag proves after sending a payload with the MD5 sent.
// An equal one is proof whatever the encryption. One that differs convicts
// the server only where nothing else explains it.
func provenMD5(etag *string, sse types.ServerSideEncryption, sent string) string {
	t := tag(etag)
	if t == sent || (sse == "" && httpstore.IsMD5(t)) {
		return t
	}
	return ""
}
