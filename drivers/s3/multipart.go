package s3

import (
	"bytes"
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
)

const (
	// maxParts and maxObjectBytes are S3's limits of a multipart upload.
	maxParts       = 10_000
	maxObjectBytes = 5 << 40
	// abortTimeout bounds the clean-up after a failed or cancelled upload.
	abortTimeout = 30 * time.Second
)

// partBytes is the length of the parts of a stream of length bytes (-1 if not
// known): Tuning.PartBytes, more where there would be too many, less where the
// stream is shorter.
func (s *Store) partBytes(length int64) (int64, error) {
	size := s.tuning.PartBytes
	switch {
	case length > maxObjectBytes:
		return 0, fmt.Errorf("%d bytes; an S3 object has at most %d", length, int64(maxObjectBytes))
	case length > size*maxParts:
		const mebibyte = 1 << 20
		size = (length + maxParts - 1) / maxParts
		size = (size + mebibyte - 1) / mebibyte * mebibyte
	case length >= 0 && length < size:
		size = max(length, 1)
	}
	return size, nil
}

// multipart sends a stream in parts, beginning with first, which lies in
// buffer.
func (w *write) multipart(ctx context.Context, parts *cutter, buffer, first []byte) (drivers.Receipt, error) {
	out, err := w.store.client.CreateMultipartUpload(ctx, w.store.attributes.ofUpload(&awss3.CreateMultipartUploadInput{
		Bucket: &w.loc.bucket, Key: &w.loc.key, ContentType: aws.String(contentType),
	}))
	if err != nil {
		return drivers.Receipt{}, w.fail(err)
	}
	u := &upload{write: w, id: out.UploadId, unsure: w.store.attributes.ignoredBy(out.ServerSideEncryption)}
	receipt, err := u.run(ctx, parts, buffer, first)
	if err != nil {
		return drivers.Receipt{}, u.abort(ctx, err)
	}
	return receipt, nil
}

// upload is a multipart upload on its way.
type upload struct {
	*write
	id     *string
	parts  []types.CompletedPart
	sums   []byte // the MD5s of the parts, one after the other
	length int64
	unsure bool // whether the encryption that was asked for is made
}

func (u *upload) run(ctx context.Context, parts *cutter, buffer, part []byte) (drivers.Receipt, error) {
	whole := md5.New()
	for last := false; ; {
		whole.Write(part)
		u.length += int64(len(part))
		if u.write.length >= 0 && u.length > u.write.length {
			return drivers.Receipt{}, u.mismatch("the payload is longer than the %d bytes it was said to have", u.write.length)
		}
		if err := u.sendPart(ctx, part); err != nil {
			return drivers.Receipt{}, err
		}
		if last {
			break
		}
		var err error
		if part, last, err = parts.next(buffer); err != nil {
			return drivers.Receipt{}, u.sourceFailed(err)
		}
	}
	sum := hex.EncodeToString(whole.Sum(nil))
	if err := u.asAnnounced(u.length, sum); err != nil {
		return drivers.Receipt{}, err
	}
	etag, err := u.complete(ctx)
	if err != nil {
		return drivers.Receipt{}, err
	}
	receipt := drivers.Receipt{Bytes: u.length, MD5: sum}
	if etag == u.compositeETag() {
		receipt.ProvenMD5 = sum
	}
	return receipt, nil
}

func (u *upload) sendPart(ctx context.Context, part []byte) error {
	if len(u.parts) == maxParts {
		return u.fail(&drivers.Error{
			Op: "put", URI: u.uri, Kind: drivers.TooLarge,
			Err:  fmt.Errorf("more than %d parts, with a length that was not known before", maxParts),
			Mend: "set a larger part size",
		})
	}
	sum := md5.Sum(part)
	number := aws.Int32(int32(len(u.parts) + 1))
	out, err := u.store.client.UploadPart(ctx, &awss3.UploadPartInput{
		Bucket: &u.loc.bucket, Key: &u.loc.key, UploadId: u.id, PartNumber: number,
		Body:          bytes.NewReader(part),
		ContentLength: aws.Int64(int64(len(part))),
		ContentMD5:    contentMD5(sum),
	})
	if err != nil {
		return u.fail(err)
	}
	u.parts = append(u.parts, types.CompletedPart{ETag: out.ETag, PartNumber: number})
	u.sums = append(u.sums, sum[:]...)
	return nil
}

// complete makes the object of the parts and returns its ETag. Ceph leaves it
// out of the answer and tells it when asked. Whether the object is encrypted,
// some servers say at the start of an upload, some at its end.
func (u *upload) complete(ctx context.Context) (etag string, err error) {
	out, err := u.store.client.CompleteMultipartUpload(ctx, &awss3.CompleteMultipartUploadInput{
		Bucket: &u.loc.bucket, Key: &u.loc.key, UploadId: u.id,
		MultipartUpload: &types.CompletedMultipartUpload{Parts: u.parts},
	}, u.store.slow)
	if err != nil {
		return "", u.refused(ctx, err)
	}
	etag, u.unsure = tag(out.ETag), u.unsure && out.ServerSideEncryption == ""
	if etag != "" && !u.unsure {
		return etag, nil
	}
	held, err := u.store.head(ctx, u.loc)
	if err != nil {
		return "", u.fail(err)
	}
	if u.unsure && held.sse == "" {
		return "", u.takeBack(ctx, notEncrypted(u.uri))
	}
	return tag(held.etag), nil
}

// compositeETag is what S3 makes of the MD5s of the parts: the MD5 of them all
// and the number of parts.
func (u *upload) compositeETag() string {
	sum := md5.Sum(u.sums)
	return fmt.Sprintf("%s-%d", hex.EncodeToString(sum[:]), len(u.parts))
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
	failed := u.store.fail("put", u.uri, cause)
	note := u.store.fail("abort", u.uri, err)
	return &drivers.Error{
		Op: failed.Op, URI: failed.URI, Kind: failed.Kind, RetryAfter: failed.RetryAfter, Mend: failed.Mend,
		Err: &failure{text: failed.Err.Error() + "; its parts stay behind: " + reason(note), err: failed.Err},
	}
}

// reason is what an error says behind its operation.
func reason(err *drivers.Error) string {
	if err.Mend == "" {
		return err.Err.Error()
	}
	return err.Err.Error() + " (" + err.Mend + ")"
}

// abortUpload removes an upload's parts; an upload that is gone is no error.
func (s *Store) abortUpload(ctx context.Context, loc location, id *string) error {
	_, err := s.client.AbortMultipartUpload(ctx, &awss3.AbortMultipartUploadInput{
		Bucket: &loc.bucket, Key: &loc.key, UploadId: id,
	})
	if code, _ := answer(err); code == "NoSuchUpload" {
		return nil
	}
	return err
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
	for {
		out, err := s.client.ListMultipartUploads(ctx, in)
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
		if aws.ToString(out.NextKeyMarker) == "" {
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

// buffers lends the memory for parts. Only buffers of the usual length come
// back: others are as long as one payload wanted.
type buffers struct {
	size int64
	pool *sync.Pool
}

func newBuffers(size int64) buffers {
	return buffers{size: size, pool: &sync.Pool{New: func() any {
		b := make([]byte, size)
		return &b
	}}}
}

func (b buffers) get(size int64) *[]byte {
	if size == b.size {
		return b.pool.Get().(*[]byte)
	}
	other := make([]byte, size)
	return &other
}

func (b buffers) put(buffer *[]byte) {
	if int64(len(*buffer)) == b.size {
		b.pool.Put(buffer)
	}
}
