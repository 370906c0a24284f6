package s3

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/drivers/httpstore"
)

const (
	// maxParts and maxObjectBytes are S3's limits of a multipart upload.
	maxParts       = 10_000
	maxObjectBytes = 5 << 40
	// abortTimeout bounds the clean-up after a failed or cancelled upload.
	abortTimeout = 30 * time.Second
	// abortAttempts is how often an upload is aborted that does not go away, and
	// abortWait the time between the first and the second; it doubles.
	abortAttempts = 4
	abortWait     = 100 * time.Millisecond
)

// partBytes is the length of the parts of a stream of length bytes (-1 if not
// known).
func (s *Store) partBytes(length int64) (int64, error) {
	if length > maxObjectBytes {
		return 0, fmt.Errorf("%d bytes; an S3 object has at most %d", length, int64(maxObjectBytes))
	}
	return httpstore.PartBytes(length, s.tuning.PartBytes, maxParts), nil
}

// partsAtOnce is how many parts of one upload are on their way at once, while
// the next one is read.
const partsAtOnce = 2

// multipart sends a stream in parts.
func (w *write) multipart(ctx context.Context, parts *httpstore.Parts) (drivers.Receipt, error) {
	out, err := w.store.beginUpload(ctx, w.loc)
	if err != nil {
		return drivers.Receipt{}, w.fail(err)
	}
	u := &upload{write: w, id: out.UploadId, unsure: w.store.attributes.ignoredBy(out.ServerSideEncryption)}
	receipt, err := u.run(ctx, parts)
	if err != nil {
		return drivers.Receipt{}, u.abort(ctx, err)
	}
	return receipt, nil
}

func (s *Store) beginUpload(ctx context.Context, loc location) (*awss3.CreateMultipartUploadOutput, error) {
	a := s.attributes
	return s.client.CreateMultipartUpload(ctx, &awss3.CreateMultipartUploadInput{
		Bucket: &loc.bucket, Key: &loc.key, ContentType: aws.String(contentType),
		ServerSideEncryption: a.encryption, SSEKMSKeyId: a.kmsKey, StorageClass: a.storageClass, ACL: a.acl,
	})
}

// upload is a multipart upload on its way.
type upload struct {
	*write
	id     *string
	unsure bool // whether the encryption that was asked for is made

	mu   sync.Mutex // guards what the parts have become
	sent []sentPart
}

// sentPart is what became of one part.
type sentPart struct {
	etag *string
	sum  [md5.Size]byte
}

func (u *upload) run(ctx context.Context, parts *httpstore.Parts) (drivers.Receipt, error) {
	length, sum, err := parts.Send(ctx, httpstore.Sending{
		AtOnce: partsAtOnce, Most: maxParts, Called: "parts", Mend: "set a larger part size", Part: u.sendPart,
	})
	if err != nil {
		return drivers.Receipt{}, err
	}
	etag, err := u.complete(ctx)
	if err != nil {
		return drivers.Receipt{}, err
	}
	receipt := drivers.Receipt{Bytes: length, MD5: sum, Version: etag}
	if etag == u.compositeETag() {
		receipt.ProvenMD5 = sum
	}
	return receipt, nil
}

