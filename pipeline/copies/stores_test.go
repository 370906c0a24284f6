package copies

import (
	"crypto/md5"
	"database/sql"
	"encoding/hex"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	_ "modernc.org/sqlite"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/drivers/db"
	"github.com/kedge/kedge/drivers/localfs"
	"github.com/kedge/kedge/drivers/s3"
	"github.com/kedge/kedge/internal/testenv"
)

// opened is a real store and how many copies a test puts there.
type opened struct {
	drivers.Driver
	copies int
	best   Trust
}

// stores opens a fresh one of each sort.
var stores = map[string]func(t *testing.T) opened{
	"localfs": func(t *testing.T) opened { return opened{openLocalfs(t), 10_000, TrustList} },
	"db2":     func(t *testing.T) opened { return opened{openDB2(t), 10_000, TrustVerify} },
	"s3":      func(t *testing.T) opened { return opened{openS3(t), 2_500, TrustList} }, // three pages of its listing
}

func openLocalfs(t *testing.T) drivers.Driver {
	t.Helper()
	d, err := localfs.Open(t.Context(), localfs.Options{ArchiveDataDir: filepath.Join(t.TempDir(), "archive")}, true)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	return d
}

func openDB2(t *testing.T) drivers.Driver {
	t.Helper()
	file, err := sql.Open("sqlite", "file:"+filepath.Join(t.TempDir(), "anchore.db")+"?_pragma=synchronous(full)")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = file.Close() })
	file.SetMaxOpenConns(1)
	if _, err := file.Exec(`CREATE TABLE object_storage (
		"userId" varchar NOT NULL, bucket varchar NOT NULL, key varchar NOT NULL, version varchar NOT NULL,
		object_metadata varchar, content bytea, created_at integer, last_updated integer,
		PRIMARY KEY ("userId", bucket, key, version))`); err != nil {
		t.Fatal(err)
	}
	d, err := db.OpenDB2(t.Context(), db.Database{SQLite: file, Place: "sqlite"})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func openS3(t *testing.T) drivers.Driver {
	t.Helper()
	server := testenv.MinIO(t)
	d, err := s3.Open(t.Context(), s3.Options{AccessKey: server.AccessKey, SecretKey: server.SecretKey, URL: server.URL, Bucket: server.Bucket(t)}, s3.Tuning{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	return d
}

// payloadOf is the n-th payload; all have one length.
func payloadOf(n int) []byte { return fmt.Appendf(nil, "payload %08d", n) }

func md5Of(b []byte) string {
	sum := md5.Sum(b)
	return hex.EncodeToString(sum[:])
}

// copied puts copies at a store, and gives them as they are to be recorded.
func copied(t *testing.T, o opened) []Copy {
	t.Helper()
	batches := o.Capabilities().BatchPut
	all := make([]Copy, o.copies)
	group, ctx := errgroup.WithContext(t.Context())
	group.SetLimit(16)
	for n := range all {
		group.Go(func() error {
			k := drivers.Key{UserID: "admin", Bucket: "b", ArchiveID: fmt.Sprintf("%064x", n*7919)}
			source, err := sourceURI(k)
			if err != nil {
				return err
			}
			uri, err := o.URI(k)
			if err != nil {
				return err
			}
			payload := payloadOf(n)
			var receipt drivers.Receipt
			if !batches {
				receipt, err = o.Put(ctx, uri, drivers.InMemory(payload, md5Of(payload)))
			}
			side := Side{URI: source, Digest: md5Of(payload), Bytes: int64(len(payload))}
			all[n] = Copy{Key: k, Name: k.ArchiveID + ".json", Source: side, Destination: side, State: Copied + State(n%2), When: time.Unix(1.8e9, 0).UTC()}
			all[n].Destination.URI, all[n].Destination.Version = uri, receipt.Version
			return err
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	if batches {
		putBatches(t, o, all)
	}
	return all
}

// putBatches puts the payloads where each put alone would be a transaction.
func putBatches(t *testing.T, o opened, all []Copy) {
	t.Helper()
	var requests []drivers.PutRequest
	for n, c := range all {
		requests = append(requests, drivers.PutRequest{URI: c.Destination.URI, Payload: payloadOf(n), MD5: c.Destination.Digest})
		if len(requests) < pageEntries && n < len(all)-1 {
			continue
		}
		for _, result := range o.Driver.(drivers.Batcher).PutBatch(t.Context(), requests) {
			if result.Err != nil {
				t.Fatal(result.Err)
			}
		}
		requests = nil
	}
}
