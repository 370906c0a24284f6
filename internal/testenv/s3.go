package testenv

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/kedge/kedge/internal/testenv/tools"
)

// S3Server is a running S3 server.
type S3Server struct {
	// Name tells the program: minio or versitygw.
	Name string
	// URL is the endpoint, http://127.0.0.1:PORT. It stays the same after Start.
	URL string
	// Region is the server's region, us-east-1.
	Region string
	// AccessKey and SecretKey are the administrator's.
	AccessKey, SecretKey string

	kind    s3Kind
	program string
	env     []string
	folder  string
	port    int
	owned   bool // by one test, which may stop it
	process *process
	client  *s3.Client
}

// s3Kind is what differs between the servers.
type s3Kind struct {
	tool tools.Tool
	// arguments are the command line of a server on a port with its data in a
	// folder.
	arguments func(s *S3Server) []string
	// environment names what the keys are called in the environment.
	accessName, secretName string
	// settings are more of the environment.
	settings []string
	// removeBucket removes an S3 bucket with all that is in it.
	removeBucket func(ctx context.Context, s *S3Server, bucket string) error
}

var minio = s3Kind{
	tool: tools.MinIO,
	arguments: func(s *S3Server) []string {
		return []string{"server", s.data(), "--address", s.address(),
			"--certs-dir", filepath.Join(s.folder, "certificates"), "--quiet"}
	},
	accessName: "MINIO_ROOT_USER",
	secretName: "MINIO_ROOT_PASSWORD",
	settings:   []string{"MINIO_BROWSER=off", "MINIO_UPDATE=off", "MINIO_CALLHOME_ENABLE=off"},
	removeBucket: func(ctx context.Context, s *S3Server, bucket string) error {
		// MinIO's own extension: with everything in it, whatever its key.
		force := s3.WithAPIOptions(smithyhttp.SetHeaderValue("X-Minio-Force-Delete", "true"))
		_, err := s.Client().DeleteBucket(ctx, &s3.DeleteBucketInput{Bucket: &bucket}, force)
		return err
	},
}

var versityGW = s3Kind{
	tool: tools.VersityGW,
	arguments: func(s *S3Server) []string {
		return []string{"--port", s.address(), "--region", s.Region, "--quiet", "posix", s.data()}
	},
	accessName: "ROOT_ACCESS_KEY_ID",
	secretName: "ROOT_SECRET_ACCESS_KEY",
	removeBucket: func(_ context.Context, s *S3Server, bucket string) error {
		// An S3 bucket is a folder, uploads in progress included; not every
		// file in it can be named by a key.
		return os.RemoveAll(filepath.Join(s.data(), bucket))
	},
}

var sharedMinIO, sharedVersityGW shared[*S3Server]

// MinIO returns the shared MinIO. Give a test a Bucket of its own in it.
func MinIO(tb testing.TB) *S3Server {
	tb.Helper()
	return sharedMinIO.get(tb, func(env *environment) (*S3Server, error) { return env.sharedS3(minio) })
}

// VersityGW returns the shared versitygw. Give a test a Bucket of its own in it.
func VersityGW(tb testing.TB) *S3Server {
	tb.Helper()
	return sharedVersityGW.get(tb, func(env *environment) (*S3Server, error) { return env.sharedS3(versityGW) })
}

// S3Servers returns the shared servers, for tests that run against each.
func S3Servers(tb testing.TB) []*S3Server {
	tb.Helper()
	return []*S3Server{MinIO(tb), VersityGW(tb)}
}

// NewMinIO starts a MinIO for one test, which ends with the test. env is more of
// its environment, as NAME=value.
func NewMinIO(tb testing.TB, env ...string) *S3Server {
	tb.Helper()
	return newOwnS3(tb, minio, env)
}

// NewVersityGW starts a versitygw for one test, which ends with the test. env is
// more of its environment, as NAME=value.
func NewVersityGW(tb testing.TB, env ...string) *S3Server {
	tb.Helper()
	return newOwnS3(tb, versityGW, env)
}

func newOwnS3(tb testing.TB, kind s3Kind, env []string) *S3Server {
	tb.Helper()
	s, err := environmentOf(tb).newS3(kind, env)
	if err != nil {
		tb.Fatalf("testenv: %v", err)
	}
	s.owned = true
	tb.Cleanup(s.discard)
	return s
}

func (e *environment) sharedS3(kind s3Kind) (*S3Server, error) {
	s, err := e.newS3(kind, nil)
	if err == nil {
		e.atEnd(s.discard)
	}
	return s, err
}

