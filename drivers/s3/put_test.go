package s3

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/drivers/httpstore"
	"github.com/kedge/kedge/internal/testenv"
)

func TestPutWhole(t *testing.T) {
	onEach(t, func(t *testing.T, server *testenv.S3Server) {
		s := fresh(t, server)
		uri := uriOf(t, s, "doc")
		for _, body := range [][]byte{nil, []byte("x"), noise(1, 100_000), noise(2, 6<<20)} {
			sum := md5Hex(body)
			want := drivers.Receipt{Bytes: int64(len(body)), MD5: sum, ProvenMD5: sum}
			got := mustPut(t, s, uri, body)
			want.Version = got.Version
			if got != want || got.Version == "" {
				t.Errorf("%d bytes: receipt %+v, want %+v", len(body), got, want)
			}
			mustHold(t, s, uri, body)
			info, err := s.Stat(t.Context(), uri)
			if err != nil || info.Bytes != int64(len(body)) || info.MD5 != sum || info.Version != got.Version {
				t.Errorf("stat: %+v, %v", info, err)
			}
		}
		loc, _ := split(uri)
		out, err := s.client.HeadObject(t.Context(), &awss3.HeadObjectInput{Bucket: &loc.bucket, Key: &loc.key})
		if err != nil || *out.ContentType != "binary/octet-stream" {
			t.Errorf("ContentType: %v, %v", out.ContentType, err)
		}
	})
}

// TestPutStream sends streams around the length of a part. Those of one part
// must have an MD5 for an ETag, the others a proof by their composite one.
func TestPutStream(t *testing.T) {
	onEach(t, func(t *testing.T, server *testenv.S3Server) {
		s := fresh(t, server)
		for _, n := range []int{0, 1, minPartBytes - 1, minPartBytes, minPartBytes + 1, 2 * minPartBytes, 20 << 20} {
			body := noise(3, n)
			sum := md5Hex(body)
			for _, length := range []int64{int64(n), -1} {
				uri := uriOf(t, s, "stream")
				receipt, err := s.Put(t.Context(), uri, streamOf(length, func() io.Reader { return bytes.NewReader(body) }))
				if err != nil {
					t.Fatal(err)
				}
				if want := (drivers.Receipt{Bytes: int64(n), MD5: sum, ProvenMD5: sum, Version: receipt.Version}); receipt != want || receipt.Version == "" {
					t.Errorf("%d bytes (%d): receipt %+v, want %+v", n, length, receipt, want)
				}
				mustHold(t, s, uri, body)
				info, err := s.Stat(t.Context(), uri)
				if whole := n <= minPartBytes; err != nil || (info.MD5 == sum) != whole {
					t.Errorf("%d bytes (%d): stat %+v, %v; in one request: %v", n, length, info, err, whole)
				}
			}
		}
		if left := uploads(t, server, s.bucket); len(left) > 0 {
			t.Errorf("unfinished uploads: %q", left)
		}
	})
}

// TestPutAborts fails after the first part has been sent.
func TestPutAborts(t *testing.T) {
	rotten := &drivers.Error{Op: "get", URI: "db://u/b/k", Kind: drivers.Corrupt, Err: errors.New("the source is rotten")}
	body := noise(4, 12<<20)
	onEach(t, func(t *testing.T, server *testenv.S3Server) {
		tests := []struct {
			name   string
			length int64
			md5    string
			tail   func(cancel func()) io.Reader
			cause  error
			kind   drivers.Kind
		}{
			{"the reader fails", -1, "", func(func()) io.Reader { return errReader{rotten} }, rotten, drivers.Corrupt},
			{"the reader ends early and says so", -1, "", func(func()) io.Reader { return errReader{io.ErrUnexpectedEOF} }, io.ErrUnexpectedEOF, drivers.Other},
			{"cancelled", -1, "", func(cancel func()) io.Reader { cancel(); return errReader{context.Canceled} }, context.Canceled, drivers.Other},
			{"cancelled, the reader goes on", -1, "", func(cancel func()) io.Reader { return &callReader{call: cancel} }, context.Canceled, drivers.Other},
			{"shorter than announced", 12<<20 + 1, "", nil, nil, drivers.Corrupt},
			{"longer than announced", 12<<20 - 1, "", nil, nil, drivers.Corrupt},
			{"another MD5 than announced", -1, md5Hex(nil), nil, nil, drivers.Corrupt},
		}
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				s := fresh(t, server)
				uri := uriOf(t, s, "doc")
				mustPut(t, s, uri, []byte("old"))
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				seen := 0
				payload := streamOf(tt.length, func() io.Reader {
					r := io.Reader(bytes.NewReader(body))
					if tt.tail != nil {
						r = io.MultiReader(bytes.NewReader(body[:minPartBytes+100]), &lazyReader{open: func() io.Reader {
							seen = len(uploads(t, server, s.bucket))
							return tt.tail(cancel)
						}})
					}
					return r
				})
				payload.MD5 = tt.md5
				_, err := s.Put(ctx, uri, payload)
				if err == nil || (tt.cause != nil && !errors.Is(err, tt.cause)) {
					t.Errorf("put: %v", err)
				}
				if got := drivers.KindOf(err); got != tt.kind {
					t.Errorf("kind %d, want %d: %v", got, tt.kind, err)
				}
				if tt.tail != nil && seen != 1 {
					t.Errorf("%d uploads were under way: the test proves nothing", seen)
				}
				if left := uploads(t, server, s.bucket); len(left) > 0 {
					t.Errorf("unfinished uploads: %q", left)
				}
				mustHold(t, s, uri, []byte("old"))
			})
		}
	})
}