// sendPart sends one part. It is safe for concurrent use.
func (u *upload) sendPart(ctx context.Context, number int, part []byte) error {
	sum := md5.Sum(part)
	etag, err := u.store.direct.putPart(ctx, u.loc, aws.ToString(u.id), int32(number), part, contentMD5(sum[:]))
	if err != nil {
		return u.fail(err)
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	for len(u.sent) < number { // one may overtake another
		u.sent = append(u.sent, sentPart{})
	}
	u.sent[number-1] = sentPart{etag, sum}
	return nil
}

// complete makes the object of the parts and returns its ETag. Ceph leaves it
// out of the answer and tells it when asked. Whether the object is encrypted,
// some servers say at the start of an upload, some at its end.
func (u *upload) complete(ctx context.Context) (etag string, err error) {
	out, err := u.store.client.CompleteMultipartUpload(ctx, &awss3.CompleteMultipartUploadInput{
		Bucket: &u.loc.bucket, Key: &u.loc.key, UploadId: u.id,
		MultipartUpload: &types.CompletedMultipartUpload{Parts: u.parts()},
	}, u.store.slow)
	if err != nil {
		return "", u.refused(ctx, err)
	}
	etag, u.unsure = tag(out.ETag), u.unsure && out.ServerSideEncryption == ""
	if etag != "" && !u.unsure {
		return etag, nil
	}
	held, err := u.store.direct.head(ctx, u.loc)
	if err != nil {
		return "", u.fail(err)
	}
	if u.unsure && held.sse == "" {
		return "", u.takeBack(ctx, notEncrypted(u.URI))
	}
	return tag(held.etag), nil
}

func (u *upload) parts() []types.CompletedPart {
	parts := make([]types.CompletedPart, len(u.sent))
	for i, p := range u.sent {
		parts[i] = types.CompletedPart{ETag: p.etag, PartNumber: aws.Int32(int32(i + 1))}
	}
	return parts
}

// compositeETag is what S3 makes of the MD5s of the parts: the MD5 of them all
// and the number of parts.
func (u *upload) compositeETag() string {
	sum := md5.New()
	for _, p := range u.sent {
		sum.Write(p.sum[:])
	}
	return fmt.Sprintf("%s-%d", hex.EncodeToString(sum.Sum(nil)), len(u.sent))
}

// abort removes the parts of a failed upload and returns why it failed. It
// works on after a cancellation, for parts that nobody lists cost money.
func (u *upload) abort(ctx context.Context, cause error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), abortTimeout)
	defer cancel()
	err := u.store.abortUpload(ctx, u.loc, u.id)
	if err == nil {
		return cause
	}
	note := u.store.fail("abort", u.URI, err)
	left := "; its parts stay behind: " + note.Err.Error()
	if note.Mend != "" {
		left += " (" + note.Mend + ")"
	}
	return httpstore.Adding(u.store.fail("put", u.URI, cause), left)
}

// abortUpload removes an upload's parts; an upload that is gone is no error. As
// S3's documentation asks, it aborts more than once: a part that was still on its
// way may have arrived after the first time, and would bring the upload back. It may
// arrive after the second time too: the upload is gone when it was not there twice.
func (s *Store) abortUpload(ctx context.Context, loc location, id *string) error {
	missed := 0
	for attempt, wait := 1, abortWait; ; attempt, wait = attempt+1, 2*wait {
		_, err := s.client.AbortMultipartUpload(ctx, &awss3.AbortMultipartUploadInput{
			Bucket: &loc.bucket, Key: &loc.key, UploadId: id,
		})
		code, _ := answer(err)
		if code == "NoSuchUpload" {
			missed++
			err = nil
		}
		if err != nil || missed == 2 || missed == attempt || attempt == abortAttempts {
			return err
		}
		select {
		case <-ctx.Done():
			return nil // once it was aborted
		case <-time.After(wait):
		}
	}
}

// AbortUploads removes what multipart uploads of exactly this object have left
// behind unfinished, as a process that was killed does. It must not be called
// while a Put of the same URI runs, which it would abort too.
func (s *Store) AbortUploads(ctx context.Context, uri string) error {
	loc, err := s.locate("abort", uri)
	if err != nil {
		return err
	}
	in := &awss3.ListMultipartUploadsInput{Bucket: &loc.bucket, Prefix: &loc.key, EncodingType: types.EncodingTypeUrl}
	var marks httpstore.Circle
	for {
		out, err := s.client.ListMultipartUploads(ctx, in)
		if unknownRequest(err) {
			return nil // there is no way to find any
		}
		if err != nil {
			failed := s.fail("list uploads", uri, err)
			failed.Op = "abort"
			return failed
		}
		for _, pending := range out.Uploads {
			key, err := listedKey(out.EncodingType, pending.Key)
			if err != nil {
				return s.fail("abort", uri, err)
			}
			if key != loc.key {
				continue
			}
			if err := s.abortUpload(ctx, loc, pending.UploadId); err != nil {
				return s.fail("abort", uri, err)
			}
		}
		if !aws.ToBool(out.IsTruncated) {
			return nil
		}
		if aws.ToString(out.NextKeyMarker) == "" || marks.Closed(*out.NextKeyMarker+"\x00"+aws.ToString(out.NextUploadIdMarker)) {
			return s.fail("abort", uri, errors.New("the server's listing of uploads does not go on"))
		}
		marker, err := listedKey(out.EncodingType, out.NextKeyMarker)
		if err != nil {
			return s.fail("abort", uri, err)
		}
		in.KeyMarker, in.UploadIdMarker = &marker, out.NextUploadIdMarker
	}
}

// slow lets one request wait longer for its answer.
func (s *Store) slow(o *awss3.Options) { o.HTTPClient = s.slowHTTP }
