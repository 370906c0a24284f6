package main

import (
	"bytes"
	"compress/zlib"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/kedge/kedge/internal/testenv"
)

// kinds are all drivers; one that uses the database has but one place there.
var kinds = []string{"db", "db2", "localfs", "s3", "swift"}

// newPlace opens an empty place of a kind.
func newPlace(t testing.TB, kind, url string) place {
	switch kind {
	case "db":
		return dbPlace(url)
	case "db2":
		return db2Place(url)
	case "localfs":
		return localfsPlace(archiveRoot(t))
	case "s3":
		s := testenv.MinIO(t)
		return s3Place(s, s.Bucket(t), "")
	default:
		s := testenv.Swift(t)
		return swiftPlace(s, s.Container(t), "")
	}
}

// rewrites does to a document what Anchore's services do that write it anew: the
// payload first, at the place that the row names, then the row.
func (s *seeded) rewrites(t testing.TB, p place, n int, plain string) {
	t.Helper()
	r, _ := s.placeOf(t, catalogRows(t, s.url), n, []place{p})
	stored := []byte(plain)
	if r.compressed != nil && *r.compressed {
		var b bytes.Buffer
		z := zlib.NewWriter(&b)
		_, err := z.Write(stored)
		if cerr := z.Close(); err != nil || cerr != nil {
			t.Fatal(err, cerr)
		}
		stored = b.Bytes()
	}
	var err error
	switch raw := p.raw.(type) {
	case *tableStore:
		k := s.workload.Key(n)
		if raw.table == "archive_document" {
			execute(t, s.url, `UPDATE archive_document SET jsondata = $1, b64_encoded = false WHERE "userId" = $2 AND bucket = $3 AND "archiveId" = $4`, plain, k.UserID, k.Bucket, k.ArchiveID)
		} else {
			execute(t, s.url, `UPDATE object_storage SET content = $1 WHERE "userId" = $2 AND bucket = $3 AND key = $4`, stored, k.UserID, k.Bucket, k.ArchiveID)
		}
	case fileStore:
		err = os.WriteFile(strings.TrimPrefix(*r.url, "file://"), stored, 0o600)
	case objectStore:
		_, key, _ := strings.Cut(strings.TrimPrefix(*r.url, "s3://"), "/")
		_, err = raw.server.Client().PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String(raw.bucket), Key: aws.String(key), Body: bytes.NewReader(stored)})
	case containerStore:
		_, name, _ := strings.Cut(strings.TrimPrefix(*r.url, "swift://"), "/")
		err = raw.server.Client().ObjectPutBytes(t.Context(), raw.container, name, stored, "")
	default:
		t.Fatalf("%T", raw)
	}
	if err != nil {
		t.Fatal(err)
	}
	digest, sum := md5.Sum(stored), sha256.Sum256([]byte(plain))
	execute(t, s.url, `UPDATE archive_metadata SET digest = $1, size = $2, last_updated = $3 WHERE content_url = $4`, hex.EncodeToString(digest[:]), len(stored), time.Now().Unix(), *r.url)
	plainDigest := md5.Sum([]byte(plain))
	s.plain[n] = plainSums{int64(len(plain)), hex.EncodeToString(plainDigest[:]), hex.EncodeToString(sum[:])}
}

// hides takes the rows of documents out of the catalog; bring puts them back. Their
// payloads stay: the services put a payload before its row, and delete it after.
func (s seeded) hides(t testing.TB, documents ...int) (bring func(n int)) {
	t.Helper()
	execute(t, s.url, `CREATE TABLE IF NOT EXISTS hidden (LIKE archive_metadata)`)
	for _, n := range documents {
		k := s.workload.Key(n)
		where := ` WHERE "userId" = $1 AND bucket = $2 AND "archiveId" = $3`
		execute(t, s.url, `INSERT INTO hidden SELECT * FROM archive_metadata`+where, k.UserID, k.Bucket, k.ArchiveID)
		execute(t, s.url, `DELETE FROM archive_metadata`+where, k.UserID, k.Bucket, k.ArchiveID)
	}
	return func(n int) {
		k := s.workload.Key(n)
		execute(t, s.url, `INSERT INTO archive_metadata SELECT * FROM hidden WHERE "userId" = $1 AND bucket = $2 AND "archiveId" = $3`, k.UserID, k.Bucket, k.ArchiveID)
		execute(t, s.url, `UPDATE archive_metadata SET last_updated = $1 WHERE "archiveId" = $2`, time.Now().Unix(), k.ArchiveID)
	}
}

// checkBut is check without these documents, which have no row.
func (s seeded) checkBut(t testing.TB, at place, gone ...int) {
	t.Helper()
	rows := catalogRows(t, s.url)
	if want := s.workload.Documents - len(gone); len(rows) != want {
		t.Fatalf("the catalog has %d rows, want %d", len(rows), want)
	}
	for n := range s.workload.Documents {
		if !slices.Contains(gone, n) {
			s.checkOne(t, rows, n, []place{at})
		}
	}
}

// holds says how many payloads a place holds.
func (p place) holds(t testing.TB) (n int) {
	t.Helper()
	list, err := p.raw.list(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, uri := range list {
		if _, files := p.raw.(fileStore); !files || strings.HasSuffix(uri, ".json") {
			n++
		}
	}
	return n
}

// number gives a number of a result in JSON.
func (o outcome) number(t testing.TB, name string) int64 {
	t.Helper()
	var result map[string]any
	if err := json.Unmarshal([]byte(o.stdout), &result); err != nil {
		t.Fatalf("%v in %s", err, o.stdout)
	}
	n, ok := result[name].(float64)
	if !ok {
		t.Fatalf("%s is %v in %s", name, result[name], o.stdout)
	}
	return int64(n)
}