// TestPutRefusedDigest lets the server find a wrong Content-MD5.
func TestPutRefusedDigest(t *testing.T) {
	onEach(t, func(t *testing.T, server *testenv.S3Server) {
		s := fresh(t, server)
		uri := uriOf(t, s, "doc")
		loc, _ := split(uri)
		_, err := s.client.PutObject(t.Context(), &awss3.PutObjectInput{
			Bucket: &loc.bucket, Key: &loc.key, Body: bytes.NewReader([]byte("abc")), ContentMD5: aws.String(contentMD5(append(make([]byte, 15), 1))),
		})
		wantKind(t, s.fail("put", uri, err), drivers.Corrupt, "what arrived at the server is not what was sent")
		mustMiss(t, s, uri)
	})
}

func TestAbortUploads(t *testing.T) {
	onEach(t, func(t *testing.T, server *testenv.S3Server) {
		s := fresh(t, server)
		killed, other := uriOf(t, s, "doc +&%2F é"), uriOf(t, s, "doc +&%2F é 2")
		for _, uri := range []string{killed, other, killed} {
			loc, _ := split(uri)
			out, err := s.client.CreateMultipartUpload(t.Context(), &awss3.CreateMultipartUploadInput{Bucket: &loc.bucket, Key: &loc.key})
			if err != nil {
				t.Fatal(err)
			}
			u := &upload{write: &write{Announced: httpstore.Announced{URI: uri}, store: s, loc: loc}, id: out.UploadId}
			if err := u.sendPart(t.Context(), 1, noise(5, minPartBytes)); err != nil {
				t.Fatal(err)
			}
		}
		if n := len(uploads(t, server, s.bucket)); n != 3 {
			t.Fatalf("%d unfinished uploads: the test proves nothing", n)
		}
		if err := s.AbortUploads(t.Context(), killed); err != nil {
			t.Fatal(err)
		}
		loc, _ := split(other)
		if left := uploads(t, server, s.bucket); len(left) != 1 || left[0] != loc.key {
			t.Errorf("unfinished uploads: %q", left)
		}
		if err := s.AbortUploads(t.Context(), killed); err != nil {
			t.Errorf("once more: %v", err)
		}
	})
}

func TestPartBytes(t *testing.T) {
	s := &Store{tuning: Tuning{PartBytes: 8 << 20}}
	for _, tt := range []struct{ length, want int64 }{
		{-1, 8 << 20}, {0, 1}, {1, 1}, {5 << 20, 5 << 20}, {8 << 20, 8 << 20}, {8<<20 + 1, 8 << 20},
		{maxParts * (8 << 20), 8 << 20}, {maxParts*(8<<20) + 1, 9 << 20}, {maxObjectBytes, 525 << 20},
	} {
		got, err := s.partBytes(tt.length)
		if err != nil || got != tt.want {
			t.Errorf("partBytes(%d) = %d, %v; want %d", tt.length, got, err, tt.want)
		}
		if got*maxParts < tt.length {
			t.Errorf("%d bytes take more than %d parts of %d", tt.length, maxParts, got)
		}
	}
	if _, err := s.partBytes(maxObjectBytes + 1); err == nil {
		t.Error("an object over 5 TiB is accepted")
	}
}

type errReader struct{ err error }

func (r errReader) Read([]byte) (int, error) { return 0, r.err }

// lazyReader opens what it reads when it is first read.
type lazyReader struct {
	open func() io.Reader
	r    io.Reader
}

func (l *lazyReader) Read(p []byte) (int, error) {
	if l.r == nil {
		l.r = l.open()
	}
	return l.r.Read(p)
}

// callReader calls a function and then never ends.
type callReader struct{ call func() }

func (c *callReader) Read(p []byte) (int, error) { c.call(); return len(p), nil }

// TestPutBesideDeletes puts and deletes in the same folders at once: versitygw
// removes empty ones, and whoever meets that must be told to try again.
func TestPutBesideDeletes(t *testing.T) {
	onEach(t, func(t *testing.T, server *testenv.S3Server) {
		s := fresh(t, server)
		httpstore.Each(800, s.tuning.Workers, func(i int) {
			uri := fmt.Sprintf("s3://%s/u%d/b/d/k%d", s.bucket, i%3, i)
			if _, err := s.Put(t.Context(), uri, drivers.InMemory([]byte("x"), md5Hex([]byte("x")))); err != nil {
				wantKind(t, err, drivers.Temporary)
				return
			}
			mustHold(t, s, uri, []byte("x"))
			if err := s.Delete(t.Context(), uri); err != nil {
				t.Error(err)
			}
		})
	})
}
