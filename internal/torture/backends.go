package torture

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	ncw "github.com/ncw/swift/v2"

	"github.com/kedge/kedge/drivers"
)

// What follows are Anchore's storage drivers, step by step
// (anchore_engine/subsys/object_store/drivers).

// fileBackend writes a file in place: a reader can see it empty or torn. It makes
// missing folders, and leaves those that a delete has emptied.
type fileBackend struct {
	place   *place
	between func() error
}

func (s fileStore) asAnchore(_ *pgxpool.Pool, p *place, between func() error) backend {
	return fileBackend{p, between}
}

func (b fileBackend) file(k drivers.Key) string {
	return strings.TrimPrefix(b.place.uri(k), "file://")
}

// written is how much a file grows by one write; a kernel writes no more at once
// where others read.
const written = 4 << 10

func (b fileBackend) put(_ context.Context, k drivers.Key, payload []byte) (err error) {
	if _, err := os.Stat(filepath.Dir(b.file(k))); errors.Is(err, fs.ErrNotExist) {
		if err := os.MkdirAll(filepath.Dir(b.file(k)), 0o755); err != nil {
			return err
		}
	}
	f, err := os.OpenFile(b.file(k), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	for len(payload) > 0 {
		n := min(written, len(payload))
		if n == len(payload) { // so that a small one is torn too
			n = max(1, n/2)
		}
		if _, err := f.Write(payload[:n]); err != nil {
			return err
		}
		payload = payload[n:]
		if err := b.between(); err != nil {
			return err
		}
	}
	return nil
}

func (b fileBackend) get(_ context.Context, k drivers.Key) ([]byte, error) {
	payload, err := os.ReadFile(b.file(k))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errNoPayload
	}
	return payload, err
}

func (b fileBackend) remove(_ context.Context, k drivers.Key) error {
	err := os.Remove(b.file(k))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// textBackend is driver db: the table archive_document.
type textBackend struct {
	pool    *pgxpool.Pool
	between func() error
}

func (s *tableStore) asAnchore(pool *pgxpool.Pool, _ *place, between func() error) backend {
	if s.table == "object_storage" {
		return blobBackend{pool, between}
	}
	return textBackend{pool, between}
}

func (b textBackend) put(ctx context.Context, k drivers.Key, payload []byte) error {
	text, encoded := string(payload), false
	if !utf8.Valid(payload) || strings.ContainsRune(text, 0) {
		text, encoded = pythonBase64(payload), true
	}
	return pgx.BeginFunc(ctx, b.pool, func(tx pgx.Tx) error {
		key := []any{k.Bucket, k.ArchiveID, k.UserID, k.ArchiveID + ".json"}
		var was *string
		var wasEncoded *bool
		err := tx.QueryRow(ctx, `SELECT jsondata, b64_encoded FROM archive_document`+wholeKey+" LIMIT 1", key...).Scan(&was, &wasEncoded)
		now := time.Now().Unix()
		switch {
		case errors.Is(err, pgx.ErrNoRows):
			_, err = tx.Exec(ctx, `INSERT INTO archive_document (bucket, "archiveId", "userId", "documentName", created_at, last_updated,
				record_state_key, record_state_val, jsondata, b64_encoded) VALUES ($1, $2, $3, $4, $5, $6, 'active', NULL, $7, $8)`,
				append(key, now, now, text, encoded)...)
		case err == nil:
			changed := changedColumns(column{"jsondata", was == nil || *was != text, text}, column{"b64_encoded", wasEncoded == nil || *wasEncoded != encoded, encoded})
			err = update(ctx, tx, "archive_document", wholeKey, key, changed, now)
		}
		if err != nil {
			return err
		}
		return b.between()
	})
}

const documentKey = ` WHERE "userId" = $1 AND bucket = $2 AND "archiveId" = $3`

func (b textBackend) get(ctx context.Context, k drivers.Key) (payload []byte, err error) {
	var text *string
	var encoded *bool
	err = pgx.BeginFunc(ctx, b.pool, func(tx pgx.Tx) error {
		return tx.QueryRow(ctx, `SELECT jsondata, b64_encoded FROM archive_document`+documentKey+" LIMIT 1", k.UserID, k.Bucket, k.ArchiveID).Scan(&text, &encoded)
	})
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return nil, errNoPayload
	case err != nil || text == nil:
		return nil, err
	case encoded != nil && *encoded:
		return base64.StdEncoding.DecodeString(strings.ReplaceAll(*text, "\n", ""))
	default:
		return []byte(*text), nil
	}
}

func (b textBackend) remove(ctx context.Context, k drivers.Key) error {
	return pgx.BeginFunc(ctx, b.pool, func(tx pgx.Tx) error {
		var name string
		err := tx.QueryRow(ctx, `SELECT "documentName" FROM archive_document`+documentKey+" LIMIT 1", k.UserID, k.Bucket, k.ArchiveID).Scan(&name)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		if err == nil {
			_, err = tx.Exec(ctx, `DELETE FROM archive_document`+wholeKey, k.Bucket, k.ArchiveID, k.UserID, name)
		}
		return err
	})
}

