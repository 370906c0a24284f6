package s3

import (
	"bytes"
	"strings"
	"testing"

	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/drivers/drivertest"
	"github.com/kedge/kedge/internal/testenv"
)

// TestConformance runs with streams in parts and, where their MD5 is known,
// with streams in one request.
func TestConformance(t *testing.T) {
	for name, tuning := range map[string]Tuning{
		"in parts":       {PartBytes: minPartBytes},
		"in one request": {PartBytes: minPartBytes, WholeBytes: 64 << 20},
	} {
		t.Run(name, func(t *testing.T) { testConformance(t, tuning) })
	}
}

func testConformance(t *testing.T, tuning Tuning) {
	onEach(t, func(t *testing.T, server *testenv.S3Server) {
		b := drivertest.Backend{
			Open: func(tb testing.TB) drivers.Driver {
				return conformant(tb, server, server.Bucket(tb), "anchore/", tuning)
			},
			OpenBeside: func(tb testing.TB, d drivers.Driver) drivers.Driver {
				return conformant(tb, server, d.(*Store).bucket, "anchore2/", tuning)
			},
			Corrupt: func(tb testing.TB, d drivers.Driver, uri string) { corrupt(tb, server, uri) },
			Leftovers: func(tb testing.TB, d drivers.Driver) []string {
				return uploads(tb, server, d.(*Store).bucket)
			},
			Secrets: []string{server.AccessKey, server.SecretKey},
		}
		if server.Name == "minio" {
			b.Refuses = refusedByMinIO
		}
		b.TellsAnother = server.Name == "versitygw" // seen with v1.8.0, once in many runs
		drivertest.Run(t, b)
	})
}

func conformant(tb testing.TB, server *testenv.S3Server, bucket, prefix string, tuning Tuning) drivers.Driver {
	tb.Helper()
	o := optionsFor(server, bucket)
	o.Prefix = prefix
	s, err := Open(tb.Context(), o, tuning)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// corrupt replaces an object by other bytes of the same length.
func corrupt(tb testing.TB, server *testenv.S3Server, uri string) {
	tb.Helper()
	loc, err := split(uri)
	if err != nil {
		tb.Fatal(err)
	}
	client := server.Client()
	out, err := client.HeadObject(tb.Context(), &awss3.HeadObjectInput{Bucket: &loc.bucket, Key: &loc.key})
	if err != nil {
		tb.Fatal(err)
	}
	rot := bytes.Repeat([]byte{0x5a}, int(*out.ContentLength))
	if _, err := client.PutObject(tb.Context(), &awss3.PutObjectInput{Bucket: &loc.bucket, Key: &loc.key, Body: bytes.NewReader(rot)}); err != nil {
		tb.Fatal(err)
	}
}

// refusedByMinIO tells the keys that either the driver or MinIO refuses.
func refusedByMinIO(k drivers.Key) bool {
	path := "anchore/" + k.UserID + "/" + k.Bucket + "/" + k.ArchiveID
	return k.UserID == "" || k.Bucket == "" || k.ArchiveID == "" ||
		strings.Contains(k.UserID, "/") || strings.Contains(k.Bucket, "/") ||
		!plainPath(path) || longComponent(path) || strings.Contains(path, "\x00") || path != strings.ToValidUTF8(path, "")
}
