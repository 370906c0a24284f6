package main

import (
	"crypto/md5"
	"database/sql"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/kedge/kedge/bench"
	"github.com/kedge/kedge/internal/testenv"
	"github.com/kedge/kedge/pipeline/catalog/anchore"
)

// Rows by which another S3 bucket, container or user's document might be reached
// lead nowhere.
func TestHostilePlacesInStores(t *testing.T) {
	t.Parallel()
	minio, versity, swift := testenv.MinIO(t), testenv.VersityGW(t), testenv.Swift(t)
	bucketBeside := func(server *testenv.S3Server) string {
		bucket := server.Bucket(t)
		if _, err := server.Client().PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String(bucket), Key: aws.String("secret"), Body: strings.NewReader(secret)}); err != nil {
			t.Fatal(err)
		}
		return bucket
	}
	containerBeside := func() string {
		container := swift.Container(t)
		if err := swift.Client().ObjectPutString(t.Context(), container, "secret", secret, ""); err != nil {
			t.Fatal(err)
		}
		return container
	}
	for _, c := range []struct {
		from   place
		beside string // a bucket or container with an object "secret"
	}{
		{s3Place(minio, minio.Bucket(t), ""), bucketBeside(minio)},
		{s3Place(minio, minio.Bucket(t), "p/"), bucketBeside(minio)},
		{s3Place(versity, versity.Bucket(t), ""), bucketBeside(versity)},
		{swiftPlace(swift, swift.Container(t), ""), containerBeside()},
	} {
		t.Run(c.from.name+" "+c.from.prefix, func(t *testing.T) {
			s := seedDB(t, bench.Workload{Documents: 10, Seed: 93})
			db := dbPlace(s.url)
			source, destination := c.from.config(t, s.url, compression{}), db.config(t, s.url, compression{})
			kedge(t, "migrate", "--dontask", destination, source).want(t, exitDone)
			scheme, _, _ := strings.Cut(c.from.prefix, "://")
			sum := md5.Sum([]byte(secret))
			urls := []string{
				c.from.prefix + "../" + c.beside + "/secret", c.from.prefix + "../../" + c.beside + "/secret", c.from.prefix + "x/../../" + c.beside + "/secret",
				c.from.prefix + "%2e%2e/" + c.beside + "/secret", c.from.prefix + "..%2f" + c.beside + "/secret", c.from.prefix + `..\` + c.beside + `\secret`,
				c.from.prefix, c.from.prefix + "/", c.from.prefix + "a\nb", c.from.prefix + "x\r\nHost: elsewhere", c.from.prefix + strings.Repeat("0123456789abcde/", 256),
				scheme + "://" + c.beside + "/secret", scheme + ":///secret", scheme + "://../" + c.beside + "/secret", scheme + "://",
			}
			for i, url := range urls {
				execute(t, s.url, `INSERT INTO archive_metadata (bucket, "archiveId", "userId", "documentName", content_url, is_compressed, digest, size) VALUES ('b', $1, 'admin', 'x', $2, false, $3, $4)`,
					fmt.Sprint(i), url, hex.EncodeToString(sum[:]), len(secret))
			}
			kedge(t, "verify", source).want(t, exitDocuments)
			args := []string{"migrate", "--dontask", "--unreadable-keys=move", source, destination}
			kedge(t, args...).want(t, exitDocuments)
			kedge(t, args...).want(t, exitDocuments)
			for _, r := range catalogRows(t, s.url) {
				if r.bucket == "b" && strings.HasPrefix(*r.url, "db://") {
					t.Errorf("row %s was moved", r.archiveID)
				}
			}
			execute(t, s.url, `DELETE FROM archive_metadata WHERE bucket = 'b'`)
			s.check(t, db)
			empty(t, c.from.raw)
			if b, err := c.from.raw.get(t.Context(), scheme+"://"+c.beside+"/secret"); err != nil || string(b) != secret {
				t.Errorf("beside the store there is %q now, %v", b, err)
			}
		})
	}
}

// SQLite's text can hold a NUL, which neither PostgreSQL's nor a file name can:
// such documents stay and are named, or are hashed into a name that is like any
// other.
func TestNamesWithNUL(t *testing.T) {
	t.Parallel()
	minio := testenv.MinIO(t)
	root, _ := canary(t)
	path := filepath.Join(t.TempDir(), "anchore.db")
	if err := anchore.CreateSchema(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	payload := "the payload"
	sum := md5.Sum([]byte(payload))
	add := func(user, bucket, id, name string) {
		t.Helper()
		if _, err := db.ExecContext(t.Context(), `INSERT INTO archive_document (bucket, "archiveId", "userId", "documentName", jsondata) VALUES (?, ?, ?, ?, ?)`, bucket, id, user, name, payload); err != nil {
			t.Fatal(err)
		}
		if _, err := db.ExecContext(t.Context(), `INSERT INTO archive_metadata (bucket, "archiveId", "userId", "documentName", content_url, is_compressed, digest, size) VALUES (?, ?, ?, ?, ?, false, ?, ?)`,
			bucket, id, user, name, "db://"+user+"/"+bucket+"/"+id, hex.EncodeToString(sum[:]), len(payload)); err != nil {
			t.Fatal(err)
		}
	}
	add("admin", "b", "plain", "plain.json")
	add("admin", "b", "key\x00with", "k.json")
	add("admin", "bucket\x00with", "x", "x.json")
	add("user\x00with", "b", "x", "x.json")
	add("admin", "b", "named", "name\x00with")
	url := "sqlite:///" + path
	source := place{driver: "db"}.config(t, url, compression{})
	for _, to := range []place{s3Place(minio, minio.Bucket(t), ""), localfsPlace(root)} {
		destination := to.config(t, url, compression{})
		for range 2 {
			ends(t, started(t, "migrate", "--dontask", "--unreadable-keys=move", source, destination)).want(t, exitDocuments)
		}
		ends(t, started(t, "verify", source))
		var stayed int
		if err := db.QueryRowContext(t.Context(), `SELECT count(*) FROM archive_metadata WHERE content_url LIKE 'db:%'`).Scan(&stayed); err != nil || stayed != 3 {
			t.Errorf("to %s: %d documents stay (%v), want the 3 whose key holds a NUL", to.name, stayed, err)
		}
		payloads(t, to, 2)
		kedge(t, "migrate", "--dontask", "--unreadable-keys=move", destination, source).want(t, exitDone)
	}
	var left int
	if err := db.QueryRowContext(t.Context(), `SELECT count(*) FROM archive_document WHERE jsondata = ?`, payload).Scan(&left); err != nil || left != 5 {
		t.Errorf("%d documents in the database (%v), want all 5", left, err)
	}
	if _, err := os.Stat(root); err != nil {
		t.Error(err)
	}
}