// newS3 starts a server with an empty data folder and keys of its own.
func (e *environment) newS3(kind s3Kind, env []string) (*S3Server, error) {
	program, err := kind.tool.Find(e.root)
	if err != nil {
		return nil, err
	}
	folder, err := e.serverFolder(kind.tool.Name)
	if err != nil {
		return nil, err
	}
	s := &S3Server{
		Name:      kind.tool.Name,
		Region:    "us-east-1",
		AccessKey: randomName("access"),
		SecretKey: randomName("secret"),
		kind:      kind,
		program:   program,
		env:       env,
		folder:    folder,
	}
	if err := os.Mkdir(s.data(), 0o700); err != nil {
		return nil, err
	}
	err = onFreePort(func(port int) error {
		s.port = port
		s.URL = "http://" + s.address()
		return s.start()
	})
	if err != nil {
		s.discard()
		return nil, err
	}
	return s, nil
}

func (s *S3Server) data() string    { return filepath.Join(s.folder, "data") }
func (s *S3Server) address() string { return fmt.Sprintf("127.0.0.1:%d", s.port) }

// start starts the server on its port and waits until it answers.
func (s *S3Server) start() error {
	cmd := exec.Command(s.program, s.kind.arguments(s)...)
	cmd.Dir = s.folder
	cmd.Env = append([]string{"HOME=" + s.folder, "PATH=" + os.Getenv("PATH"),
		s.kind.accessName + "=" + s.AccessKey, s.kind.secretName + "=" + s.SecretKey}, s.kind.settings...)
	cmd.Env = append(cmd.Env, s.env...)
	p, err := startProcess(s.Name, cmd, filepath.Join(s.folder, "server.log"))
	if err != nil {
		return err
	}
	s.process = p
	s.client = s.newClient()
	err = awaitReady(p, func(ctx context.Context) error {
		// Signed with keys that only this server knows: no other will do.
		_, err := s.client.ListBuckets(ctx, &s3.ListBucketsInput{})
		return err
	})
	if err != nil {
		p.stop(syscall.SIGKILL)
	}
	return err
}

// discard ends the server at once and removes its files.
func (s *S3Server) discard() {
	if s.process != nil {
		s.process.stop(syscall.SIGKILL)
	}
	_ = os.RemoveAll(s.folder)
}

// Client returns a client with the administrator's keys, for a test to look or
// meddle behind the back of what it tests. It tries each request once.
func (s *S3Server) Client() *s3.Client { return s.client }

func (s *S3Server) newClient() *s3.Client {
	return s3.New(s3.Options{
		BaseEndpoint:               &s.URL,
		Region:                     s.Region,
		Credentials:                credentials.NewStaticCredentialsProvider(s.AccessKey, s.SecretKey, ""),
		UsePathStyle:               true,
		Retryer:                    aws.NopRetryer{},
		RequestChecksumCalculation: aws.RequestChecksumCalculationWhenRequired,
		ResponseChecksumValidation: aws.ResponseChecksumValidationWhenRequired,
	})
}

// Bucket makes a new empty S3 bucket for one test and returns its name. It is
// removed, with what is in it, when the test ends.
func (s *S3Server) Bucket(tb testing.TB) string {
	tb.Helper()
	bucket := randomName("kedge-")
	if _, err := s.Client().CreateBucket(tb.Context(), &s3.CreateBucketInput{Bucket: &bucket}); err != nil {
		tb.Fatalf("testenv: new S3 bucket on %s: %v", s.Name, err)
	}
	s.RemoveBucketAfter(tb, bucket)
	return bucket
}

// RemoveBucketAfter removes an S3 bucket with what is in it when the test ends:
// for one that the test, or what it tests, makes itself. It need not exist.
func (s *S3Server) RemoveBucketAfter(tb testing.TB, bucket string) {
	tb.Helper()
	tb.Cleanup(func() {
		if s.process.exited() {
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		err := s.kind.removeBucket(ctx, s, bucket)
		var response *smithyhttp.ResponseError
		if errors.As(err, &response) && response.HTTPStatusCode() == 404 {
			return
		}
		if err != nil {
			tb.Errorf("testenv: remove S3 bucket on %s: %v", s.Name, err)
		}
	})
}

// Stop ends a test's own server.
func (s *S3Server) Stop(tb testing.TB) {
	tb.Helper()
	if !s.owned {
		tb.Fatalf("testenv: the shared %s must not be stopped: start one of your own", s.Name)
	}
	s.process.stop(syscall.SIGTERM)
}

// Start starts a test's own server again after Stop, with the same data on the
// same port.
func (s *S3Server) Start(tb testing.TB) {
	tb.Helper()
	if !s.process.exited() {
		tb.Fatalf("testenv: %s runs already", s.Name)
	}
	if err := s.start(); err != nil {
		tb.Fatalf("testenv: %v", err)
	}
}
