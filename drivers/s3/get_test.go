package s3

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/internal/testenv"
)

// anonymous is a store that signs nothing, as nobody in particular.
func anonymous(t testing.TB, server *testenv.S3Server, bucket string) *Store {
	t.Helper()
	s := newStore(bucket, "", connection{endpoint: server.URL, region: defaultRegion, accessKey: "x", secretKey: "x"}, Tuning{})
	client, err := s.conn.client(t.Context(), s.http)
	if err != nil {
		t.Fatal(err)
	}
	options := client.Options()
	options.Credentials = aws.AnonymousCredentials{}
	s.client = awss3.New(options)
	s.direct = newDirect(s.http, s.conn, client.Options().Credentials)
	s.direct.signer = unsignedRequests{}
	t.Cleanup(func() { s.Close() })
	return s
}

// unsignedRequests leaves requests as they are.
type unsignedRequests struct{}

func (unsignedRequests) SignHTTP(context.Context, aws.Credentials, *http.Request, string, string, string, time.Time, ...func(*v4.SignerOptions)) error {
	return nil
}

func TestGetOtherBucket(t *testing.T) {
	onEach(t, func(t *testing.T, server *testenv.S3Server) {
		s, old := fresh(t, server), fresh(t, server)
		uri := uriOf(t, old, "from an earlier configuration")
		mustPut(t, old, uri, []byte("still read"))
		mustHold(t, s, uri, []byte("still read"))
		if err := s.Delete(t.Context(), uri); err != nil {
			t.Error(err)
		}
		mustMiss(t, old, uri)
		_, _, err := s.Get(t.Context(), "s3://no-such-bucket-here/k")
		wantKind(t, err, drivers.Config, "no such S3 bucket")
	})
}

// TestGetGzip: what looks like gzip comes back as it is.
func TestGetGzip(t *testing.T) {
	onEach(t, func(t *testing.T, server *testenv.S3Server) {
		s := fresh(t, server)
		gz := []byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 1, 0, 0, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0}
		uri := uriOf(t, s, "doc.gz")
		mustPut(t, s, uri, gz)
		mustHold(t, s, uri, gz)
	})
}

// lame answers every request with the same bytes and then does as it is told:
// what no real server does when asked.
func lame(t *testing.T, answer string, then func(net.Conn)) *Store {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			if _, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
				_, _ = io.WriteString(c, answer)
				then(c)
			}
			c.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	s := newStore("arch", "", connection{endpoint: "http://" + l.Addr().String(), region: defaultRegion, accessKey: "AK", secretKey: "hushhush"},
		Tuning{ResponseTimeout: 100 * time.Millisecond})
	if err := s.connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestGetBodyEndsEarly(t *testing.T) {
	s := lame(t, "HTTP/1.1 200 OK\r\nETag: \"x\"\r\nContent-Length: 10\r\n\r\nabcd", func(net.Conn) {})
	r, info, err := s.Get(t.Context(), "s3://arch/k")
	if err != nil || info.Bytes != 10 {
		t.Fatal(info, err)
	}
	defer r.Close()
	body, err := io.ReadAll(r)
	if string(body) != "abcd" || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("read %q, %v", body, err)
	}
	wantKind(t, err, drivers.Temporary, "get s3://arch/k: unexpected EOF")
	if _, again := r.Read(make([]byte, 1)); again != err {
		t.Errorf("read again: %v", again)
	}
}

func TestGetBodyStalls(t *testing.T) {
	release := make(chan struct{})
	s := lame(t, "HTTP/1.1 200 OK\r\nETag: \"x\"\r\nContent-Length: 10\r\n\r\nabcd", func(net.Conn) { <-release })
	defer close(release)
	r, _, err := s.Get(t.Context(), "s3://arch/k")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	body, err := io.ReadAll(r)
	if string(body) != "abcd" {
		t.Errorf("read %q", body)
	}
	wantKind(t, err, drivers.Temporary, "stopped sending")
}

// TestSlowDown: what a server answers when it is too busy.
func TestSlowDown(t *testing.T) {
	const body = "<Error><Code>SlowDown</Code><Message>Reduce your\nrequest rate</Message></Error>"
	s := lame(t, fmt.Sprintf("HTTP/1.1 503 Busy\r\nRetry-After: 7\r\nContent-Length: %d\r\n\r\n%s", len(body), body), func(net.Conn) {})
	_, _, err := s.Get(t.Context(), "s3://arch/k")
	wantKind(t, err, drivers.Temporary, "get s3://arch/k: the server answered 503 SlowDown: Reduce your request rate")
	var failed *drivers.Error
	if errors.As(err, &failed); failed.RetryAfter != 7*time.Second {
		t.Errorf("RetryAfter is %v", failed.RetryAfter)
	}
}

// TestAServerThatIsShutDown: MinIO breaks off what is under way, in words that no
// standard has.
func TestAServerThatIsShutDown(t *testing.T) {
	s := lame(t, "HTTP/1.1 499 status code 499\r\nContent-Length: 0\r\n\r\n", func(net.Conn) {})
	_, _, err := s.Get(t.Context(), "s3://arch/k")
	wantKind(t, err, drivers.Temporary, "get s3://arch/k: the server answered 499")
}

// TestEchoedSecret: a server that repeats the credentials.
func TestEchoedSecret(t *testing.T) {
	const body = "<Error><Code>Odd</Code><Message>hushhush is wrong</Message></Error>"
	s := lame(t, fmt.Sprintf("HTTP/1.1 400 Bad\r\nContent-Length: %d\r\n\r\n%s", len(body), body), func(net.Conn) {})
	_, _, err := s.Get(t.Context(), "s3://arch/k")
	wantKind(t, err, drivers.Other, "*** is wrong")
}

func TestGetBatch(t *testing.T) {
	onEach(t, func(t *testing.T, server *testenv.S3Server) {
		s := fresh(t, server)
		uri := uriOf(t, s, "doc")
		mustPut(t, s, uri, []byte("twelve bytes"))
		got := s.GetBatch(t.Context(), []drivers.GetRequest{{URI: uri, MaxBytes: 12}, {URI: uri, MaxBytes: 11}, {URI: uriOf(t, s, "none"), MaxBytes: 9}})
		if got[0].Err != nil || string(got[0].Payload) != "twelve bytes" || got[0].Info.Bytes != 12 {
			t.Errorf("%+v", got[0])
		}
		wantKind(t, got[1].Err, drivers.TooLarge)
		if got[1].Info.Bytes != 12 || got[1].Payload != nil {
			t.Errorf("%+v", got[1])
		}
		wantKind(t, got[2].Err, drivers.NotFound, "no such object")
	})
}
