package s3

import (
	"context"
	"os"
	"testing"

	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/drivers/drivertest"
	"github.com/kedge/kedge/internal/testenv"
)

func TestMain(m *testing.M) { os.Exit(testenv.Main(m)) }

// onEach runs a test against each server.
func onEach(t *testing.T, test func(t *testing.T, server *testenv.S3Server)) {
	for _, server := range testenv.S3Servers(t) {
		t.Run(server.Name, func(t *testing.T) { test(t, server) })
	}
}

func optionsFor(server *testenv.S3Server, bucket string) Options {
	return Options{AccessKey: server.AccessKey, SecretKey: server.SecretKey, URL: server.URL, Bucket: bucket}
}

// fresh opens a store on a new S3 bucket, with the smallest parts there are.
func fresh(t testing.TB, server *testenv.S3Server) *Store {
	t.Helper()
	return opened(t, optionsFor(server, server.Bucket(t)))
}

func opened(t testing.TB, o Options) *Store {
	t.Helper()
	s, err := Open(t.Context(), o, Tuning{PartBytes: minPartBytes})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// What the tests of every driver say.
var (
	md5Hex   = drivertest.MD5Hex
	noise    = drivertest.Noise
	streamOf = drivertest.StreamOf
	uriOf    = drivertest.URIOf
	mustPut  = drivertest.MustPut
	mustHold = drivertest.MustHold
)

func mustMiss(t testing.TB, s *Store, uri string) {
	t.Helper()
	_, err := s.Stat(t.Context(), uri)
	wantKind(t, err, drivers.NotFound)
}

// wantKind demands an error of this kind in kedge's own words.
func wantKind(t testing.TB, err error, kind drivers.Kind, mentions ...string) {
	t.Helper()
	drivertest.WantKind(t, err, kind, []string{"operation error", "RequestID", "StatusCode", "https response error"}, mentions...)
}

// uploads lists the keys of the unfinished multipart uploads in an S3 bucket.
func uploads(t testing.TB, server *testenv.S3Server, bucket string) (keys []string) {
	t.Helper()
	out, err := server.Client().ListMultipartUploads(context.WithoutCancel(t.Context()),
		&awss3.ListMultipartUploadsInput{Bucket: &bucket})
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range out.Uploads {
		keys = append(keys, *u.Key)
	}
	return keys
}