// blobBackend is driver db2: the table object_storage.
type blobBackend struct {
	pool    *pgxpool.Pool
	between func() error
}

const objectKey = ` WHERE "userId" = $1 AND bucket = $2 AND key = $3`

func (b blobBackend) put(ctx context.Context, k drivers.Key, payload []byte) error {
	return pgx.BeginFunc(ctx, b.pool, func(tx pgx.Tx) error {
		key := []any{k.UserID, k.Bucket, k.ArchiveID}
		var was []byte
		err := tx.QueryRow(ctx, `SELECT content FROM object_storage`+objectKey, key...).Scan(&was)
		now := time.Now().Unix()
		switch {
		case errors.Is(err, pgx.ErrNoRows):
			_, err = tx.Exec(ctx, `INSERT INTO object_storage ("userId", bucket, key, version, object_metadata, content, created_at, last_updated)
				VALUES ($1, $2, $3, '', NULL, $4, $5, $6)`, append(key, payload, now, now)...)
		case err == nil:
			err = update(ctx, tx, "object_storage", objectKey+" AND version = ''", key, changedColumns(column{"content", !bytes.Equal(was, payload), payload}), now)
		}
		if err != nil {
			return err
		}
		return b.between()
	})
}

func (b blobBackend) get(ctx context.Context, k drivers.Key) (payload []byte, err error) {
	err = pgx.BeginFunc(ctx, b.pool, func(tx pgx.Tx) error {
		return tx.QueryRow(ctx, `SELECT content FROM object_storage`+objectKey+" LIMIT 1", k.UserID, k.Bucket, k.ArchiveID).Scan(&payload)
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, errNoPayload
	}
	return payload, err
}

func (b blobBackend) remove(ctx context.Context, k drivers.Key) error {
	_, err := b.pool.Exec(ctx, `DELETE FROM object_storage`+objectKey+" AND version = ''", k.UserID, k.Bucket, k.ArchiveID)
	return err
}

// objectBackend is driver s3.
type objectBackend struct {
	objectStore
	place *place
}

func (s objectStore) asAnchore(_ *pgxpool.Pool, p *place, _ func() error) backend {
	return objectBackend{s, p}
}

func (b objectBackend) put(ctx context.Context, k drivers.Key, payload []byte) error {
	key, kind := b.key(b.place.uri(k)), "binary/octet-stream"
	_, err := b.client.PutObject(ctx, &s3.PutObjectInput{Bucket: &b.bucket, Key: &key, ContentType: &kind, Body: bytes.NewReader(payload)})
	return err
}

func (b objectBackend) get(ctx context.Context, k drivers.Key) ([]byte, error) {
	key := b.key(b.place.uri(k))
	out, err := b.client.GetObject(ctx, &s3.GetObjectInput{Bucket: &b.bucket, Key: &key})
	if missing := (*types.NoSuchKey)(nil); errors.As(err, &missing) {
		return nil, errNoPayload
	}
	if err != nil {
		return nil, err
	}
	defer out.Body.Close()
	return io.ReadAll(out.Body)
}

func (b objectBackend) remove(ctx context.Context, k drivers.Key) error {
	key := b.key(b.place.uri(k))
	_, err := b.client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &b.bucket, Key: &key})
	return err
}

// containerBackend is driver swift, which is python-swiftclient: it asks for the
// object before it overwrites or deletes one, so that the segments of a large
// object go with it.
type containerBackend struct {
	containerStore
	place *place
}

func (s containerStore) asAnchore(_ *pgxpool.Pool, p *place, _ func() error) backend {
	return containerBackend{s, p}
}

func (b containerBackend) put(ctx context.Context, k drivers.Key, payload []byte) error {
	name, old := b.name(b.place.uri(k)), make(map[string]bool)
	large, err := b.large(ctx, name)
	if err == nil && large {
		err = b.manifest(ctx, name, old)
	}
	if err == nil {
		err = b.client.ObjectPutBytes(ctx, b.container, name, payload, "application/octet-stream")
	}
	for segment := range old {
		if err != nil {
			return err
		}
		err = b.removeNames(ctx, b.segments(), []string{strings.TrimPrefix(segment, "/"+b.segments()+"/")})
	}
	return err
}

func (b containerBackend) get(ctx context.Context, k drivers.Key) ([]byte, error) {
	payload, err := b.client.ObjectGetBytes(ctx, b.container, b.name(b.place.uri(k)))
	if errors.Is(err, ncw.ObjectNotFound) {
		return nil, errNoPayload
	}
	return payload, err
}

func (b containerBackend) remove(ctx context.Context, k drivers.Key) error {
	return b.containerStore.remove(ctx, []string{b.place.uri(k)})
}
