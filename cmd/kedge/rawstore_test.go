package main

import (
	"bytes"
	"compress/zlib"
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/jackc/pgx/v5"
	"github.com/ncw/swift/v2"

	"github.com/kedge/kedge/internal/testenv"
)

// tableStore reads archive_document or object_storage with plain SQL, over one
// connection, which ends with the test's database, one payload at a time.
type tableStore struct {
	url, table string
	mu         sync.Mutex
	conn       *pgx.Conn
}

func (s *tableStore) connect(ctx context.Context) (_ *pgx.Conn, err error) {
	if s.conn == nil || s.conn.IsClosed() {
		s.conn, err = pgx.Connect(context.WithoutCancel(ctx), s.url)
	}
	return s.conn, err
}

func (s *tableStore) get(ctx context.Context, uri string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	conn, err := s.connect(ctx)
	if err != nil {
		return nil, err
	}
	_, rest, _ := strings.Cut(uri, "://")
	parts := strings.SplitN(rest, "/", 3)
	if s.table == "object_storage" {
		var content []byte
		err := conn.QueryRow(ctx, `SELECT content FROM object_storage WHERE "userId" = $1 AND bucket = $2 AND key = $3 AND version = ''`, parts[0], parts[1], parts[2]).Scan(&content)
		return content, err
	}
	var text string
	var encoded *bool
	err = conn.QueryRow(ctx, `SELECT jsondata, b64_encoded FROM archive_document WHERE "userId" = $1 AND bucket = $2 AND "archiveId" = $3`, parts[0], parts[1], parts[2]).Scan(&text, &encoded)
	if err != nil || encoded == nil || !*encoded {
		return []byte(text), err
	}
	return base64.StdEncoding.DecodeString(strings.ReplaceAll(text, "\n", ""))
}

func (s *tableStore) list(ctx context.Context) ([]string, error) {
	conn, err := s.connect(ctx)
	if err != nil {
		return nil, err
	}
	key, scheme := `"archiveId"`, "db://"
	if s.table == "object_storage" {
		key, scheme = "key", "db2://"
	}
	rows, err := conn.Query(ctx, fmt.Sprintf(`SELECT '%s' || "userId" || '/' || bucket || '/' || %s FROM %s`, scheme, key, s.table))
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// fileStore reads files.
type fileStore struct{ root string }

func (s fileStore) get(_ context.Context, uri string) ([]byte, error) {
	return os.ReadFile(strings.TrimPrefix(uri, "file://"))
}

// list lists files and folders: an empty store has neither.
func (s fileStore) list(context.Context) ([]string, error) {
	var list []string
	err := filepath.WalkDir(s.root, func(path string, d fs.DirEntry, err error) error {
		if err == nil && path != s.root {
			list = append(list, "file://"+path)
		}
		return err
	})
	return list, err
}

// objectStore reads objects.
type objectStore struct {
	server         *testenv.S3Server
	bucket, prefix string
}

func (s objectStore) get(ctx context.Context, uri string) ([]byte, error) {
	bucket, key, _ := strings.Cut(strings.TrimPrefix(uri, "s3://"), "/")
	out, err := s.server.Client().GetObject(ctx, &s3.GetObjectInput{Bucket: aws.String(bucket), Key: aws.String(key)})
	if err != nil {
		return nil, err
	}
	defer out.Body.Close()
	return io.ReadAll(out.Body)
}

func (s objectStore) list(ctx context.Context) ([]string, error) {
	var list []string
	pages := s3.NewListObjectsV2Paginator(s.server.Client(), &s3.ListObjectsV2Input{Bucket: aws.String(s.bucket), Prefix: aws.String(s.prefix)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, o := range page.Contents {
			list = append(list, "s3://"+s.bucket+"/"+*o.Key)
		}
	}
	return list, nil
}

// containerStore reads objects of Swift.
type containerStore struct {
	server            *testenv.SwiftServer
	container, prefix string
}

func (s containerStore) get(ctx context.Context, uri string) ([]byte, error) {
	container, name, _ := strings.Cut(strings.TrimPrefix(uri, "swift://"), "/")
	return s.server.Client().ObjectGetBytes(ctx, container, name)
}

func (s containerStore) list(ctx context.Context) ([]string, error) {
	// With their details, as JSON: a plain list has a line a name, and a name may
	// hold line ends.
	objects, err := s.server.Client().ObjectsAll(ctx, s.container, &swift.ObjectsOpts{Prefix: s.prefix})
	names := make([]string, len(objects))
	for i, o := range objects {
		names[i] = "swift://" + s.container + "/" + o.Name
	}
	return names, err
}

// row is a row of archive_metadata.
type row struct {
	bucket, archiveID, userID, name string
	url                             *string
	compressed                      *bool
	digest                          *string
	size                            *int64
	metadata                        *string
	created                         *int64
}

func (r row) id() string {
	return r.userID + "\x00" + r.bucket + "\x00" + r.archiveID + "\x00" + r.name
}

// catalogRows reads the whole catalog with plain SQL.
func catalogRows(t testing.TB, url string) map[string]row {
	t.Helper()
	conn := connect(t, url)
	defer conn.Close(t.Context())
	found, err := conn.Query(t.Context(), `SELECT bucket, "archiveId", "userId", "documentName", content_url, is_compressed, digest, size, document_metadata, created_at FROM archive_metadata`)
	if err != nil {
		t.Fatal(err)
	}
	rows := make(map[string]row)
	for found.Next() {
		var r row
		if err := found.Scan(&r.bucket, &r.archiveID, &r.userID, &r.name, &r.url, &r.compressed, &r.digest, &r.size, &r.metadata, &r.created); err != nil {
			t.Fatal(err)
		}
		rows[r.id()] = r
	}
	if found.Err() != nil {
		t.Fatal(found.Err())
	}
	return rows
}

func connect(t testing.TB, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

func execute(t testing.TB, url, statement string, args ...any) int64 {
	t.Helper()
	conn := connect(t, url)
	defer conn.Close(t.Context())
	tag, err := conn.Exec(t.Context(), statement, args...)
	if err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
	return tag.RowsAffected()
}

// checkStored reads what a row names, in the backend's own way, and says what is
// wrong with row or payload: digest and size must be those of the stored bytes,
// and the plain bytes must have this SHA-256.
func checkStored(ctx context.Context, raw rawStore, r row, sum string) error {
	payload, err := raw.get(ctx, *r.url)
	if err != nil {
		return fmt.Errorf("%s: %w", *r.url, err)
	}
	digest := md5.Sum(payload)
	if r.digest == nil || *r.digest != hex.EncodeToString(digest[:]) {
		return fmt.Errorf("%s: the row's digest is not that of the stored bytes", *r.url)
	}
	if r.size == nil || *r.size != int64(len(payload)) {
		return fmt.Errorf("%s: the row's size is not that of the stored bytes", *r.url)
	}
	plain := payload
	if r.compressed != nil && *r.compressed {
		z, err := zlib.NewReader(bytes.NewReader(payload))
		if err != nil {
			return fmt.Errorf("%s: %w", *r.url, err)
		}
		if plain, err = io.ReadAll(z); err != nil {
			return fmt.Errorf("%s: %w", *r.url, err)
		}
	}
	if got := sha256.Sum256(plain); hex.EncodeToString(got[:]) != sum {
		return fmt.Errorf("%s: the plain bytes are not what was put", *r.url)
	}
	return nil
}

// empty fails the test if the store holds anything.
func empty(t testing.TB, raw rawStore) {
	t.Helper()
	list, err := raw.list(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(list) > 0 {
		t.Errorf("%d payloads (or folders) are left, such as %q", len(list), list[0])
	}
}
